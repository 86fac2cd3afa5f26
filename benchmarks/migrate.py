"""Local files to S3 with rows, beside rclone and django-storages: `python -m benchmarks.migrate`.

One server, one proxy, one run. Ours updates the rows as well (SQLite on disk); rclone copies.
django-storages copies fewer files, one by one, and its time is scaled.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import django
from django.conf import settings

from benchmarks import rclone
from benchmarks.rows import OURS, Row, Work, in_turns, rows_of, turns, whole_peak_of
from benchmarks.table import print_table
from tests import servers

SIZE = 10_000
WORKERS = 32
#: files that django-storages copies, one by one
FEW = 50


def configure(folder: Path, s3: servers.S3Server, endpoint: str) -> None:
    options = {**s3.fs_options, "endpoint_url": endpoint}
    ours = "django_fsspec.storage.FSSpecStorage"
    settings.configure(
        USE_TZ=True,
        SECRET_KEY="of a benchmark",
        INSTALLED_APPS=["django_fsspec", "tests.library"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(folder / "rows.sqlite3"),
            }
        },
        STORAGES={
            "disk": {"BACKEND": ours, "OPTIONS": {"fs": "file", "prefix": str(folder / "files")}},
            "s3": {
                "BACKEND": ours,
                "OPTIONS": {"fs": "s3", "prefix": f"{s3.bucket}/ours", "fs_options": options},
            },
        },
    )
    django.setup()


def fill(count: int, first: int = 0) -> None:
    """Make rows with files on the disk, those from number `first` to `count`."""
    from django.core.management import call_command

    from django_fsspec import FileObject
    from tests.library.models import Paper

    call_command("migrate", run_syncdb=True, verbosity=0)
    for start in range(first, count, 1000):
        Paper.objects.bulk_create(
            Paper(file=FileObject("disk", f"papers/{n:06}.bin", content=os.urandom(SIZE)))
            for n in range(start, min(start + 1000, count))
        )


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ours(count: int) -> None:
    from django_fsspec.transfer.engine import Engine
    from django_fsspec.transfer.journal import Journal
    from django_fsspec.transfer.plan import columns
    from tests.library.models import Paper

    journal = Journal()
    Engine("s3", journal, workers=WORKERS).run(columns(["library.Paper"], source="disk"))
    moved = Paper.objects.filter(file__backend="s3").count()
    if moved != count or journal.failed:
        sys.exit(f"{moved} of {count} were moved: {journal.failures[:3]}")


def back() -> None:
    """Have the rows on the disk again, and what was copied forgotten."""
    from django_fsspec import FileObject
    from tests.library.models import Paper

    rows = list(Paper.objects.all())
    names = [row.file.name for row in rows]
    for row in rows:
        row.file = FileObject.from_dict({**row.file.to_dict(), "backend": "disk"})
    Paper.objects.bulk_update(rows, ["file"], batch_size=300)
    from django.core.files.storage import storages

    storage: Any = storages["s3"]
    storage.delete_many(names)


def django_storages(folder: Path, s3: servers.S3Server, endpoint: str, count: int) -> None:
    from django.core.files.base import File
    from storages.backends.s3 import S3Storage

    storage = S3Storage(
        bucket_name=s3.bucket,
        access_key=s3.key,
        secret_key=s3.secret,
        endpoint_url=endpoint,
        region_name="us-east-1",
        location="theirs",
        file_overwrite=False,
    )
    for path in sorted((folder / "files" / "papers").iterdir())[:count]:
        with path.open("rb") as opened:
            storage.save(path.name, File(opened, path.name))


def measure(folder: Path, s3: servers.S3Server, endpoint: str, options: Any) -> dict[str, float]:
    few = min(options.files, options.few)
    taken = {"rclone": [], "ours": []}  # type: dict[str, list[float]]
    for number in range(options.rounds):
        name = f"rclone-{endpoint.rpartition(':')[2]}-{number}"
        taken["rclone"].append(
            timed(
                functools.partial(
                    rclone.copy, folder / "files", s3, endpoint, name, at_once=WORKERS
                )
            )
        )
        taken["ours"].append(timed(lambda: ours(options.files)))
        back()
    theirs = timed(lambda: django_storages(folder, s3, endpoint, few))
    best = {who: min(seconds) for who, seconds in taken.items()}
    return {**best, "django-storages": theirs * options.files / few}


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield ours against rclone, and against django-storages scaled from few files.

    Processes are compared as wholes in memory.
    """
    done = 0
    with (
        tempfile.TemporaryDirectory() as name,
        servers.SeaweedS3() as s3,
        servers.CountingProxy(s3.port) as proxy,
    ):
        folder = Path(name)
        configure(folder, s3, proxy.url)
        for latency, count in ((0.0, 1000), (0.02, 10_000))[: 1 if quick else None]:
            proxy.shape(latency=latency)
            fill(count, first=done)
            done = count
            yield from rows_at(folder, s3, proxy, latency, count, turns(quick))


def rows_at(
    folder: Path,
    s3: servers.S3Server,
    proxy: servers.CountingProxy,
    latency: float,
    count: int,
    rounds: int,
) -> Iterator[Row]:
    label = f"migrate {count:,} files and rows from the disk"
    peaks: dict[str, list[int]] = {OURS: [], "rclone": []}

    def move(n: int) -> None:
        peaks[OURS].append(whole_peak_of(lambda: ours(count)))

    def copy(n: int) -> None:
        target = f"rclone-{latency}-{n}"
        peaks["rclone"].append(
            rclone.copy(folder / "files", s3, proxy.url, target, at_once=WORKERS)
        )

    works = {OURS: move, "rclone": copy}
    taken = in_turns(works, rounds=rounds, proxy=proxy, after=back)
    memory = {way: median(peaks[way][1:]) for way in works}
    taken = {way: each._replace(memory=memory[way]) for way, each in taken.items()}
    theirs: Work = lambda n: django_storages(folder, s3, proxy.url, FEW)  # noqa: E731
    few = in_turns({"few": theirs}, rounds=rounds, proxy=proxy)["few"]
    taken["django-storages"] = few.scaled(count / FEW)
    yield from rows_of(label, taken, latency)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=200, help="files that django-storages copies")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds of a round trip")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        servers.SeaweedS3() as s3,
        servers.CountingProxy(s3.port, latency=options.latency) as proxy,
    ):
        folder = Path(temporary)
        endpoint = proxy.url if options.latency else s3.endpoint_url
        configure(folder, s3, endpoint)
        fill(options.files)
        best = measure(folder, s3, endpoint, options)
    rows = [
        [
            who,
            f"{seconds:.1f}",
            f"{seconds / options.files * 1e3:.2f}",
            f"{seconds / best['ours']:.2f}",
        ]
        for who, seconds in best.items()
    ]
    head = [
        f"{options.files} x 10 kB to S3, {options.latency * 1e3:.0f} ms",
        "s",
        "ms a file",
        "x ours",
    ]
    print_table(head, rows, markdown=options.markdown)
    print("\nTargets: rclone at least 1.00 at 20 ms, 0.60 at none; django-storages 30 at 20 ms.")


if __name__ == "__main__":
    main()
