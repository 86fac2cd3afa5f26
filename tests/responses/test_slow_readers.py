"""Slow readers of large files take little memory, and leave no connection when they go."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.base import ContentFile

from django_fsspec.adapters.blocking import FileReader
from django_fsspec.core.stat import Stat
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import server
from tests.helpers.curl import curl
from tests.helpers.utils import started, wait_for
from tests.soak import grounds, readers
from tests.soak.memory import MEGABYTE, Generated

pytestmark = [
    pytest.mark.once,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

READERS = 50


class Place:
    """A site over S3 by way of a proxy that counts connections, and a file of `size` bytes."""

    def __init__(self, size: int, *, wsgi: bool = False) -> None:
        s3 = server(servers.SeaweedS3)
        folder = grounds.folder("readers")
        stored = FSSpecStorage(**grounds.s3_options(s3, folder)).store("big.bin", Generated(size))
        self.proxy = started(servers.CountingProxy, s3.port)
        options = grounds.s3_options(s3, folder, self.proxy.url)
        storages = {
            "default": {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}
        }
        self.site = started(servers.Site, storages, wsgi=wsgi)
        row = urllib.parse.urlencode({"row": json.dumps({"size": size, "etag": stored.etag})})
        self.target = f"/row/big.bin?{row}"

    def stop(self) -> None:
        self.site.stop()
        self.proxy.stop()

    def begin(self) -> bytes:
        """Get a little of the file, so that the site is warm."""
        return curl(f"{self.site.url}{self.target}", headers={"Range": "bytes=0-9"}).body

    def prove(self, count: int, seconds: float) -> tuple[int, int]:
        """Have readers read and die; return the memory they took and the bytes they got."""
        first = self.begin()
        readers.forget_peak(self.site.worker)
        idle = readers.resident(self.site.worker)
        connections = self.proxy.connections().open
        with readers.Readers(count, self.site.port, self.target) as many:
            got = many.read_slowly(seconds)
            assert self.proxy.connections().open >= count
            took = readers.resident(self.site.worker, "VmHWM") - idle
        died = time.monotonic()
        wait_for(lambda: self.proxy.connections().open <= connections)
        print(f"\nreaders | {count} died | connections went in {time.monotonic() - died:.2f} s")
        assert self.begin() == first
        return took, got


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place(12 * MEGABYTE)
    yield made
    made.stop()


def test_slow_readers_take_little_memory_and_leave_no_connection(place: Place) -> None:
    took, _ = place.prove(READERS, 1)
    assert took < 100 * MEGABYTE, f"{took / MEGABYTE:.0f} MB"
    # one GET each and the two of begin(); no HEAD
    gets = [request.method for request in place.proxy.requests()]
    assert gets == ["GET"] * (READERS + 2)


def test_readers_of_a_sync_server_leave_no_connection() -> None:
    place = Place(12 * MEGABYTE, wsgi=True)
    try:
        place.prove(5, 0.5)
    finally:
        place.stop()


@pytest.mark.soak
def test_fifty_slow_readers_of_100_megabytes() -> None:
    place = Place(100 * MEGABYTE)
    try:
        took, got = place.prove(READERS, 30)
    finally:
        place.stop()
    print(
        f"readers | {READERS} slow readers of 100 MB under uvicorn | "
        f"{took / MEGABYTE:.1f} MB above idle | {got / MEGABYTE:.0f} MB read"
    )
    assert took < 100 * MEGABYTE


def test_what_a_thread_still_reads_from_is_given_to_nobody() -> None:
    """A caller that was cancelled can't stop the thread that reads for it."""
    ours, theirs = os.pipe()
    released: list[BaseException | None] = []
    with os.fdopen(ours, "rb", buffering=0) as file:
        reader = FileReader(file, Stat(name="pipe"), release=released.append)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(reader.read, 10)
            wait_for(reading.running)
            wait_for(reader._reading.locked)
            reader.close()
            assert (released, file.closed) == ([], False)
            os.write(theirs, b"late")
            assert reading.result(timeout=5) == b"late"
        os.close(theirs)
        assert (released, file.closed) == ([None], True)
        reader.close()
        assert released == [None]


def test_readers_that_go_while_a_blocking_storage_reads() -> None:
    """FTP has a connection a stream; one that somebody left in the middle serves nobody else."""
    options = grounds.FTP.options(grounds.folder("readers"))
    data = bytes(range(256)) * 40_000
    FSSpecStorage(**options).save("big.bin", ContentFile(data))
    storages = {"default": {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}}
    with started(servers.Site, storages) as site:
        for _ in range(3):
            with readers.Readers(6, site.port, "/name/big.bin") as many:
                many.read_slowly(0.1)
        for _ in range(4):
            assert curl(f"{site.url}/name/big.bin").body == data
