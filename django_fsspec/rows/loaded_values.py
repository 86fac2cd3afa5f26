"""What the database holds in a row's columns, as far as the row in memory knows.

Only values that were read from the database, or written to it, are remembered: for each database
and primary key. A row saved to another database, or under another key, is unknown there. What was
read from a replica is known where the router writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import router

from .references import stored_fields_of

if TYPE_CHECKING:
    from django.db.models import Model

    from .protocols import StoredField

#: the primary key of a row, and the text of its column: None for NULL. Pickles hold it.
ColumnText = tuple[Any, str | None]
#: attribute of a row's state: by attribute and database, a ColumnText
_ATTRIBUTE = "stored_objects"


def remember(instance: Model, field: StoredField, using: str, text: str | None) -> ColumnText:
    """Remember the text of a column, which was read from or written to the database `using`."""
    entry = (_pk(instance, field), text)
    set_entry(instance, field, using, entry)
    return entry


def set_entry(instance: Model, field: StoredField, using: str, entry: ColumnText | None) -> None:
    """Remember `entry` instead; None forgets the column."""
    state = vars(instance._state)
    # copies of a row share the dict in its state: never change it in place
    state[_ATTRIBUTE] = {**state.get(_ATTRIBUTE, {}), (field.attname, using): entry}


def entry_of(instance: Model, field: StoredField, using: str) -> ColumnText | None:
    """Return what was remembered last, of whichever primary key."""
    entry: ColumnText | None = (
        vars(instance._state).get(_ATTRIBUTE, {}).get((field.attname, using))
    )
    return entry


def known_entry(instance: Model, field: StoredField, using: str) -> ColumnText | None:
    """Return what is remembered of the row that `instance` is now; None if it is unknown."""
    entry = entry_of(instance, field, using)
    if entry is None and router.db_for_write(type(instance), instance=instance) == using:
        entry = entry_of(instance, field, str(instance._state.db))
    if entry is None or instance._state.adding or entry[0] != _pk(instance, field):
        return None
    return entry


def remember_row(instance: Model, using: str, fields: Iterable[StoredField] | None = None) -> None:
    """Remember the values of a row, in `fields` or in all, that were just read."""
    values = vars(instance)
    for field in stored_fields_of(type(instance)) if fields is None else fields:
        if field.attname in values:
            remember(instance, field, using, getattr(values[field.attname], "_raw", None))


def remember_refreshed(instance: Model, before: dict[str, Any]) -> None:
    """Remember what ``refresh_from_db()`` read; `before` is ``vars(instance)`` before it."""
    for field in stored_fields_of(type(instance)):
        value = vars(instance).get(field.attname)
        text = getattr(value, "_raw", None)
        is_new = field.attname in vars(instance) and (
            field.attname not in before or before[field.attname] is not value
        )
        # only values of the database have a text, and NULL is None; others an override assigned
        if is_new and (text is not None or not value):
            remember(instance, field, str(instance._state.db), text)


def _pk(instance: Model, field: StoredField) -> Any:
    return getattr(instance, field.model._meta.pk.attname)
