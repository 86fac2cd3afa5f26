"""The tus protocol over real sockets: connections that break, processes that share a folder."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.helpers.curl import Answer, curl, parsed
from tests.helpers.utils import started, wait_for
from tests.servers.base import find_executable
from tests.servers.module import ROOT
from tests.soak.memory import Generated

MEGABYTE = 1_000_000


class Visitor:
    """A visitor of a site: its cookie, and a ticket for the form."""

    def __init__(self, site: servers.Site) -> None:
        with urllib.request.urlopen(f"{site.url}/") as page:
            cookies = page.headers.get_all("Set-Cookie")
            found = re.search(r'data-ticket="([^"]+)"', page.read().decode())
        self.cookie = "; ".join(cookie.partition(";")[0] for cookie in cookies)
        assert found is not None
        self.ticket = found[1]
        self.headers = {"Cookie": self.cookie, "Tus-Resumable": "1.0.0"}

    def begin(self, site: servers.Site, size: int) -> str:
        """Create an upload and return its path."""
        about = {"ticket": self.ticket, "filename": "a.bin"}
        pairs = (
            f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in about.items()
        )
        headers = {"Upload-Length": str(size), "Upload-Metadata": ",".join(pairs)}
        answer = curl(f"{site.url}/files/uploads/tus", "POST", {**self.headers, **headers})
        assert answer.status == 201, answer.body
        return answer["location"]

    def offset(self, site: servers.Site, path: str) -> int:
        return int(curl(site.url + path, "HEAD", self.headers)["upload-offset"])

    def patch(self, path: str, offset: int, **more: str) -> dict[str, str]:
        kind = "application/offset+octet-stream"
        return {**self.headers, "Content-Type": kind, "Upload-Offset": str(offset), **more}

    def opened(self, site: servers.Site, path: str, offset: int, length: int) -> socket.socket:
        """Send the head of a PATCH; its body is to follow."""
        headers = self.patch(path, offset, **{"Content-Length": str(length), "Host": "x"})
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        made = socket.create_connection(("127.0.0.1", site.port), 10)
        made.sendall(f"PATCH {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
        return made


def answer_of(connection: socket.socket) -> Answer:
    with connection:
        return parsed(b"".join(iter(lambda: connection.recv(1 << 16), b"")))


def storages(folder: Path) -> dict[str, Any]:
    options = {"fs": "file", "prefix": str(folder), "chunk_size": MEGABYTE}
    return {"default": {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[servers.Site, servers.Site]]:
    """Two sites of one secret over one folder."""
    folder = tmp_path_factory.mktemp("inbox")
    with ExitStack() as stack:
        one, two = (
            stack.enter_context(
                servers.Site(storages(folder), wsgi=wsgi, module="tests.soak.inbox")
            )
            for wsgi in (True, False)
        )
        yield one, two


@pytest.fixture
def data() -> bytes:
    return Generated(3 * MEGABYTE).read(3 * MEGABYTE)


@pytest.mark.parametrize("first", [0, 1], ids=["gunicorn", "uvicorn"])
def test_a_connection_that_breaks(
    pair: tuple[servers.Site, servers.Site], data: bytes, first: int
) -> None:
    one, two = pair[first], pair[1 - first]
    visitor = Visitor(one)
    path = visitor.begin(one, len(data))
    with visitor.opened(one, path, 0, len(data)) as connection:
        connection.sendall(data[: 3 * MEGABYTE // 2])
    deadline = time.monotonic() + 10
    while (offset := visitor.offset(two, path)) <= MEGABYTE and time.monotonic() < deadline:
        time.sleep(0.02)
    # all that came, also of a part that is not complete
    assert MEGABYTE < offset <= 3 * MEGABYTE // 2
    headers = visitor.patch(path, offset)
    last = curl(two.url + path, "PATCH", headers, body=data[offset:])
    assert (last.status, last["upload-offset"]) == (204, str(len(data)))
    assert last["upload-receipt"]


@pytest.mark.parametrize("first", [0, 1], ids=["gunicorn", "uvicorn"])
def test_what_came_without_all_of_its_checksum_is_dropped(
    pair: tuple[servers.Site, servers.Site], data: bytes, first: int
) -> None:
    site = pair[first]
    visitor = Visitor(site)
    path = visitor.begin(site, len(data))
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    visitor.headers["Upload-Checksum"] = f"sha256 {digest}"
    with visitor.opened(site, path, 0, len(data)) as connection:
        connection.sendall(data[: 3 * MEGABYTE // 2])
    del visitor.headers["Upload-Checksum"]
    wait_for(lambda: "refused with 460" in site.log_tail(20))
    assert visitor.offset(site, path) == 0


def test_one_of_two_requests_at_a_time(
    pair: tuple[servers.Site, servers.Site], data: bytes
) -> None:
    site, _ = pair
    visitor = Visitor(site)
    path = visitor.begin(site, len(data))
    # both are told that the offset is right: a half of the body is there
    connections = [visitor.opened(site, path, 0, 1000) for _ in range(2)]
    for connection in connections:
        connection.sendall(data[:500])
    time.sleep(0.3)
    for connection in connections:
        connection.sendall(data[500:1000])
    statuses = sorted(answer_of(connection).status for connection in connections)
    assert statuses == [204, 409]
    assert visitor.offset(site, path) == 1000


def test_a_body_without_a_length(pair: tuple[servers.Site, servers.Site], data: bytes) -> None:
    for site in pair:
        visitor = Visitor(site)
        path = visitor.begin(site, 2 * MEGABYTE)
        chunked = visitor.patch(path, 0, **{"Transfer-Encoding": "chunked"})
        first = curl(site.url + path, "PATCH", chunked, body=data[:MEGABYTE])
        assert (first.status, first["upload-offset"]) == (204, str(MEGABYTE)), first.body
        chunked["Upload-Offset"] = str(MEGABYTE)
        assert curl(site.url + path, "PATCH", chunked, body=data).status == 413


@pytest.mark.slow
def test_tus_js_client(tmp_path: Path) -> None:
    """50 MB by a client that others made, with a cut at half."""
    size = 50 * MEGABYTE
    source = tmp_path / "source.bin"
    source.write_bytes(Generated(size).read(size))
    inbox = tmp_path / "inbox"
    node = find_executable("node", "https://nodejs.org")
    script = Path(__file__).with_name("tus_client.mjs")
    with (
        started(servers.Site, storages(inbox), wsgi=True, module="tests.soak.inbox") as site,
        started(servers.CountingProxy, site.port) as proxy,
    ):
        visitor = Visitor(site)
        question = {
            "endpoint": f"{proxy.url}/files/uploads/tus",
            "path": str(source),
            "metadata": {"ticket": visitor.ticket, "filename": "a.bin"},
            "cookie": visitor.cookie,
        }
        proxy.shape(bandwidth=10 * MEGABYTE)
        command = [node, str(script), json.dumps(question)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as client:
            wait_for(lambda: held_below(inbox) >= size // 2)
            proxy.set_down(True)
            proxy.set_down(False)
            receipt, _ = client.communicate(timeout=60)
        methods = [request.method for request in proxy.requests()]
    assert (client.returncode, len(receipt) > 100) == (0, True)
    assert methods == ["POST", "PATCH", "HEAD", "PATCH"]
    (stored,) = (path for path in inbox.rglob("*") if path.is_file())
    with stored.open("rb") as one, source.open("rb") as two:
        digests = [hashlib.file_digest(file, "sha256").digest() for file in (one, two)]
    assert digests[0] == digests[1]


def held_below(folder: Path) -> int:
    """Return how many bytes a folder holds, files that are being written included."""
    with contextlib.suppress(FileNotFoundError):
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return 0
