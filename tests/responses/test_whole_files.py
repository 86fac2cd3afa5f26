"""Whole files of this machine under WSGI: the server sends them by itself (``sendfile``)."""

from __future__ import annotations

import gc
import io
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, storages
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory, override_settings

from django_fsspec.exceptions import StorageError
from django_fsspec.responses import file_response
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import folder, scratch
from tests.helpers.curl import curl
from tests.helpers.utils import started
from tests.responses.files import DATA, get, leave, stored
from tests.servers.ports import HOST

pytestmark = pytest.mark.usefixtures("no_database")

LARGE = 64_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with override_storage(media={"fs": "file", "prefix": str(tmp_path)}):
        yield tmp_path


def called(**environ: str) -> tuple[str, Any]:
    """Call Django as a WSGI server does; return the status and what it gets."""
    told: list[str] = []
    more: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper, **environ}
    setup_testing_defaults(more)

    def start(status: str, *args: Any) -> Callable[[bytes], object]:
        told.append(status)
        return lambda data: None

    with override_settings(ROOT_URLCONF="tests.soak.site", MIDDLEWARE=[]):
        result = WSGIHandler()(more, start)
    return told[0][:3], result


@pytest.mark.parametrize("asked", [None, "bytes=0-"])
def test_the_server_gets_the_file(disk: Path, asked: str | None) -> None:
    stored()
    more = {"HTTP_RANGE": asked} if asked else {}
    status, given = called(PATH_INFO="/name/a.bin", QUERY_STRING="backend=media", **more)
    assert status == ("206" if asked else "200")
    assert isinstance(given, FileWrapper)
    file: Any = given.filelike
    descriptor = file.fileno()
    assert os.path.samestat(os.fstat(descriptor), os.stat(disk / "a.bin"))
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == file.tell() == 0
    # one that can't send it by itself reads it, up to the length that was announced
    with (disk / "a.bin").open("ab") as grown:
        grown.write(b"more")
    assert b"".join(given) == DATA
    given.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("asked", ["bytes=1-", "bytes=0-9", "bytes=0-1,5-6"])
def test_the_server_does_not_get_a_range(disk: Path, asked: str) -> None:
    """uWSGI sends a file from its beginning to its end, wherever it is."""
    stored()
    query = {"PATH_INFO": "/name/a.bin", "QUERY_STRING": "backend=media"}
    status, given = called(HTTP_RANGE=asked, **query)
    assert (status, isinstance(given, FileWrapper)) == ("206", False)
    assert DATA[5:6] in b"".join(given) or asked == "bytes=0-9"
    leave(given)


def test_nor_an_empty_file_nor_one_that_is_not_asked_for(disk: Path) -> None:
    file = stored()
    (disk / "empty").touch()
    for response in (
        file_response(RequestFactory().head("/"), file),
        file_response(get("/", headers={"If-None-Match": "*"}), file),
        file_response(get("/"), "empty", backend="media"),
    ):
        assert getattr(response, "file_to_stream", None) is None
        leave(response)


class Reversed(File):  # type: ignore[type-arg]
    """A file whose bytes are not those of the disk, as of one that decrypts."""

    def read(self, *args: Any) -> bytes:
        return bytes(super().read(*args)[::-1])


class ReversingStorage(FileSystemStorage):
    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        return Reversed(open(self.path(name), mode))


@pytest.mark.parametrize(
    ("backend", "whole", "sent"),
    [
        ("django.core.files.storage.FileSystemStorage", True, DATA),
        ("django.core.files.storage.InMemoryStorage", False, DATA),
        (f"{__name__}.ReversingStorage", False, DATA[::-1]),
    ],
)
def test_files_of_other_storages(tmp_path: Path, backend: str, whole: bool, sent: bytes) -> None:
    foreign: dict[str, Any] = {"BACKEND": backend}
    if not backend.endswith("InMemoryStorage"):
        foreign["OPTIONS"] = {"location": str(tmp_path)}
    with override_settings(STORAGES={**storages.backends, "media": foreign}):
        storages["media"].save("a.txt", ContentFile(DATA))
        response: Any = file_response(get("/"), "a.txt", backend="media")
        assert (getattr(response, "file_to_stream", None) is not None) == whole
        assert b"".join(response.streaming_content) == sent
        leave(response)


def test_files_in_memory_are_read() -> None:
    with override_storage(media={"fs": "memory"}):
        response: Any = file_response(get("/"), stored())
        assert getattr(response, "file_to_stream", None) is None
        assert b"".join(response.streaming_content) == DATA
        leave(response)


def test_a_cached_file_is_one_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.bin").write_bytes(DATA)
    cache = {"cache_storage": str(tmp_path / "cache")}
    fs_options = {"filecache": cache, "file": {}}
    options = {"fs": "filecache::file", "prefix": f"{tmp_path}/below", "fs_options": fs_options}
    with override_storage(media=options):
        for _ in range(2):  # fetched, found
            response: Any = file_response(get("/"), "a.bin", backend="media")
            assert os.fstat(response.file_to_stream.fileno()).st_size == len(DATA)
            assert b"".join(response.streaming_content) == DATA
            leave(response)


