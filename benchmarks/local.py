"""The local disk against Django's FileSystemStorage: `python -m benchmarks.local`.

Both store under one temporary directory, in one run, a few calls of one then of the other, in
turns; the median over all rounds is compared. Django computes no checksum, so the fair line is
ours with `checksum=None`; the other shows what the sha256 of the default costs.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import django
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage

from benchmarks.rows import OURS, Row, Taken, Work, in_turns, rows_of
from benchmarks.table import print_table
from django_fsspec.storage import FSSpecStorage

TARGET = 1.1
PEER = "FileSystemStorage"

#: takes a storage and a name that is new for each call, and does one operation
Operation = Callable[[Storage, str], object]


def saving(size: int) -> Operation:
    data = bytes(range(256)) * (size // 256 + 1)

    def save(storage: Storage, name: str) -> object:
        return storage.save(name, ContentFile(data[:size]))

    return save


def reading(label: str) -> Operation:
    def read(storage: Storage, name: str) -> object:
        with storage.open(label) as file:
            return file.read()

    return read


SEED = {"10 kB": 10_000, "1 MB": 1_000_000}
OPERATIONS: dict[str, tuple[int, Operation]] = {
    # label: (calls a round, operation)
    "save 10 kB": (20, saving(10_000)),
    "save 1 MB": (4, saving(1_000_000)),
    "open+read 10 kB": (20, reading("10 kB")),
    "open+read 1 MB": (10, reading("1 MB")),
    "exists (hit)": (50, lambda storage, _: storage.exists("10 kB")),
    "exists (miss)": (50, lambda storage, _: storage.exists("missing")),
    "size": (50, lambda storage, _: storage.size("10 kB")),
    "url": (100, lambda storage, _: storage.url("folder/10 kB")),
}


def storages(directory: Path) -> dict[str, Storage]:
    """Return the storages to compare, each over a folder of its own and seeded."""
    made: dict[str, Storage] = {
        PEER: FileSystemStorage(location=str(directory / "django"), base_url="/media/"),
        "ours": FSSpecStorage(
            fs="file", prefix=str(directory / "ours"), base_url="/media/", checksum=None
        ),
        "ours, sha256": FSSpecStorage(
            fs="file", prefix=str(directory / "sha256"), base_url="/media/"
        ),
    }
    for storage in made.values():
        seeded(storage)
    return made


def seeded(storage: Storage) -> Storage:
    """Store what is read, and return the storage."""
    for label, size in SEED.items():
        assert storage.save(label, ContentFile(b"x" * size)) == label
    return storage


def timed(operation: Operation, storage: Storage, names: Sequence[str]) -> float:
    """Return the seconds that one call takes."""
    start = time.perf_counter()
    for name in names:
        operation(storage, name)
    return (time.perf_counter() - start) / len(names)


def measure(
    made: dict[str, Storage], directory: Path, rounds: int
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each operation with the median seconds of each storage."""
    count = itertools.count()
    for label, (calls, operation) in OPERATIONS.items():
        times: dict[str, list[float]] = {name: [] for name in made}
        for turn in range(rounds + 1):
            order = list(made)[turn % len(made) :] + list(made)[: turn % len(made)]
            for name in order:
                new = [f"new/{next(count)}.bin" for _ in range(calls)]
                took = timed(operation, made[name], new)
                if turn:  # the first one warms up
                    times[name].append(took)
            for file in directory.glob("*/new/*"):
                file.unlink()
        yield label, {name: statistics.median(all_) for name, all_ in times.items()}


def ratios(rounds: int, directory: str | None = None) -> dict[str, dict[str, float]]:
    """Return the median seconds of each storage for each operation."""
    with tempfile.TemporaryDirectory(dir=directory, prefix="benchmark-") as made_in:
        base = Path(made_in)
        made = storages(base)
        gc.collect()
        gc.disable()
        try:
            return dict(measure(made, base, rounds))
        finally:
            gc.enable()


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield ours against Django's own, on the disk with and without a checksum, and in memory."""
    settings.configure(USE_TZ=True)
    django.setup()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        made = storages(Path(name))
        memory: dict[str, Storage] = {
            OURS: seeded(FSSpecStorage(fs="memory", base_url="/media/")),
            "InMemoryStorage": seeded(InMemoryStorage(base_url="/media/")),
        }
        pairs = {
            "disk": {OURS: made["ours, sha256"], PEER: made[PEER]},
            "disk, checksum=None": {OURS: made["ours"], PEER: made[PEER]},
            "memory": memory,
        }
        for place, pair in pairs.items():
            for label, (calls, operation) in OPERATIONS.items():
                if "checksum" in place and not label.startswith("save"):
                    continue
                yield from rows_of(
                    f"{place}: {label}", pair_in_turns(pair, calls, operation, quick)
                )


def pair_in_turns(
    pair: dict[str, Storage], calls: int, operation: Operation, quick: bool
) -> dict[str, Taken]:
    def work(storage: Storage) -> Work:
        return lambda n: operation(storage, f"new/{n}.bin")

    def sweep() -> None:
        for storage in pair.values():
            with contextlib.suppress(FileNotFoundError):
                for file in storage.listdir("new")[1]:
                    storage.delete(f"new/{file}")

    works = {name: work(storage) for name, storage in pair.items()}
    return in_turns(works, rounds=1 if quick else 75, calls=calls, after=sweep)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--directory", help="where to store (default: the temporary directory)")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    settings.configure(USE_TZ=True)
    django.setup()

    rows = []
    slow = []
    for label, medians in ratios(options.rounds, options.directory).items():
        peer = medians[PEER]
        ratio, hashed = medians["ours"] / peer, medians["ours, sha256"] / peer
        if ratio > TARGET:
            slow.append(label)
        micro = [f"{medians[name] * 1e6:.1f}" for name in medians]
        rows.append([label, *micro, f"{ratio:.2f}", f"{hashed:.2f}"])
    head = ["operation, in µs", PEER, "ours", "ours, sha256", "ratio", "ratio, sha256"]
    print_table(head, rows, markdown=options.markdown)
    verdict = f"above it: {', '.join(slow)}" if slow else "all within it"
    print(f"\nTarget: ratio <= {TARGET}; {verdict}. Median of {options.rounds} rounds in turns.")


if __name__ == "__main__":
    main()
