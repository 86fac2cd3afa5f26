"""What processes of a site do; see machines.py. What a job returns is printed as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from io import StringIO
from typing import Any

import django


def seed(count: int) -> None:
    """Store rows with a file each."""
    from django.core.files.base import ContentFile

    from tests.library.models import Paper
    from tests.soak.machines import content_of

    Paper.objects.bulk_create(
        Paper(title=str(n), file=ContentFile(content_of(n), name=f"{n}.txt")) for n in range(count)
    )


def lose(number: int) -> None:
    """Delete the file of a row, and leave the row."""
    from tests.library.models import Paper

    file = Paper.objects.get(title=str(number)).file
    file.storage.delete(file.filename)


def describe(count: int) -> None:
    """Store rows with a file each that is nowhere."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO library_paper (title, file)
            SELECT n, jsonb_build_object(
                'filename', 'papers/2026/report_' || n || '_aB3dE9x.pdf', 'size', 1000,
                'content_type', 'application/pdf', 'last_modified', 1767225600.0,
                'checksum', 'sha256:' || repeat('0', 64), 'etag', repeat('0', 32),
                'version_id', NULL, 'backend', 'default',
                'metadata', jsonb_build_object('original_name', 'report.pdf'))
            FROM generate_series(1, %s) AS n
            """,
            [count],
        )
        cursor.execute("ANALYZE library_paper")


def measure(*options: str) -> tuple[str, float, float]:
    """Run ``migrate_files``; return what it said, its seconds, and its peak in MB above idle."""
    from django.core.management import call_command
    from django.db import connection

    from tests.soak.memory import _forget_peak, _status

    connection.ensure_connection()
    out = StringIO()
    _forget_peak()
    idle = _status("VmRSS")
    start = time.monotonic()
    where = ("--from", "default", "--to", "far")
    call_command("migrate_files", "library.Paper", *where, *options, stdout=out)
    seconds = time.monotonic() - start
    return out.getvalue(), seconds, (_status("VmHWM") - idle) / 1e6


JOBS: dict[str, Callable[..., Any]] = {
    "seed": seed,
    "lose": lose,
    "describe": describe,
    "measure": measure,
}


def main() -> None:
    """Do one job."""
    django.setup()
    print(json.dumps(JOBS[sys.argv[1]](*json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
