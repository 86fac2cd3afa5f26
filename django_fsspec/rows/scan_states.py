"""What a scanner says of a file, in the rows that have it: see uploads/scans.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.db import router, transaction
from django.db.models import Model, QuerySet

from .references import may_hold, stored_fields
from .values import Ref, files_of

if TYPE_CHECKING:
    from django_fsspec.objects.file_object import FileObject

    from .protocols import StoredField


def is_passed(ref: Ref) -> bool:
    """Return whether a row has the file, and all rows say that it passed.

    1 query for each ``StoredObjectField``.
    """
    files = [
        file
        for field in stored_fields()
        for row in _rows(field, ref)
        for file in _files(row, field, ref)
    ]
    return bool(files) and not any(file.scan_state for file in files)


def set_scan_state(ref: Ref, state: str) -> int:
    """Write a state, "" for none, into all rows that have the file; return their number."""
    number = 0
    for field in stored_fields():
        for pk in [row.pk for row in _rows(field, ref)]:
            using = router.db_for_write(field.model)
            with transaction.atomic(using=using):
                rows: QuerySet[Any] = QuerySet(field.model, using=using).order_by()
                row = rows.select_for_update().filter(pk=pk).first()
                if row is None or not (files := _files(row, field, ref)):
                    continue
                for file in files:
                    file.metadata.pop("scan_state", None)
                    if state:
                        file.metadata["scan_state"] = state
                row.save(using=using, update_fields=[field.name])
                number += 1
    return number


def _rows(field: StoredField, ref: Ref) -> Iterator[Model]:
    using = router.db_for_write(field.model)
    if may_hold(using, field.model):
        # not by the base manager: rows that it hides hold files too
        rows: QuerySet[Any] = QuerySet(field.model, using=using).order_by()
        for row in rows.filter(**{f"{field.name}__refers_to": [ref.name]}):
            if _files(row, field, ref):
                yield row


def _files(row: Model, field: StoredField, ref: Ref) -> list[FileObject]:
    files = files_of(getattr(row, field.attname))
    return [file for file in files if (file.backend, file.filename) == ref]
