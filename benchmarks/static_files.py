"""collectstatic to S3 beside two peers: `python -m benchmarks.static_files --count 1000`.

All run Django's command, ours and collectfasta's their own of it, over the same files and the same
proxy with a round trip of 20 ms, in turns.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import django
from django.core.management import BaseCommand, call_command
from django.test import override_settings

from benchmarks.rows import OURS, Row, in_turns, rows_of, turns
from benchmarks.table import print_table
from tests import servers
from tests.soak import grounds

LATENCY = 0.02
SIZE = 2_000
WORKERS = 32


def write(folder: Path, count: int) -> None:
    """Write style sheets that refer to pictures, a tenth of all files."""
    for number in range(count):
        if number % 10:
            (folder / f"{number}.svg").write_text(f"<svg id='{number}'/>".ljust(SIZE))
        else:
            text = f".a {{ background: url('{number + 1}.svg') }}".ljust(SIZE)
            (folder / f"{number}.css").write_text(text)


#: files for django-storages, which makes its requests one by one
FEW = 20
RUNS = {"first": "first run", "again": "unchanged", "newer": "unchanged, newer times"}
KINDS = {"collectstatic": "", "collectstatic, manifest": "Manifest"}


class Way(NamedTuple):
    """One way to collect a folder, each first time into another one of the bucket."""

    command: Callable[[], BaseCommand]
    config: Callable[[str], dict[str, Any]]
    folder: Path
    places: list[str]

    def first(self, n: int) -> None:
        from django.core.cache import cache

        cache.clear()  # collectfasta keeps there what it has stored
        self.places.append(grounds.folder("static"))
        self.again(n)

    def again(self, n: int) -> None:
        config = {
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": self.config(self.places[-1]),
        }
        with override_settings(STORAGES=config, STATICFILES_DIRS=[self.folder]):
            call_command(self.command(), interactive=False, verbosity=0, stdout=StringIO())

    def newer(self, n: int) -> None:
        later = time.time() + 3600 + n
        for path in self.folder.iterdir():
            os.utime(path, (later, later))
        self.again(n)


@contextmanager
def site(many: int, few: int) -> Iterator[tuple[servers.S3Server, servers.CountingProxy, Path]]:
    """Serve S3, and write two folders of so many files to be collected."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    cache = {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": 10 * many},
    }
    with (
        servers.SeaweedS3() as s3,
        servers.CountingProxy(s3.port, latency=LATENCY) as proxy,
        tempfile.TemporaryDirectory() as name,
        override_settings(
            STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
            CACHES={"default": cache},
            COLLECTFASTA_THREADS=WORKERS,
        ),
    ):
        for label, size in (("many", many), ("few", few)):
            Path(name, label).mkdir()
            write(Path(name, label), size)
        yield s3, proxy, Path(name)


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield ours against collectfasta with as many threads, and against django-storages scaled."""
    count = 100 if quick else 1000
    with site(count, FEW) as (s3, proxy, folder):
        for label, kind in KINDS.items():
            ways = ways_of(kind, s3, proxy.url, folder)
            with override_settings(COLLECTFASTA_STRATEGY=strategy(kind)):
                # with a manifest, times of files make no difference
                for run, what in [*RUNS.items()][: 2 if kind else 3]:
                    works = {way: getattr(each, run) for way, each in ways.items()}
                    taken = in_turns(works, rounds=turns(quick), proxy=proxy)
                    taken["django-storages"] = taken["django-storages"].scaled(count / FEW)
                    yield from rows_of(f"{label}, {count:,} files: {what}", taken, LATENCY)


def strategy(kind: str) -> str:
    """Return collectfasta's fastest."""
    return f"collectfasta.strategies.boto3.Boto3{'ManifestMemory' if kind else ''}Strategy"


def ways_of(kind: str, s3: servers.S3Server, endpoint: str, folder: Path) -> dict[str, Way]:
    from collectfasta.management.commands.collectstatic import Command as Collectfastas
    from django.contrib.staticfiles.management.commands.collectstatic import Command as Djangos

    from django_fsspec.management.commands.collectstatic import Command as Ours

    def our_config(place: str) -> dict[str, Any]:
        backend = f"django_fsspec.staticfiles.FSSpec{kind}StaticStorage"
        return {"BACKEND": backend, "OPTIONS": grounds.s3_options(s3, place, endpoint)}

    def their_config(place: str) -> dict[str, Any]:
        options = {
            "bucket_name": s3.bucket,
            "endpoint_url": endpoint,
            "access_key": s3.key,
            "secret_key": s3.secret,
            "querystring_auth": False,
            "location": place,
        }
        return {"BACKEND": f"storages.backends.s3.S3{kind}StaticStorage", "OPTIONS": options}

    return {
        OURS: Way(Ours, our_config, folder / "many", []),
        "collectfasta": Way(Collectfastas, their_config, folder / "many", []),
        # one request after the other
        "django-storages": Way(Djangos, their_config, folder / "few", []),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    with site(count, count) as (s3, proxy, folder):
        table = [
            row
            for label, kind in KINDS.items()
            for row in counted(label, ways_of(kind, s3, proxy.url, folder), proxy, kind)
        ]
    ways = (OURS, "collectfasta", "django-storages")
    titles = ("run", *(f"{way}{what}" for way in ways for what in ("", ": requests (writes)")))
    print(f"\n{count} files, {LATENCY * 1000:.0f} ms\n")
    print_table(titles, table)


def counted(
    label: str, ways: dict[str, Way], proxy: servers.CountingProxy, kind: str
) -> Iterator[list[str]]:
    """Yield what one run of each takes, and its requests that write."""
    with override_settings(COLLECTFASTA_STRATEGY=strategy(kind)):
        for run, what in RUNS.items():
            row = [f"{label}, {what}"]
            for way in ways.values():
                proxy.reset()
                start = time.perf_counter()
                getattr(way, run)(0)
                seconds = time.perf_counter() - start
                made = proxy.requests()
                writes = sum(request.method in ("PUT", "POST", "DELETE") for request in made)
                row += [f"{seconds:.2f} s", f"{len(made)} ({writes})"]
            yield row


if __name__ == "__main__":
    main()
