"""How much memory a transaction keeps to undo its uploads, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable

from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import transaction

from django_fsspec.testing import override_storage
from tests.soak.memory import _forget_peak, _status

#: rows of a bulk_create()
BATCH = 10


def content(number: int, size: int) -> ContentFile[bytes]:
    return ContentFile(bytes([number % 255 + 1]) * size, name=f"{number}.bin")


def _create(rows: int, size: int) -> None:
    from tests.library.models import Paper

    for number in range(rows):
        Paper.objects.create(file=content(number, size))


def _bulk_create(rows: int, size: int) -> None:
    from tests.library.models import Paper

    for start in range(0, rows, BATCH):
        numbers = range(start, min(start + BATCH, rows))
        Paper.objects.bulk_create([Paper(file=content(number, size)) for number in numbers])


def _replace(rows: int, size: int) -> None:
    from tests.library.models import Paper

    paper = Paper.objects.create()
    for number in range(rows):
        paper.file = content(number, size)
        paper.save()


def _append(rows: int, size: int) -> None:
    from tests.library.models import Shelf

    shelf = Shelf.objects.create()
    for number in range(rows):
        shelf.files.append(content(number, size))
        shelf.save()


WAYS: dict[str, Callable[[int, int], None]] = {
    "create": _create,
    "bulk_create": _bulk_create,
    "replace": _replace,
    "append": _append,
}


def peak(way: str, rows: int, size: int, folder: str) -> int:
    """Save rows in one of the `WAYS` in one transaction; return the highest point above idle."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    with override_storage(default={"fs": "file", "prefix": folder}):
        with transaction.atomic():
            WAYS[way](2, size)
        _forget_peak()
        idle = _status("VmRSS")
        with transaction.atomic():
            WAYS[way](rows, size)
        return _status("VmHWM") - idle
