"""Many reads and streams at once on one event loop: `python -m benchmarks.async_scale`.

1,000 reads of 20 kB, and 200 streams of 5 MB, all started together, from S3 and from the disk. The
peers have no async methods: `asyncio.to_thread` calls them, as Django's `sync_to_async` does with
``thread_sensitive=False``. Each is measured in a process of its own: memory is what it grew by at
its highest point, threads are those it started.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import django
from django.conf import settings
from django.core.files.storage import FileSystemStorage, Storage

from benchmarks.rows import OURS, Row, cpu_seconds, in_child, peak_of, turns
from benchmarks.table import print_table
from benchmarks.wire import peer as django_storages
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.soak import grounds

READ, STREAM = "1,000 reads of 20 kB", "200 streams of 5 MB"
#: work: how many at once, and the bytes of each
WORKS = {READ: (1000, 20_000), STREAM: (200, 5_000_000)}
_PIECE = 256 * 1024


class Taken(NamedTuple):
    """Seconds, seconds of CPU, bytes more at the highest point, threads more."""

    time: float
    CPU: float
    memory: float
    threads: int


async def at_once(count: int, size: int, pieces: Callable[[], AsyncIterator[bytes]]) -> int:
    """Read a file `count` times at once; return how many threads there were at most."""
    before, most = threading.active_count(), 0

    async def one() -> None:
        nonlocal most
        got = 0
        async for piece in pieces():
            got += len(piece)
            most = max(most, threading.active_count())
        assert got == size, got

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
    return most - before


def of_ours(storage: FSSpecStorage, work: str) -> Callable[[], AsyncIterator[bytes]]:
    """Return what reads a file of ours."""

    async def read() -> AsyncIterator[bytes]:
        yield await storage.aget_content(work)

    return read if work == READ else lambda: storage.astream(work)


def of_another(storage: Storage, work: str) -> Callable[[], AsyncIterator[bytes]]:
    """Return what reads a file of another storage in threads."""

    async def read() -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(storage.open, work)
        try:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece
        finally:
            file.close()

    return read


def taken(storage: Storage, work: str) -> Taken:
    """Measure a work in this process, which is a new one."""
    count, size = WORKS[work]
    ours = isinstance(storage, FSSpecStorage)
    pieces = of_ours(storage, work) if ours else of_another(storage, work)  # type: ignore[arg-type]
    asyncio.run(at_once(1, size, pieces))
    threads: list[int] = []
    start, cpu = time.perf_counter(), cpu_seconds()
    memory = peak_of(lambda: threads.append(asyncio.run(at_once(count, size, pieces))))
    return Taken(time.perf_counter() - start, cpu_seconds() - cpu, memory, threads[0])


@contextlib.contextmanager
def sources() -> Iterator[dict[str, dict[str, Storage]]]:
    """Yield the storages by where they are and by name, with the files in them."""
    with servers.SeaweedS3() as s3, tempfile.TemporaryDirectory() as folder:
        client = s3.boto3_client()
        for work, (_, size) in WORKS.items():
            content = b"x" * size
            client.put_object(Bucket=s3.bucket, Key=f"scale/{work}", Body=content)
            (Path(folder) / work).write_bytes(content)
        client.close()
        yield {
            "S3": {
                OURS: FSSpecStorage(**grounds.s3_options(s3, "scale")),
                "django-storages": django_storages(s3, "scale", s3.endpoint_url),
            },
            "disk": {
                OURS: FSSpecStorage(fs="file", prefix=folder),
                "FileSystemStorage": FileSystemStorage(location=folder),
            },
        }


def measured(rounds: int) -> Iterator[tuple[str, dict[str, Taken]]]:
    """Yield work and what it takes by storage, in turns: medians, of threads the most."""
    with sources() as by_source:
        for source, storages in by_source.items():
            for work in WORKS:
                all_: dict[str, list[Taken]] = {name: [] for name in storages}
                for turn in range(rounds):
                    for name in sorted(storages, reverse=bool(turn % 2)):
                        all_[name].append(in_child(taken, storages[name], work))
                yield f"{work} at once, {source}", {n: _median(t) for n, t in all_.items()}


def _median(all_: list[Taken]) -> Taken:
    times, cpus, memories, threads = zip(*all_, strict=True)
    return Taken(median(times), median(cpus), median(memories), max(threads))


def _set_up() -> None:
    settings.configure(USE_TZ=True)
    django.setup()


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield rows for benchmarks.report."""
    _set_up()
    for work, by_name in measured(turns(quick)):
        own = by_name[OURS]
        for name, other in by_name.items():
            if name != OURS:
                yield Row(work, name, None, "time", own.time, other.time)
                yield Row(work, name, None, "CPU", own.CPU, other.CPU)
                yield Row(work, name, None, "memory", own.memory, other.memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    _set_up()
    table = [
        [
            work,
            name,
            f"{one.time:.2f}",
            f"{one.CPU:.2f}",
            f"{one.memory / 1e6:.1f}",
            one.threads,
        ]
        for work, by_name in measured(options.rounds)
        for name, one in by_name.items()
    ]
    head = ["work", "storage", "s", "s of CPU", "MB more", "threads more"]
    print_table(head, table, markdown=options.markdown)


if __name__ == "__main__":
    main()
