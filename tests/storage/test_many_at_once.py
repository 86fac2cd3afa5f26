"""Many reads and streams at once on one event loop: memory and threads do not grow with them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

import pytest

from benchmarks.async_scale import READ, STREAM, WORKS, at_once, of_ours
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, scratch, server
from tests.soak import grounds
from tests.soak.memory import MEGABYTE, Generated
from tests.soak.readers import forget_peak, resident

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

#: the threads that asyncio has for blocking calls
POOL = min(32, (os.cpu_count() or 1) + 4)
#: bytes that each open stream may hold: what it read at once, and what memory is lost to holes
HELD = 1.5 * MEGABYTE


def on_disk(where: str) -> FSSpecStorage:
    return FSSpecStorage(fs="file", prefix=str(scratch() / where))


def on_s3(where: str) -> FSSpecStorage:
    return FSSpecStorage(**grounds.s3_options(server(servers.SeaweedS3), where))


#: makes a storage in a folder; and the threads that it needs
PLACES: dict[str, tuple[Callable[[str], FSSpecStorage], int]] = {
    "disk": (on_disk, POOL),
    "S3": (on_s3, 1),
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> tuple[FSSpecStorage, int]:
    make, threads = PLACES[request.param]
    return make(folder()), threads


def taken(storage: FSSpecStorage, work: str, count: int, size: int) -> tuple[int, int]:
    """Read a file many times at once; return the memory and the threads that it took."""
    storage.store(work, Generated(size))
    asyncio.run(at_once(1, size, of_ours(storage, work)))
    pid = os.getpid()
    forget_peak(pid)
    before = resident(pid)
    threads = asyncio.run(at_once(count, size, of_ours(storage, work)))
    memory = resident(pid, "VmHWM") - before
    print(f"\nscale | {count} of {size:,} bytes | {memory / MEGABYTE:.0f} MB, {threads} threads")
    return memory, threads


@pytest.mark.slow
def test_a_thousand_reads(place: tuple[FSSpecStorage, int]) -> None:
    storage, most = place
    memory, threads = taken(storage, READ, *WORKS[READ])
    assert threads <= most
    assert memory < 64 * MEGABYTE


@pytest.mark.soak
def test_two_hundred_streams(place: tuple[FSSpecStorage, int]) -> None:
    """A gigabyte in all."""
    storage, most = place
    count, size = WORKS[STREAM]
    memory, threads = taken(storage, STREAM, count, size)
    assert threads <= most
    assert memory < count * HELD


@pytest.mark.soak
def test_memory_does_not_grow_with_the_streams_of_s3() -> None:
    """As many as there are connections hold bytes; the others wait."""
    storage = on_s3(folder())
    few, _ = taken(storage, STREAM, storage.options.max_connections, 2 * MEGABYTE)
    many, threads = taken(storage, STREAM, 4 * storage.options.max_connections, 2 * MEGABYTE)
    assert threads <= 1
    assert many < few + 64 * MEGABYTE
