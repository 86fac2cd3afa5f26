"""Many names beside many rows, in a process of their own: memory, time, result of a command."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from django_fsspec.core.stat import Stat
from django_fsspec.storage import FSSpecStorage
from tests.soak.memory import _forget_peak, _status

ROOT = Path(__file__).resolve().parents[2]
#: names that only rows hold, and as many that only the listing shows
ODD = 1000
_TIME = datetime(2026, 1, 1, tzinfo=UTC)


class Took(NamedTuple):
    """What a command took: bytes at the highest point, in all and above idle, and seconds."""

    peak: int
    above: int
    seconds: float
    printed: str


def name_of(number: int) -> str:
    """Return a name as ``upload_to="papers/%Y/%m"`` makes them; not in the order of numbers."""
    return f"papers/2026/{number % 12 + 1:02}/report_{number * 7919 % 10_000_019:08}_aB3dE9x.pdf"


class ManyObjects(FSSpecStorage):
    """Lists as many objects as the environment says; keeps none."""

    def walk(self, prefix: str = "") -> Iterator[Stat]:
        """Yield those of all months, or of the one whose folder is given; in no order."""
        first, step = (int(prefix[-2:]) - 1, 12) if prefix else (0, 1)
        for number in range(first, int(os.environ["SWEEP_COUNT"]), step):
            # of each tenth, rows tell another size
            size = 1001 if number % 10 == 0 else 1000
            yield Stat(name=name_of(number), size=size, last_modified=_TIME)

    def delete_many(self, names: Iterable[str]) -> None:
        """Keep what is not there."""


def command(count: int, *arguments: str, **environment: str) -> Took:
    """Call a command beside `count` objects and rows, in a new process, on SQLite unless told."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", __name__, *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "DJANGO_FSSPEC_DATABASE": "sqlite",
                "DJANGO_FSSPEC_VAR": folder,
                "SWEEP_COUNT": str(count),
                **environment,
            },
            stdout=subprocess.PIPE,
            check=True,
        )
    return Took(*json.loads(done.stdout))


def _seed(count: int) -> None:
    """Store rows of three models, their names `ODD` further than those of the listing."""
    from django.core.management import call_command
    from django.db import connection, transaction

    call_command("migrate", run_syncdb=True, verbosity=0)

    def described(number: int) -> dict[str, Any]:
        return {
            "filename": name_of(number),
            "content_type": "application/pdf",
            "size": 1000,
            "last_modified": 1767225600.0,
            "checksum": "sha256:" + "0" * 64,
            "etag": "d41d8cd98f00b204e9800998ecf8427e",
            "version_id": None,
            "metadata": {"original_name": "report.pdf"},
            "backend": "default",
        }

    def insert(sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            batch: list[tuple[Any, ...]] = []
            for row in rows:
                batch.append(row)
                if len(batch) == 5000:
                    cursor.executemany(sql, batch)
                    batch.clear()
            cursor.executemany(sql, batch)

    first, second = count * 8 // 10, count * 95 // 100
    insert(
        "INSERT INTO library_paper (title, file) VALUES ('', %s)",
        ((json.dumps(described(n + ODD)),) for n in range(first)),
    )
    insert(
        "INSERT INTO library_attachment (title, file, picture) VALUES ('', %s, '')",
        ((name_of(n + ODD),) for n in range(first, second)),
    )
    insert(
        "INSERT INTO library_shelf (files) VALUES (%s)",
        ((json.dumps([described(n + ODD)]),) for n in range(second, count)),
    )


def main() -> None:
    """Seed, call the command, and print what it took."""
    import django

    django.setup()
    from django.core.management import CommandError, call_command
    from django.test import override_settings

    _seed(int(os.environ["SWEEP_COUNT"]))
    backend = {"BACKEND": "tests.soak.sweeping.ManyObjects", "OPTIONS": {"fs": "memory"}}
    out = io.StringIO()
    _forget_peak()
    idle = _status("VmRSS")
    start = time.monotonic()
    with (
        override_settings(STORAGES={"default": backend}),
        contextlib.suppress(CommandError),  # rows are missing
    ):
        call_command(*sys.argv[1:], stdout=out)
    seconds = time.monotonic() - start
    peak = _status("VmHWM")
    print(json.dumps([peak, peak - idle, seconds, out.getvalue()]))


if __name__ == "__main__":
    main()
