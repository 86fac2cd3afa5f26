"""The servers that other tests rely on really serve, count, delay and die."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
import requests

from tests.servers import (
    Azurite,
    BlackHole,
    CountingProxy,
    DropboxServer,
    FakeGCS,
    GitHubServer,
    LocalBucketS3,
    MissingServer,
    MotoS3,
    NginxHTTP,
    OpenSSH,
    PyFTP,
    RcloneS3,
    RcloneSFTP,
    RcloneWebDAV,
    S3Server,
    SeaweedS3,
    Server,
    ServerFailed,
    closed_port,
)
from tests.servers.base import find_executable
from tests.servers.module import ROOT
from tests.servers.proxy_wire import RequestWatcher
from tests.support import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.ssh import SSHServer

S3_CLASSES = [SeaweedS3, LocalBucketS3, MotoS3, RcloneS3]


def assert_round_trip(fs: Any, path: str) -> None:
    fs.pipe_file(path, b"content")
    assert fs.cat_file(path) == b"content"
    assert fs.info(path)["size"] == 7
    fs.rm_file(path)
    with pytest.raises(FileNotFoundError):
        fs.info(path)


def new(protocol: str, **options: Any) -> Any:
    return fsspec.filesystem(protocol, skip_instance_cache=True, **options)


# S3


@pytest.fixture(scope="module", params=S3_CLASSES, ids=lambda cls: cls.__name__)
def s3(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    with started(request.param) as server:
        yield server


@pytest.fixture(scope="module")
def rclone() -> Iterator[RcloneS3]:
    with started(RcloneS3) as server:
        yield server


@pytest.fixture
def proxy(rclone: RcloneS3) -> Iterator[CountingProxy]:
    with started(CountingProxy, rclone.port) as server:
        yield server


def test_s3_round_trip(s3: S3Server) -> None:
    assert_round_trip(new("s3", **s3.fs_options), f"{s3.bucket}/folder/file.txt")


def test_s3_through_the_proxy_counts_each_request(s3: S3Server) -> None:
    """The signature covers the Host header, so this shows that it passes unchanged."""
    with started(CountingProxy, s3.port) as proxy:
        client = s3.boto3_client(proxy.url)
        large = os.urandom(3_000_000)
        client.put_object(Bucket=s3.bucket, Key="large", Body=large)
        assert client.get_object(Bucket=s3.bucket, Key="large")["Body"].read() == large
        client.head_object(Bucket=s3.bucket, Key="large")
        path = f"/{s3.bucket}/large"
        assert proxy.requests() == [("PUT", path), ("GET", path), ("HEAD", path)]
        proxy.reset()
        client.list_objects_v2(Bucket=s3.bucket, Prefix="x")
        (listing,) = proxy.requests()
        assert listing.path == f"/{s3.bucket}"
        assert "prefix=x" in listing.target
        client.close()


def test_seaweed_checks_signatures() -> None:
    with started(SeaweedS3) as server:
        client = server.boto3_client()
        url = client.generate_presigned_url(
            "put_object", Params={"Bucket": server.bucket, "Key": "signed"}, ExpiresIn=60
        )
        client.close()
        assert requests.put(url, data=b"x", timeout=5).status_code == 200
        assert requests.put(f"{url}0", data=b"x", timeout=5).status_code == 403


def test_seaweed_leaves_nothing_behind() -> None:
    server = started(SeaweedS3)
    directory, ports = server.directory, server.ports
    server.stop()
    server.stop()
    assert not directory.exists()
    assert ports
    names = os.listdir("/tmp")
    assert not [name for port in ports for name in names if name.endswith(f"-{port}.sock")]


# The other stores


def test_gcs() -> None:
    with started(FakeGCS) as server:
        assert_round_trip(new("gcs", **server.fs_options), f"{server.bucket}/folder/file")
        client = server.client()
        client.bucket(server.bucket).blob("by-hand").upload_from_string(b"x")
        client.close()
        assert new("gcs", **server.fs_options).cat_file(f"{server.bucket}/by-hand") == b"x"


def test_azure() -> None:
    with started(Azurite) as server, server.client() as client:
        fs = new("abfs", **server.fs_options)
        assert_round_trip(fs, f"{server.container}/folder/file")
        client.get_blob_client(server.container, "by-hand").upload_blob(b"x")
        assert fs.cat_file(f"{server.container}/by-hand") == b"x"


@pytest.fixture(scope="module", params=[OpenSSH, RcloneSFTP], ids=lambda cls: cls.__name__)
def ssh(request: pytest.FixtureRequest) -> Iterator[SSHServer]:
    with started(request.param) as server:
        yield server


def test_sshfs(ssh: SSHServer) -> None:
    from sshfs import SSHFileSystem

    fs = SSHFileSystem(**ssh.fs_options, skip_instance_cache=True)
    path = f"{ssh.path.rstrip('/')}/folder/file"
    assert_round_trip(fs, path)
    fs.pipe_file(path, b"x")
    assert (ssh.root / "folder/file").read_bytes() == b"x"


def test_sshfs_checks_the_key_of_the_host(ssh: SSHServer, tmp_path: Path) -> None:
    import asyncssh
    from sshfs import SSHFileSystem

    (tmp_path / "known_hosts").write_text("")
    options = {**ssh.fs_options, "known_hosts": str(tmp_path / "known_hosts")}
    with pytest.raises((PermissionError, asyncssh.HostKeyNotVerifiable)):
        SSHFileSystem(**options, skip_instance_cache=True)


def test_paramiko(ssh: SSHServer) -> None:
    from fsspec.implementations.sftp import SFTPFileSystem

    fs = SFTPFileSystem(**ssh.paramiko_options, skip_instance_cache=True)
    assert_round_trip(fs, f"{ssh.path.rstrip('/')}/file")
    fs.client.close()


def test_ftp() -> None:
    with started(PyFTP) as server:
        fs = new("ftp", **server.fs_options)
        fs.pipe_file("/file", b"content")
        assert fs.cat_file("/file") == b"content"
        assert (server.root / "file").read_bytes() == b"content"
        fs.ftp.close()


def test_webdav() -> None:
    with started(RcloneWebDAV) as server:
        fs = new("webdav", **server.fs_options)
        assert_round_trip(fs, "file")
        fs.client.http.close()


def test_http() -> None:
    with started(NginxHTTP) as server:
        for folder in ("", "private/", "bearer/"):
            (server.root / f"{folder}file.txt").write_bytes(b"content")
        fs = new("http", **server.fs_options)
        assert fs.cat_file(f"{server.url}/file.txt", start=1, end=3) == b"on"
        assert f"{server.url}/file.txt" in fs.ls(server.url, detail=False)
        private, bearer = f"{server.url}/private/file.txt", f"{server.url}/bearer/file.txt"
        assert requests.get(private, timeout=5).status_code == 401
        assert requests.get(bearer, timeout=5).status_code == 401
        login = (server.user, server.password)
        assert requests.get(private, auth=login, timeout=5).content == b"content"
        headers = {"Authorization": f"Bearer {server.token}"}
        assert requests.get(bearer, headers=headers, timeout=5).content == b"content"
        assert "/bearer/file.txt" in server.access_log.read_text()


# GitHub


def test_github() -> None:
    with started(GitHubServer) as server:
        fs = server.filesystem_class()(**server.fs_options)
        assert fs.ls("docs/guide", detail=False) == ["docs/guide/index.md"]
        assert fs.cat_file("docs/guide/index.md") == server.files["docs/guide/index.md"]
        assert fs.cat_file("large.bin") == server.files["large.bin"]
        with fs.open("large.bin") as large:
            large.seek(1_200_000)
            assert large.read(4) == server.files["large.bin"][1_200_000:1_200_004]
        with pytest.raises(FileNotFoundError):
            fs.cat_file("docs/missing")
        with pytest.raises(FileNotFoundError):
            server.filesystem_class()(org="owner", repo="repo", sha="other")


def test_github_ids_are_those_of_git(tmp_path: Path) -> None:
    with started(GitHubServer) as server:
        git = ["git", "-C", str(tmp_path), "--git-dir", str(tmp_path / "git")]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "--work-tree", str(server.root), "add", "."], check=True)
        tree = subprocess.run([*git, "write-tree"], check=True, capture_output=True, text=True)
        url = f"{server.url}/repos/owner/repo/git/trees/{tree.stdout.strip()}"
        assert len(requests.get(url, timeout=5).json()["tree"]) == 3


def test_github_configure_comes_and_goes() -> None:
    from fsspec.implementations.github import GithubFileSystem

    before = GithubFileSystem.url
    with started(GitHubServer, {"a": b"1"}) as server, server.configure(GithubFileSystem):
        assert new("github", **server.fs_options).cat_file("a") == b"1"
    assert GithubFileSystem.url == before


# Dropbox


@pytest.fixture
def dropbox_client() -> Iterator[Any]:
    with started(DropboxServer) as server:
        client = server.client()
        yield client
        client.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:dropboxdrivefs")
def test_dropbox_filesystem() -> None:
    from dropboxdrivefs import DropboxDriveFileSystem

    with started(DropboxServer) as server:
        fs = DropboxDriveFileSystem(**server.fs_options, skip_instance_cache=True)
        with fs.open("/folder/file", "wb") as file:
            file.write(b"content")
        assert fs.cat_file("/folder/file") == b"content"
        assert fs.info("/folder/file")["size"] == 7
        fs.rm("/folder/file")
        assert fs.ls("/folder") == []
        fs.session.close()
        fs.dbx.close()


def test_dropbox_conflicts(dropbox_client: Any) -> None:
    from dropbox.exceptions import ApiError
    from dropbox.files import WriteMode

    first = dropbox_client.files_upload(b"one", "/Folder/a.txt")
    assert dropbox_client.files_upload(b"one", "/folder/A.txt").rev == first.rev
    for content, strict in ((b"two", False), (b"one", True)):
        with pytest.raises(ApiError) as caught:
            dropbox_client.files_upload(
                content, "/folder/a.txt", mode=WriteMode.add, strict_conflict=strict
            )
        assert caught.value.error.get_path().reason.get_conflict().is_file()
    with pytest.raises(ApiError) as caught:
        dropbox_client.files_upload(b"x", "/folder")
    assert caught.value.error.get_path().reason.get_conflict().is_folder()
    with pytest.raises(ApiError) as caught:
        dropbox_client.files_upload(b"x", "/folder/a.txt/below")
    assert caught.value.error.get_path().reason.get_conflict().is_file_ancestor()

    renamed = dropbox_client.files_upload(b"two", "/Folder/a.txt", autorename=True)
    assert renamed.path_display == "/Folder/a (1).txt"
    second = dropbox_client.files_upload(b"two", "/folder/a.txt", mode=WriteMode.overwrite)
    assert (second.id, second.path_display) == (first.id, "/Folder/a.txt")
    with pytest.raises(ApiError):
        dropbox_client.files_upload(b"3", "/folder/a.txt", mode=WriteMode.update(first.rev))
    dropbox_client.files_upload(b"3", "/folder/a.txt", mode=WriteMode.update(second.rev))
    metadata, response = dropbox_client.files_download("/folder/a.txt")
    assert (response.content, metadata.size) == (b"3", 1)


def test_dropbox_upload_session(dropbox_client: Any) -> None:
    from dropbox.exceptions import ApiError
    from dropbox.files import CommitInfo, UploadSessionCursor, WriteMode

    session = dropbox_client.files_upload_session_start(b"one").session_id
    dropbox_client.files_upload_session_append_v2(b"two", UploadSessionCursor(session, 3))
    with pytest.raises(ApiError) as caught:
        dropbox_client.files_upload_session_append_v2(b"two", UploadSessionCursor(session, 3))
    assert caught.value.error.get_incorrect_offset().correct_offset == 6
    commit = CommitInfo("/file", mode=WriteMode.add, strict_conflict=True)
    cursor = UploadSessionCursor(session, 6)
    done = dropbox_client.files_upload_session_finish(b"three", cursor, commit)
    assert done.size == 11
    other = dropbox_client.files_upload_session_start(b"onetwothree").session_id
    with pytest.raises(ApiError) as caught:
        dropbox_client.files_upload_session_finish(b"", UploadSessionCursor(other, 11), commit)
    assert caught.value.error.get_path().get_conflict().is_file()
    with pytest.raises(ApiError) as caught:
        dropbox_client.files_upload_session_finish(b"", cursor, commit)
    assert caught.value.error.get_lookup_failed().is_not_found()


def test_dropbox_folders(dropbox_client: Any) -> None:
    from dropbox.exceptions import ApiError

    dropbox_client.files_create_folder_v2("/a")
    with pytest.raises(ApiError) as caught:
        dropbox_client.files_create_folder_v2("/a")
    assert caught.value.error.get_path().get_conflict().is_folder()
    for number in range(5):
        dropbox_client.files_upload(b"x", f"/a/{number}")
    dropbox_client.files_copy_v2("/a", "/b")
    with pytest.raises(ApiError) as caught:
        dropbox_client.files_copy_v2("/a/1", "/b/1")
    assert caught.value.error.get_to().get_conflict().is_file()
    with pytest.raises(ApiError) as caught:
        dropbox_client.files_copy_v2("/missing", "/c")
    assert caught.value.error.get_from_lookup().is_not_found()
    page = dropbox_client.files_list_folder("/b", limit=3)
    assert (len(page.entries), page.has_more) == (3, True)
    page = dropbox_client.files_list_folder_continue(page.cursor)
    assert (len(page.entries), page.has_more) == (2, False)
    dropbox_client.files_delete_v2("/a")
    for call in (dropbox_client.files_get_metadata, dropbox_client.files_get_temporary_link):
        with pytest.raises(ApiError) as caught:
            call("/a/1")
        assert caught.value.error.get_path().is_not_found()
    with pytest.raises(ApiError) as caught:
        dropbox_client.files_delete_v2("/a")
    assert caught.value.error.get_path_lookup().is_not_found()


def test_dropbox_adds_once_among_many(dropbox_client: Any) -> None:
    from dropbox.exceptions import ApiError
    from dropbox.files import WriteMode

    def add(number: int) -> bool:
        content = str(number).encode()
        try:
            dropbox_client.files_upload(content, "/one", WriteMode.add, strict_conflict=True)
        except ApiError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(add, range(16))) == 1


# The proxy


def test_proxy_adds_latency(rclone: RcloneS3, proxy: CountingProxy) -> None:
    client = rclone.boto3_client(proxy.url)
    client.head_bucket(Bucket=rclone.bucket)
    proxy.shape(latency=0.1)
    begun = time.perf_counter()
    client.head_bucket(Bucket=rclone.bucket)
    assert time.perf_counter() - begun >= 0.1
    client.close()


def test_proxy_latency_delays_without_limiting_throughput(
    rclone: RcloneS3, proxy: CountingProxy
) -> None:
    """A sleep for each chunk would take seconds: 8 MB are more than 30 chunks."""
    client = rclone.boto3_client(proxy.url)
    client.put_object(Bucket=rclone.bucket, Key="eight", Body=bytes(8_000_000))
    proxy.shape(latency=0.4)
    begun = time.perf_counter()
    client.get_object(Bucket=rclone.bucket, Key="eight")["Body"].read()
    assert 0.4 <= time.perf_counter() - begun < 3
    client.close()


def test_proxy_limits_bandwidth(rclone: RcloneS3, proxy: CountingProxy) -> None:
    client = rclone.boto3_client(proxy.url)
    proxy.shape(bandwidth=4_000_000)
    begun = time.perf_counter()
    client.put_object(Bucket=rclone.bucket, Key="slow", Body=bytes(1_000_000))
    assert time.perf_counter() - begun >= 0.24
    client.close()


def test_proxy_counts_connections(rclone: RcloneS3, proxy: CountingProxy) -> None:
    with requests.Session() as one, requests.Session() as two:
        for session in (one, one, two):
            session.get(proxy.url, timeout=5)
        assert proxy.connections() == (2, 2)
    wait_for(lambda: proxy.connections() == (2, 0))
    proxy.reset()
    assert proxy.connections() == (0, 0)
    assert proxy.requests() == []


def test_proxy_down_and_up(rclone: RcloneS3, proxy: CountingProxy) -> None:
    with requests.Session() as session:
        session.get(proxy.url, timeout=5)
        proxy.set_down(True)
        with pytest.raises(requests.ConnectionError):
            session.get(proxy.url, timeout=5)
        with pytest.raises(requests.ConnectionError, match="refused"):
            session.get(proxy.url, timeout=5)
        proxy.set_down(False)
        assert session.get(proxy.url, timeout=5).status_code < 500


def test_proxy_cuts_one_response(rclone: RcloneS3, proxy: CountingProxy) -> None:
    client = rclone.boto3_client()
    client.put_object(Bucket=rclone.bucket, Key="cut", Body=bytes(1_000_000))
    url = client.generate_presigned_url(
        "get_object", Params={"Bucket": rclone.bucket, "Key": "cut"}
    )
    client.close()
    through = url.replace(str(rclone.port), str(proxy.port))
    request = urllib.request.Request(through, headers={"Host": f"127.0.0.1:{rclone.port}"})
    proxy.cut_after(500_000)
    response = urllib.request.urlopen(request, timeout=5)
    with response, pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    assert 490_000 < len(caught.value.partial) < 500_000
    assert proxy.cuts() == 1
    with urllib.request.urlopen(request, timeout=5) as response:
        assert len(response.read()) == 1_000_000


def test_proxy_in_front_of_nothing() -> None:
    server = started(CountingProxy, closed_port())
    with server as proxy, pytest.raises(requests.ConnectionError):
        requests.get(proxy.url, timeout=5)


def test_proxy_leaves_other_protocols_alone() -> None:
    from sshfs import SSHFileSystem

    with started(OpenSSH) as server, started(CountingProxy, server.port) as proxy:
        known = server.known_hosts.read_text().replace(str(server.port), str(proxy.port))
        server.known_hosts.write_text(known)
        options = {**server.fs_options, "port": proxy.port}
        fs = SSHFileSystem(**options, skip_instance_cache=True)
        assert_round_trip(fs, f"{server.root}/file")
        assert proxy.requests() == []
        assert proxy.connections().accepted == 1


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_watcher_reads_any_body_in_any_pieces(step: int) -> None:
    stream = (
        b"PUT /a HTTP/1.1\r\nContent-Length: 23\r\n\r\nGET /not HTTP/1.1\r\n\r\n  "
        b"PUT /b?x=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"4;chunk-signature=0\r\nGET \r\n0\r\nx-amz-checksum-crc32: 0\r\n\r\n"
        b"PUT /c HTTP/1.1\r\nContent-Encoding: aws-chunked\r\nContent-Length: 14\r\n\r\n"
        b"4\r\nGET \r\n0\r\n\r\n"
        b"HEAD /d HTTP/1.1\r\n\r\n"
    )
    seen: list[tuple[str, str]] = []
    watcher = RequestWatcher(lambda *request: seen.append(request))
    for start in range(0, len(stream), step):
        watcher.feed(stream[start : start + step])
    assert seen == [("PUT", "/a"), ("PUT", "/b?x=1"), ("PUT", "/c"), ("HEAD", "/d")]


def test_watcher_knows_a_refused_expectation() -> None:
    head = b"PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    seen: list[tuple[str, str]] = []
    watcher = RequestWatcher(lambda *request: seen.append(request))
    watcher.feed(head)
    watcher.answered(b"HTTP/1.1 412 Precondition Failed\r\n")
    watcher.feed(head)
    watcher.answered(b"HTTP/1.1 100 Continue\r\n\r\n")
    watcher.feed(b"12345")
    watcher.answered(b"HTTP/1.1 200 OK\r\n")
    watcher.feed(b"GET /b HTTP/1.1\r\n\r\n")
    assert seen == [("PUT", "/a"), ("PUT", "/a"), ("GET", "/b")]


def test_black_hole_accepts_and_is_silent() -> None:
    with BlackHole() as hole:
        with pytest.raises(requests.ReadTimeout):
            requests.get(hole.url, timeout=0.2)
        wait_for(lambda: hole.connections() == (1, 0))
    with pytest.raises(requests.ConnectionError):
        requests.get(hole.url, timeout=1)


def test_closed_port_refuses() -> None:
    with pytest.raises(requests.ConnectionError, match="refused"):
        requests.get(f"http://127.0.0.1:{closed_port()}", timeout=1)


# Life and death


def test_kill_and_start_again_keeps_files_and_port() -> None:
    with started(SeaweedS3) as server:
        client = server.boto3_client()
        client.put_object(Bucket=server.bucket, Key="kept", Body=b"x")
        url = server.endpoint_url
        server.kill()
        assert not server.running
        server.start()
        assert server.endpoint_url == url
        assert client.get_object(Bucket=server.bucket, Key="kept")["Body"].read() == b"x"
        client.close()


def test_a_server_kept_in_memory_has_its_bucket_again() -> None:
    with started(MotoS3) as server:
        server.kill()
        server.start()
        assert_round_trip(new("s3", **server.fs_options), f"{server.bucket}/file")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells children of their parent's end.")
def test_server_dies_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import time\n"
        "from tests.servers import CountingProxy\n"
        "print(CountingProxy(1).start().pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code]
    env = {**os.environ, "TMPDIR": str(tmp_path)}  # For what is left behind.
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=env) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
    wait_for(lambda: not alive(pid))


def test_server_is_stopped_at_exit() -> None:
    code = (
        "from tests.servers import CountingProxy\n"
        "server = CountingProxy(1).start()\n"
        "print(server.pid, server.directory)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    pid, directory = done.stdout.split()
    assert not alive(int(pid))
    assert not os.path.exists(directory)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_stop_the_server(proxy: CountingProxy) -> None:
    child = os.fork()
    if child == 0:
        try:
            proxy.stop()
            proxy.kill()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert proxy.running
    assert proxy.connections() == (0, 0)


class Broken(Server):
    def _command(self) -> list[str]:
        return [sys.executable, "-c", "raise SystemExit('No luck today.')"]


class Silent(Server):
    def _command(self) -> list[str]:
        return [sys.executable, "-c", "print('Up.', flush=True); import time; time.sleep(60)"]


def test_a_server_that_ends_shows_its_log() -> None:
    server = Broken()
    with pytest.raises(ServerFailed, match=r"No luck today\."):
        server.start()
    assert not server.running


def test_a_server_that_does_not_answer_is_given_up() -> None:
    server = Silent(wait=0.5)
    with pytest.raises(ServerFailed, match=r"did not answer in 0\.5 s(.|\n)*Up\."):
        server.start()
    assert not server.running


def test_a_missing_program_says_what_to_install() -> None:
    with pytest.raises(MissingServer, match="nosuch was not found: pip install nosuch"):
        find_executable("nosuch", "pip install nosuch")


class Absent(Server):
    def _command(self) -> list[str]:
        return [find_executable("nosuch", "pip install nosuch")]


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip), ("1", pytest.fail)])
def test_a_missing_program_fails_in_ci_and_skips_elsewhere(
    ci: str, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome.Exception, match="pip install nosuch"):
        started(Absent)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
