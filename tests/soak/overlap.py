"""Many reads on one event loop: do they overlap, and without threads?"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import NamedTuple

from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage
from tests import servers

from . import grounds

SIZE = 100_000
LATENCY = 0.05


class Overlap(NamedTuple):
    reads: int
    #: connections accepted: a new one is opened only while all others are busy
    connections: int
    requests: int
    #: threads at the highest point, above those before the first read
    threads: int
    seconds: float


async def _most_threads(done: asyncio.Event) -> int:
    most = 0
    while not done.is_set():
        most = max(most, threading.active_count())
        await asyncio.sleep(0.002)
    return most


async def _read(storage: FSSpecStorage, names: list[str]) -> tuple[int, float]:
    done = asyncio.Event()
    watching = asyncio.create_task(_most_threads(done))
    start = time.monotonic()
    contents = await asyncio.gather(*(storage.aget_content(name) for name in names))
    took = time.monotonic() - start
    done.set()
    for name, content in zip(names, contents, strict=True):
        assert content == _bytes(name)
    return await watching, took


def _bytes(name: str) -> bytes:
    return name.encode().ljust(SIZE, b".")


def measure(s3: servers.S3Server, proxy: servers.CountingProxy, reads: int = 100) -> Overlap:
    """Read `reads` files of 100 kB at once through `proxy`, and count."""
    folder = grounds.folder("overlap")
    names = [f"{number:03}.bin" for number in range(reads)]
    seeding = FSSpecStorage(**grounds.s3_options(s3, folder))

    async def seed() -> None:
        await asyncio.gather(*(seeding.asave(name, ContentFile(_bytes(name))) for name in names))

    asyncio.run(seed())
    storage = FSSpecStorage(**grounds.s3_options(s3, folder, proxy.url))
    storage.exists(names[0])
    proxy.reset()
    before = threading.active_count()
    most, took = asyncio.run(_read(storage, names))
    return Overlap(reads, proxy.connections().accepted, len(proxy.requests()), most - before, took)
