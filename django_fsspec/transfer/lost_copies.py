"""After rows are updated: look up copies again, then delete the source files.

A copy that a run did not write itself can be deleted by others until its row is updated: by a
sweep of the target, or by a run in the opposite direction, to which it is the source.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction

from django_fsspec.core.log_fields import log_fields
from django_fsspec.objects.existence import existence
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.columns import FileColumn
from django_fsspec.rows.compare_and_swap import RowSwap, swap
from django_fsspec.rows.references import values_of_rows
from django_fsspec.rows.values import Ref, refs_of

from .database_retries import retry

if TYPE_CHECKING:
    from .source_deletion import SourceDeletion

logger = logging.getLogger("django_fsspec")


class CopiedFile(NamedTuple):
    """A file of a row and its copy; `existed` if the target had the copy before."""

    pk: Any
    file: FileObject
    copy: FileObject
    existed: bool

    @property
    def ref(self) -> Ref:
        """The reference of the copy."""
        return Ref(self.copy.backend, self.copy.filename)


class Settled(NamedTuple):
    """Files whose copy is gone, and files whose source could not be deleted."""

    lost: list[CopiedFile]
    undeleted: list[CopiedFile]


def settle(
    column: FileColumn, files: Sequence[CopiedFile], deletion: SourceDeletion | None
) -> Settled:
    """Look up copies; rows whose copy is gone reference the source again.

    Where `deletion` is given, deletes the source files of all others. Asks the target for each
    copy that it had before: 1 request. Rows stay locked meanwhile, so that no other run updates
    them before their source files are deleted. Raises ``DatabaseError``.
    """
    asked = [copied for copied in files if copied.existed or deletion is not None]
    if not asked:
        return Settled([], [])
    settled = retry(column.using, partial(_settle, column, asked, deletion))
    for copied in settled.lost:
        logger.warning(
            "%s %s: others deleted the copy %r from %r; the file stays on %r.",
            column.label,
            copied.pk,
            copied.copy.filename,
            copied.copy.backend,
            column.source,
            extra=log_fields(copied.copy.backend, copied.copy.filename, operation="migrate"),
        )
    return settled


def _settle(
    column: FileColumn, files: Sequence[CopiedFile], deletion: SourceDeletion | None
) -> Settled:
    field: Any = column.field
    with transaction.atomic(using=column.using):
        values = values_of_rows(column.using, [field], {copied.pk for copied in files})
        # rows of a FileField do not tell on which side their files are
        doubtful = {
            copied.ref
            for copied in files
            if (copied.existed or column.is_file_field) and _holds(values, copied)
        }
        exists = existence(doubtful)
        lost = [copied for copied in files if exists.get(copied.ref) is False]
        if not column.is_file_field:
            _put_back(column, values, lost)
        if deletion is None:
            return Settled(lost, [])
        unknown = [copied for copied in files if exists.get(copied.ref, True) is None]
        kept = {copied.file.filename for copied in [*lost, *unknown]}
        left = deletion.delete(column, {copied.file.filename for copied in files} - kept)
        undeleted = [copied for copied in files if copied.file.filename in left]
        return Settled(lost, [*unknown, *undeleted])


def _holds(values: Mapping[Any, tuple[Any, ...]], copied: CopiedFile) -> bool:
    """Return whether a row still references the copy."""
    value = values.get(copied.pk, (None,))[0]
    if isinstance(value, str):
        return value == copied.copy.filename
    return value is not None and copied.ref in refs_of(value)


def _put_back(
    column: FileColumn, values: Mapping[Any, tuple[Any, ...]], lost: Sequence[CopiedFile]
) -> None:
    """Replace copies that are gone by their originals, in rows that reference them."""
    originals: defaultdict[Any, dict[Ref, FileObject]] = defaultdict(dict)
    for copied in lost:
        if _holds(values, copied):
            originals[copied.pk][copied.ref] = copied.file
    field: Any = column.field
    swaps = [
        RowSwap(pk, values[pk][0]._raw, _replaced(values[pk][0], by_ref))
        for pk, by_ref in originals.items()
    ]
    swap(column.using, field, swaps)


def _replaced(value: Any, originals: Mapping[Ref, FileObject]) -> Any:
    if isinstance(value, FileObject):
        return originals[Ref(value.backend, value.filename)]
    return [originals.get(Ref(file.backend, file.filename), file) for file in value]
