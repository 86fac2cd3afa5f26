"""Deletion of rows: their files are read once the rows are locked, and deleted on commit."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connections

from django_fsspec.storage.prefixes import all_pins

from .file_changes import FileChange
from .references import in_transaction, stored_among, values_of_rows
from .transactions import deletions_of, settle

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

    from .protocols import StoredField


def row_deleted(sender: type[Model], instance: Model, using: str, **kwargs: Any) -> None:
    """Delete the files of a row when its deletion is committed (receiver of ``pre_delete``)."""
    # files of a parent model go with the parent's row, which sends a signal of its own
    own = (sender._meta.concrete_model or sender)._meta.local_concrete_fields
    fields = [field for field in stored_among(own) if field.cleanup]
    if fields and in_transaction(connections[using]):  # otherwise no delete() sent the signal
        _Deletion.of(connections[using], fields).pks.append(instance.pk)


class _Deletion:
    """Rows of a table that a ``delete()`` is about to remove: locked and read before the DELETE.

    Django has read them earlier, and another transaction may have replaced their files since.
    1 query for 900 rows. It watches the statements of the connection, because there is no signal
    between the last ``pre_delete`` and the DELETE, until the DELETE or the end of the transaction.
    """

    def __init__(self, connection: BaseDatabaseWrapper, fields: list[StoredField]) -> None:
        self._connection, self._fields = connection, fields
        #: receivers of ``pre_delete`` may delete rows of another tenant meanwhile
        self._pins = all_pins()
        self.pks: list[Any] = []
        change = FileChange(field=fields[0])
        # the transaction owns the change: it is freed by a rollback, and after the commit
        self._change = weakref.ref(change, self._remove)
        settle(connection, [change])
        # the first: Django removes the last, which is that of whoever added one
        connection.execute_wrappers.insert(0, self)

    @classmethod
    def of(cls, connection: BaseDatabaseWrapper, fields: list[StoredField]) -> _Deletion:
        """Return the deletion that watches `connection` for the table of `fields`."""
        pins = all_pins()
        for wrapper in connection.execute_wrappers:
            if isinstance(wrapper, cls) and (wrapper._fields, wrapper._pins) == (fields, pins):
                return wrapper
        return cls(connection, fields)

    def _remove(self, *freed: Any) -> None:
        wrappers = self._connection.execute_wrappers
        wrappers[:] = [wrapper for wrapper in wrappers if wrapper is not self]

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Read the files of the rows if this statement deletes them; execute the statement."""
        table = self._connection.ops.quote_name(self._fields[0].model._meta.db_table)
        if isinstance(sql, str) and sql.startswith("DELETE FROM") and table in sql:
            self._remove()
            self._read_files()
        # no local variable holds the change: a traceback would keep it after the rollback
        return execute(sql, params, many, context)

    def _read_files(self) -> None:
        change = self._change()
        if change is None:
            return
        rows = values_of_rows(self._connection.alias, self._fields, self.pks)
        for pk, values in rows.items():
            for value in values:
                change.replace(value)
            deletions_of(self._connection)[self._fields[0].model, pk] = change
