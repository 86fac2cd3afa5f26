"""The servers that other tests rely on really serve, count, delay and die."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.helpers.utils import assert_round_trip, new, started
from tests.servers import (
    Azurite,
    CountingProxy,
    DropboxServer,
    FakeGCS,
    GitHubServer,
    LocalBucketS3,
    MotoS3,
    NginxHTTP,
    OpenSSH,
    PyFTP,
    RcloneS3,
    RcloneSFTP,
    RcloneWebDAV,
    S3Server,
    SeaweedS3,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.ssh import SSHServer

pytestmark = [pytest.mark.once, pytest.mark.slow]

S3_CLASSES = [SeaweedS3, LocalBucketS3, MotoS3, RcloneS3]


# S3


@pytest.fixture(scope="module", params=S3_CLASSES, ids=lambda cls: cls.__name__)
def s3(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    with started(request.param) as server:
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
