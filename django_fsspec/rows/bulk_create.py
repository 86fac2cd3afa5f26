"""Saving many rows by ``QuerySet.bulk_create()``: store their files concurrently before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.db import NotSupportedError

from .references import stored_fields_of
from .saving import ColumnWrite, FileSave

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model


def set_related_keys(rows: Iterable[Model]) -> None:
    """Set the keys of related rows, which a callable `upload_to` may use: Django does it later.

    Raises ``ValueError`` for an unsaved related row. As in Django, that ends no transaction.
    """
    for row in rows:
        if prepare := getattr(row, "_prepare_related_fields_for_save", None):
            prepare(operation_name="bulk_create")


class BulkSave(FileSave):
    """One ``bulk_create()``, in a transaction of its own where it stores files.

    With `handles_conflicts` the database does not say which rows it inserted: files that no row
    holds after the commit are deleted then. Raises ``NotSupportedError`` if a conflict updates
    files, because it is unknown which it replaces.
    """

    def __init__(
        self,
        model: type[Model],
        connection: BaseDatabaseWrapper,
        updated: Iterable[Any],
        *,
        handles_conflicts: bool,
    ) -> None:
        super().__init__(connection)
        self._fields = stored_fields_of(model)
        self._handles_conflicts = handles_conflicts
        names = set(updated)
        for field in self._fields:
            if field.name in names:
                raise NotSupportedError(
                    f"bulk_create(update_conflicts=True) can't tell which files of {field} it "
                    f"replaces. Use update_or_create(), or leave {field.name!r} out of "
                    "update_fields."
                )

    def store(self, rows: Sequence[Model]) -> None:
        """Store the files of `rows`. Raises what ``save_files()`` raises."""
        writes = [ColumnWrite(field, row, adding=True) for row in rows for field in self._fields]
        self.prepare([write for write in writes if not write.is_expression])
        if self._handles_conflicts:
            for change in self.changes:
                if change.stored is not None:
                    change.replaced.add(change.stored)

    def remember_written(self) -> None:
        """Remember what the columns hold now, if it is known which rows were inserted."""
        if not self._handles_conflicts:
            super().remember_written()
