"""HTTP requests per operation against django-storages: `python -m benchmarks.wire`.

Both talk to the same SeaweedFS through a proxy that counts. The budget is the design's; the
tests assert it (tests/adapters/test_s3_requests.py). With `--times`, time and CPU of this process
for small files, at round trips of 0 and 20 ms: medians of rounds in which both take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import django
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage

from benchmarks.table import print_table
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.soak import grounds, wire


def peer(s3: servers.S3Server, folder: str, endpoint: str) -> Storage:
    """Return django-storages' S3Storage, told not to overwrite, as Django's own does not."""
    from storages.backends.s3 import S3Storage

    storage: Storage = S3Storage(
        access_key=s3.key,
        secret_key=s3.secret,
        bucket_name=s3.bucket,
        endpoint_url=endpoint,
        region_name="us-east-1",
        location=folder,
        addressing_style="path",
        signature_version="s3v4",
        file_overwrite=False,
    )
    return storage


def table(s3: servers.S3Server, proxy: servers.CountingProxy) -> list[list[Any]]:
    """Return operation, ours, theirs, budget for every operation."""
    storages: dict[str, Storage] = {}
    for name in ("ours", "theirs"):
        folder = grounds.folder(name)
        wire.seed(s3, folder, many=True)
        if name == "ours":
            storages[name] = FSSpecStorage(**grounds.s3_options(s3, folder, proxy.url))
        else:
            storages[name] = peer(s3, folder, proxy.url)
    return [
        [operation.label, f"{made['ours']:,}", f"{made['theirs']:,}", f"{operation.budget:,}"]
        for operation, made in wire.counts(proxy, storages)
    ]


SMALL = b"x" * 20_000
LATENCIES = (0.0, 0.02)


def read(storage: Storage) -> None:
    with storage.open("read.bin") as file:
        assert len(file.read()) == len(SMALL)


#: done one after another, each time with another number
TIMED: dict[str, Callable[[Storage, int], object]] = {
    "save 20 kB": lambda storage, n: storage.save(f"{n}.bin", ContentFile(SMALL)),
    "open().read() 20 kB": lambda storage, n: read(storage),
    "exists": lambda storage, n: storage.exists("read.bin"),
    "exists (miss)": lambda storage, n: storage.exists("missing.bin"),
    "size": lambda storage, n: storage.size("read.bin"),
    "get_modified_time": lambda storage, n: storage.get_modified_time("read.bin"),
    "url": lambda storage, n: storage.url(f"{n}.bin"),
    "delete": lambda storage, n: storage.delete(f"{n}.bin"),
}


def times(
    storages: dict[str, Storage], rounds: int, count: int
) -> Iterator[tuple[str, dict[str, tuple[float, float]]]]:
    """Yield operation, and for each storage milliseconds and milliseconds of CPU."""
    for label, do in TIMED.items():
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in storages}
        for turn in range(-1, rounds):  # the first is not counted
            for name, storage in sorted(storages.items(), reverse=bool(turn % 2)):
                start, cpu = time.perf_counter(), time.process_time()
                for number in range(count):
                    do(storage, (turn + 1) * count + number)
                end = time.perf_counter() - start, time.process_time() - cpu
                taken[name].append((end[0] / count * 1000, end[1] / count * 1000))
        yield (
            label,
            {
                name: (median(t[0] for t in each[1:]), median(t[1] for t in each[1:]))
                for name, each in taken.items()
            },
        )


def time_table(
    s3: servers.S3Server, proxy: servers.CountingProxy, rounds: int, count: int
) -> list[list[Any]]:
    """Return operation, and ours, theirs and their ratio, of time and of CPU."""
    rows: list[list[Any]] = []
    for latency in LATENCIES:
        proxy.shape(latency=latency)
        folder = grounds.folder("times")
        storages: dict[str, Storage] = {
            "ours": FSSpecStorage(**grounds.s3_options(s3, f"{folder}/ours", proxy.url)),
            "theirs": peer(s3, f"{folder}/theirs", proxy.url),
        }
        for storage in storages.values():
            storage.save("read.bin", ContentFile(SMALL))
        for label, made in times(storages, rounds, count):
            row: list[Any] = [f"{label}, {latency * 1000:.0f} ms"]
            for ours, theirs in zip(made["ours"], made["theirs"], strict=True):
                row += [f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.1f}"]
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--times", action="store_true", help="time and CPU instead of requests")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=30, help="operations of a round")
    options = parser.parse_args()
    settings.configure(USE_TZ=True)
    django.setup()
    with servers.SeaweedS3() as s3, servers.CountingProxy(s3.port) as proxy:
        if options.times:
            rows = time_table(s3, proxy, options.rounds, options.count)
            head = ["", "ms", "theirs", "ratio", "ms of CPU", "theirs", "ratio"]
            print_table(head, rows, markdown=options.markdown)
            return
        rows = table(s3, proxy)
    head = ["operation, requests", "django-fsspec-storage", "django-storages", "budget"]
    print_table(head, rows, markdown=options.markdown)
    over = [row[0] for row in rows if int(row[1].replace(",", "")) > int(row[3].replace(",", ""))]
    print(f"\nOver the budget: {', '.join(over) or 'nothing'}.")


if __name__ == "__main__":
    main()
