"""Deletion of rows: their files are read once the rows are locked, and deleted on commit."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connections

from .references import stored_among, values_of_rows
from .transactions import FileChange, settle
from .values import refs_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

    from .protocols import StoredField


def row_deleted(sender: type[Model], instance: Model, using: str, **kwargs: Any) -> None:
    """Delete the files of a row when its deletion is committed (receiver of ``pre_delete``)."""
    # files of a parent model go with the parent's row, which sends a signal of its own
    own = (sender._meta.concrete_model or sender)._meta.local_concrete_fields
    fields = [field for field in stored_among(own) if field.cleanup]
    if fields:
        _Deletion.on(connections[using]).add(fields, instance)


class _Deletion:
    """Rows that a ``delete()`` is about to remove: locked and read just before the DELETE.

    Django has read them earlier, and another transaction may have replaced their files since.
    1 query for 900 rows of a table, none for a single row.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        #: primary keys and changes, by the table's fields
        self._rows: dict[tuple[StoredField, ...], _Rows] = {}

    @classmethod
    def on(cls, connection: BaseDatabaseWrapper) -> _Deletion:
        """Return the deletion that watches the statements of a connection."""
        for wrapper in connection.execute_wrappers:
            if isinstance(wrapper, cls):
                return wrapper
        deletion = cls(connection)
        # the first: Django removes the last, which is that of whoever added one
        connection.execute_wrappers.insert(0, deletion)
        return deletion

    def add(self, fields: list[StoredField], instance: Model) -> None:
        """Add a row whose files in `fields` are to be deleted."""
        rows = self._rows.get(tuple(fields))
        if rows is None or rows.is_rolled_back:
            changes = [FileChange(field=field) for field in fields]
            rows = self._rows[tuple(fields)] = _Rows(changes)
            # a deletion that comes to nothing leaves nothing on the connection
            weakref.finalize(changes[0], _Deletion._drop, weakref.ref(self)).atexit = False
            settle(self._connection, changes)
        rows.pks.append(instance.pk)

    @staticmethod
    def _drop(reference: weakref.ref[_Deletion]) -> None:
        self = reference()
        if self is not None and all(rows.is_rolled_back for rows in self._rows.values()):
            self._rows.clear()
            self._remove()

    def _remove(self) -> None:
        wrappers = self._connection.execute_wrappers
        wrappers[:] = [wrapper for wrapper in wrappers if wrapper is not self]

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Read the files of the rows that a statement deletes, then execute the statement."""
        due = {}
        for fields, rows in list(self._rows.items()):
            table = self._connection.ops.quote_name(fields[0].model._meta.db_table)
            deletes = sql.startswith("DELETE FROM") and table in sql
            if deletes or rows.is_rolled_back:
                due[fields] = self._rows.pop(fields)
        if not self._rows:
            self._remove()
        for fields, rows in due.items():
            if not rows.is_rolled_back:
                for values in values_of_rows(self._connection.alias, fields, rows.pks).values():
                    rows.add_files_of_row(values)
        return execute(sql, params, many, context)


class _Rows:
    """Rows of one table that are about to be deleted, with a FileChange for each of its fields.

    The changes belong to the transaction, and are gone after its rollback.
    """

    def __init__(self, changes: list[FileChange]) -> None:
        self.pks: list[Any] = []
        self._changes = [weakref.ref(change) for change in changes]

    @property
    def is_rolled_back(self) -> bool:
        """Whether the transaction that was to delete the rows is rolled back."""
        return any(change() is None for change in self._changes)

    def add_files_of_row(self, values: tuple[Any, ...]) -> None:
        """Add the files of one row to those to delete."""
        for reference, value in zip(self._changes, values, strict=True):
            change = reference()
            if change is not None:
                change.replaced |= refs_of(value)
