"""What is done in a process with a site's settings; see machines.py."""

from __future__ import annotations

import hashlib
import random
import time
from io import StringIO

from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import DatabaseError, close_old_connections, connection

from tests.soak.memory import _forget_peak, _status

#: title of a row that ends ``churn()``
STOP = "stop"


def content_of(number: int) -> bytes:
    """Return what the file of a row holds: 1 to 1.5 kB."""
    return b"%d:" % number + hashlib.shake_256(str(number).encode()).digest(1000 + number % 500)


def command(*arguments: str) -> str:
    """Run a command of Django; return what it said."""
    # as a new process would: what it was connected with may be gone
    close_old_connections()
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def seed(count: int) -> None:
    """Store rows with a file each."""
    from tests.library.models import Paper

    # a test before may have cut it off
    connection.close()
    Paper.objects.bulk_create(
        Paper(title=str(n), file=ContentFile(content_of(n), name=f"{n}.txt")) for n in range(count)
    )


def churn(seed: str, share_deleted: float) -> tuple[int, int]:
    """Replace and delete rows at random until the database says stop; return how many of each.

    A row says in its title what its file holds.
    """
    from tests.library.models import Paper

    chance = random.Random(seed)
    replaced = deleted = 0
    while not Paper.objects.filter(title=STOP).exists():
        keys = list(Paper.objects.exclude(title=STOP).values_list("pk", flat=True))
        paper = Paper.objects.filter(pk=chance.choice(keys)).first()
        if paper is None:
            continue
        if chance.random() < share_deleted:
            paper.delete()
            deleted += 1
            continue
        number = chance.randrange(1_000_000, 1_000_000_000)
        paper.title = str(number)
        paper.file = ContentFile(content_of(number), name=f"{number}.txt")
        try:
            paper.save(force_update=True)
        except DatabaseError:  # somebody deleted the row
            continue
        replaced += 1
    return replaced, deleted


def stop() -> None:
    """Have ``churn()`` end."""
    from tests.library.models import Paper

    Paper.objects.create(title=STOP)


def lose(number: int) -> None:
    """Delete the file of a row, and leave the row."""
    from tests.library.models import Paper

    file = Paper.objects.get(title=str(number)).file
    file.storage.delete(file.filename)


def describe(count: int) -> None:
    """Store rows with a file each that is nowhere."""
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


def measured(*arguments: str) -> tuple[str, float, float]:
    """Run a command; return what it said, its seconds, and its peak in MB above idle."""
    connection.ensure_connection()
    _forget_peak()
    idle = _status("VmRSS")
    start = time.monotonic()
    said = command(*arguments)
    return said, time.monotonic() - start, (_status("VmHWM") - idle) / 1e6
