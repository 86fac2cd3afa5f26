"""Rows that go: what they hold is read when they are locked, and goes after the commit."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connections

from .references import held, stored_among
from .transactions import Change, settle
from .values import refs_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

    from .protocols import StoredField


def row_deleted(sender: type[Model], instance: Model, using: str, **kwargs: Any) -> None:
    """Have the files of a row deleted when its deletion is committed (``pre_delete``)."""
    # those of a parent go with the parent's row, which Django deletes too, or keeps
    own = (sender._meta.concrete_model or sender)._meta.local_concrete_fields
    fields = [field for field in stored_among(own) if field.cleanup]
    if fields:
        _Deletion.on(connections[using]).add(fields, instance)


class _Deletion:
    """Rows that a ``delete()`` is about to remove: locked and read just before that.

    Django has read them earlier, and another transaction may have replaced their files since. One
    query for 900 rows of a table tells what they hold; none is asked for by itself.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        #: primary keys and changes, by the table's fields
        self._rows: dict[tuple[StoredField, ...], _Rows] = {}

    @classmethod
    def on(cls, connection: BaseDatabaseWrapper) -> _Deletion:
        """Return the one that looks at the statements of a connection."""
        for wrapper in connection.execute_wrappers:
            if isinstance(wrapper, cls):
                return wrapper
        made = cls(connection)
        connection.execute_wrappers.append(made)
        return made

    def add(self, fields: list[StoredField], instance: Model) -> None:
        """Let go of what `instance` holds in `fields`."""
        rows = self._rows.get(tuple(fields))
        if rows is None or rows.forgotten:
            made = [Change(field) for field in fields]
            settle(self._connection, made)
            rows = self._rows[tuple(fields)] = _Rows(made)
        rows.pks.append(instance.pk)

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Read what the rows hold that a statement deletes, then execute it."""
        due = {}
        for fields, rows in list(self._rows.items()):
            table = self._connection.ops.quote_name(fields[0].model._meta.db_table)
            deletes = sql.startswith("DELETE FROM") and table in sql
            if deletes or rows.forgotten:
                due[fields] = self._rows.pop(fields)
        if not self._rows:
            self._connection.execute_wrappers.remove(self)
        for fields, rows in due.items():
            if not rows.forgotten:
                for values in held(self._connection.alias, fields, rows.pks).values():
                    rows.let_go(values)
        return execute(sql, params, many, context)


class _Rows:
    """Rows of one table, and what is to be known of each of its fields, unless rolled back."""

    def __init__(self, changes: list[Change]) -> None:
        self.pks: list[Any] = []
        self._changes = [weakref.ref(change) for change in changes]

    @property
    def forgotten(self) -> bool:
        """Whether the transaction that was to delete them is rolled back."""
        return any(change() is None for change in self._changes)

    def let_go(self, values: tuple[Any, ...]) -> None:
        """Note what one row holds."""
        for reference, value in zip(self._changes, values, strict=True):
            change = reference()
            if change is not None:
                change.replaced |= refs_of(value)
