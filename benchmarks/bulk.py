"""Many small files to S3 at 20 ms round trip, at once and one by one: `python -m benchmarks.bulk`.

Both make the same requests, through the same proxy, in one run. Memory is what the kernel says
that the process takes at its highest point, above what it took before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

import django
from django.conf import settings

from benchmarks.rows import peak_of
from benchmarks.table import print_table
from tests import servers
from tests.soak import grounds

LATENCY = 0.02
SIZE = 10_000
RATIO = 15
MEMORY = 100_000_000


class Taken(NamedTuple):
    seconds: float
    #: bytes above those before, at the highest point
    memory: int
    requests: int


def taken(proxy: servers.CountingProxy, work: Callable[[], object]) -> Taken:
    """Do `work` and return what it took."""
    proxy.reset()
    start = time.perf_counter()
    memory = peak_of(work)
    return Taken(time.perf_counter() - start, memory, len(proxy.requests()))


def measure(
    proxy: servers.CountingProxy, count: int, concurrency: int, rounds: int
) -> dict[str, Taken]:
    """Return what each way of storing `count` files takes; of those at once the best round."""
    from django_fsspec import FileObject, asave_files, save_files
    from tests.library.models import Paper

    contents = [os.urandom(SIZE) for _ in range(count)]

    def files() -> list[FileObject]:
        folder = grounds.folder("bulk")
        return [
            FileObject("s3", f"{folder}/{number}.bin", content=content)
            for number, content in enumerate(contents)
        ]

    def one_by_one() -> None:
        for file in files():
            file.save()

    def at_once() -> None:
        save_files(files(), concurrency=concurrency)

    def awaited() -> None:
        asyncio.run(asave_files(files(), concurrency=concurrency))

    def created() -> None:
        for file in files():
            Paper.objects.create(file=file)

    def bulk_created() -> None:
        Paper.objects.bulk_create(Paper(file=file) for file in files())

    FileObject("s3", "warm-up", content=b"x").save()
    Paper.objects.create(file=FileObject("s3", "warm-up", content=b"x"))
    found = {
        "save() in a loop": taken(proxy, one_by_one),
        "create() in a loop": taken(proxy, created),
    }
    several = {
        "save_files()": at_once,
        "asave_files()": awaited,
        "bulk_create()": bulk_created,
    }
    for label, work in several.items():
        seen = [taken(proxy, work) for _ in range(rounds)]
        best = min(seen, key=lambda one: one.seconds)
        found[label] = best._replace(memory=max(one.memory for one in seen))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    rows = tempfile.TemporaryDirectory()
    settings.configure(
        USE_TZ=True,
        INSTALLED_APPS=["django_fsspec", "tests.library"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{rows.name}/rows.sqlite3",
            }
        },
    )
    django.setup()

    from django.core.management import call_command

    from django_fsspec.testing import override_storage

    call_command("migrate", run_syncdb=True, verbosity=0)

    with (
        servers.SeaweedS3() as s3,
        servers.CountingProxy(s3.port, latency=LATENCY) as proxy,
        override_storage(s3=grounds.s3_options(s3, "bench", proxy.url)),
    ):
        found = measure(proxy, options.files, options.concurrency, options.rounds)
    rows.cleanup()
    single = {
        label: found["create() in a loop" if "create" in label else "save() in a loop"].seconds
        for label in found
    }
    table = [
        [
            label,
            f"{one.seconds:.2f}",
            f"{single[label] / one.seconds:.1f}",
            f"{one.memory / 1e6:.0f}",
            f"{one.requests:,}",
        ]
        for label, one in found.items()
    ]
    head = [f"{options.files:,} x {SIZE // 1000} kB at 20 ms", "s", "ratio", "MB more", "requests"]
    print_table(head, table, markdown=options.markdown)
    print(
        f"\nTarget: ratio >= {RATIO} with less than {MEMORY / 1e6:.0f} MB. "
        f"Best of {options.rounds}, {options.concurrency} at once."
    )


if __name__ == "__main__":
    main()
