"""Rows that go: what they hold is read when they are locked, and goes after the commit."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connections

from .references import held, stored_among
from .settlement import Change, settle
from .values import refs_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

    from .fields import StoredObjectField


def row_deleted(sender: type[Model], instance: Model, using: str, **kwargs: Any) -> None:
    """Have the files of a row deleted when its deletion is committed (``pre_delete``)."""
    # those of a parent go with the parent's row, which Django deletes too, or keeps
    own = (sender._meta.concrete_model or sender)._meta.local_concrete_fields
    fields = [field for field in stored_among(own) if field.cleanup]
    if fields:
        _Deletion.on(connections[using]).add(fields, instance)


class _Deletion:
    """Rows of one ``delete()``: locked and read by the statement before the first that deletes.

    Django has read them earlier, and another transaction may have replaced their files since. One
    query for 900 rows of a table tells what they hold; none is asked for by itself.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._rows: dict[tuple[StoredObjectField, ...], tuple[list[Any], list[Any]]] = {}

    @classmethod
    def on(cls, connection: BaseDatabaseWrapper) -> _Deletion:
        """Return what the next statement of a connection is preceded by."""
        for wrapper in connection.execute_wrappers:
            if isinstance(wrapper, cls):
                return wrapper
        made = cls(connection)
        connection.execute_wrappers.append(made)
        return made

    def add(self, fields: list[StoredObjectField], instance: Model) -> None:
        """Let go of what `instance` holds in `fields`."""
        pks, changes = self._rows.get(tuple(fields), ([], []))
        if not any(change() for change in changes):  # none yet, or of what was rolled back
            made = [Change(field) for field in fields]
            settle(self._connection, made)
            pks, changes = self._rows[tuple(fields)] = [], [weakref.ref(one) for one in made]
        pks.append(instance.pk)

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Read what the rows hold, then execute."""
        self._connection.execute_wrappers.remove(self)
        for fields, (pks, changes) in self._rows.items():
            if not any(change() for change in changes):
                continue
            for values in held(self._connection.alias, fields, pks):
                for change, value in zip(changes, values, strict=True):
                    change().replaced |= refs_of(value)
        return execute(sql, params, many, context)
