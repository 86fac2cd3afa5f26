"""Saving many rows by ``QuerySet.bulk_create()``: store their files concurrently before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import NotSupportedError

from .references import stored_fields_of
from .saving import ColumnWrite, FileSave

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model


class BulkSave(FileSave):
    """One ``bulk_create()``, in a transaction of its own where it stores files."""

    def __init__(self, model: type[Model], connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self._fields = stored_fields_of(model)
        self._may_conflict = False

    def store(
        self, rows: Sequence[Model], *, ignores: bool, updates: bool, update_fields: Any
    ) -> None:
        """Store the files of `rows`.

        With `ignores`, and with `updates` of other fields, the database does not say which rows
        it inserted: files that no row holds after the commit are deleted then. Raises
        ``NotSupportedError`` where a conflict would replace files, and what ``save_files()``
        raises.
        """
        writes = [ColumnWrite(field, row, adding=True) for row in rows for field in self._fields]
        writes = [write for write in writes if not write.is_expression]
        names = {getattr(field, "name", field) for field in update_fields or ()}
        for write in writes:
            if updates and write.value and write.field.name in names:
                raise NotSupportedError(
                    f"bulk_create(update_conflicts=True) can't tell which files of {write.field} "
                    f"it replaces. Use update_or_create(), or leave {write.field.name!r} out of "
                    "update_fields."
                )
        self.prepare(writes)
        self._may_conflict = ignores or updates
        if self._may_conflict:
            for change in self.changes:
                if change.stored is not None:
                    change.replaced.add(change.stored)

    def remember_written(self) -> None:
        """Remember what the columns hold now, if it is known which rows were inserted."""
        if not self._may_conflict:
            super().remember_written()