def test_a_server_reads_as_much_as_it_wants(disk: Path) -> None:
    response: Any = file_response(get("/"), stored())
    file = response.file_to_stream
    assert (file.read(10), file.read(0)) == (DATA[:10], b"")
    assert file.read(len(DATA) - 11) == DATA[10:-1]
    assert (file.read(), file.read(), file.read(1)) == (DATA[-1:], b"", b"")
    response.close()
    assert response._file._file.closed


def test_a_server_reads_no_less_than_was_announced(disk: Path) -> None:
    file = stored()
    response: Any = file_response(get("/"), file)
    os.truncate(file.path, len(DATA) - 1)
    reader = response.file_to_stream
    assert reader.read(len(DATA)) == DATA[:-1]
    with pytest.raises(StorageError, match=r"^'a\.bin' ended 1 bytes too early\.$"):
        reader.read(1)
    with pytest.raises(StorageError, match=r"^'a\.bin' ended 1 bytes too early\.$"):
        response.close()


def test_a_file_that_gets_shorter_is_noticed_at_the_end(disk: Path) -> None:
    """The server may have sent it by itself, and would keep the connection."""
    file = stored()
    response: Any = file_response(get("/"), file)
    os.truncate(file.path, 1000)
    with pytest.raises(StorageError, match="ended 255000 bytes too early"):
        response.close()
    assert response._file._file.closed
    response.close()


def test_a_lost_response_releases_the_file(disk: Path) -> None:
    response: Any = file_response(get("/"), stored())
    descriptor = response.file_to_stream.fileno()
    del response
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


# over sockets


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def site(request: pytest.FixtureRequest) -> Iterator[servers.Site]:
    root = scratch() / folder()
    root.mkdir(parents=True)
    (root / "a.bin").write_bytes(DATA)
    (root / "b.bin").write_bytes(DATA[::-1])
    (root / "page.html").write_bytes(b"<script>alert(1)</script>")
    for name in ("large.bin", "shorter.bin"):
        with (root / name).open("wb") as large:
            large.truncate(LARGE)
    os.mkfifo(root / "fifo")
    (root / "directory").mkdir()
    storage = "django_fsspec.storage.FSSpecStorage"
    options = {"fs": "file", "prefix": str(root)}
    default = {"BACKEND": storage, "OPTIONS": options}
    wsgi = request.param == "gunicorn"
    with started(servers.Site, {"default": default}, wsgi=wsgi) as running:
        yield running


def conversation(site: servers.Site, *names: str) -> socket.socket:
    """Ask for files one after another, over one connection."""
    client = socket.create_connection((HOST, site.port), timeout=30)
    for name in names:
        client.sendall(f"GET /name/{name} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return client


def answer(stream: io.BufferedIOBase) -> bytes:
    """Read one answer: as many bytes as its headers say."""
    length = 0
    while (line := stream.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return stream.read(length)


@pytest.mark.slow
def test_answers_of_one_connection_do_not_mix(site: servers.Site) -> None:
    names = ("a.bin", "b.bin", "a.bin")
    with conversation(site, *names) as client, client.makefile("rb") as stream:
        assert [answer(stream) for _ in names] == [DATA, DATA[::-1], DATA]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-", DATA),
        ("bytes=7-", DATA[7:]),
        ("bytes=7-9", DATA[7:10]),
        ("bytes=-5", DATA[-5:]),
    ],
)
def test_ranges_over_sockets(site: servers.Site, asked: str, expected: bytes) -> None:
    got = curl(f"{site.url}/name/a.bin", headers={"Range": asked})
    assert (got.status, got["content-length"]) == (206, str(len(expected)))
    assert got.body == expected


@pytest.mark.slow
def test_a_head_over_sockets_has_no_body(site: servers.Site) -> None:
    got = curl(f"{site.url}/name/large.bin", "HEAD")
    assert (got.status, got["content-length"], got.body) == (200, str(LARGE), b"")


@pytest.mark.slow
def test_what_a_browser_may_do_is_told_over_sockets(site: servers.Site) -> None:
    got = curl(f"{site.url}/name/page.html")
    assert got["content-type"] == "text/html"
    assert got["content-disposition"] == 'attachment; filename="page.html"'
    assert got["content-security-policy"] == "sandbox; default-src 'none'"
    assert got["x-content-type-options"] == "nosniff"
    assert got["cache-control"] == "private, no-cache"
    tag = {"If-None-Match": got["etag"]}
    again = curl(f"{site.url}/name/page.html", headers=tag)
    assert (again.status, again.body) == (304, b"")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fifo", "directory"])
def test_what_is_no_file_is_not_found(site: servers.Site, name: str) -> None:
    assert curl(f"{site.url}/name/{name}", more=["--max-time", "5"]).status == 404


@pytest.mark.slow
def test_a_connection_ends_where_the_file_became_shorter(site: servers.Site) -> None:
    """Or the next answer would be taken for the rest of this one."""
    path = Path(site._storages["default"]["OPTIONS"]["prefix"]) / "shorter.bin"
    with conversation(site, "shorter.bin", "a.bin") as client:
        got = bytearray(client.recv(1000))
        os.truncate(path, 1000)
        while piece := client.recv(1 << 20):
            got += piece
    assert len(got) < LARGE
    assert got.count(b"HTTP/1.1 ") == 1
