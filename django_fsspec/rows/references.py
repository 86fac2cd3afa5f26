"""References from rows to files: queried before a file is deleted."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections
from django.db.models import F, Model, QuerySet

from django_fsspec.core.batches import batches

from .sought_files import SoughtFiles
from .tables import databases_of, has_table
from .values import Ref, refs_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .protocols import StoredField

#: names, or rows, in one query
_BATCH = 900

_fields: weakref.WeakSet[StoredField] = weakref.WeakSet()
_fields_by_model: weakref.WeakKeyDictionary[type[Model], list[StoredField]] = (
    weakref.WeakKeyDictionary()
)


def register(field: StoredField) -> None:
    """Add a field, whose rows are queried before a file is deleted."""
    _fields.add(field)
    _fields_by_model.clear()


def stored_among(fields: Iterable[object]) -> list[StoredField]:
    """Return those of `fields` that hold files."""
    return [field for field in fields if field in _fields]  # type: ignore[misc]


def stored_fields_of(model: type[Model]) -> list[StoredField]:
    """Return the fields of a model that hold files, those of its parents too."""
    fields = _fields_by_model.get(model)
    if fields is None:
        fields = _fields_by_model[model] = stored_among(model._meta.concrete_fields)
    return fields


def stored_fields() -> list[StoredField]:
    """Return the fields of all installed models, without those of migrations' old models."""
    fields = [
        field
        for field in list(_fields)
        if field.model._meta.apps is apps and field.model._meta.app_config is not None
    ]
    return sorted(fields, key=lambda field: (field.model._meta.label, field.name))


def default_refs() -> set[Ref]:
    """Return the files that fields give to new rows: in use, though no row may hold them.

    Raises what a callable default raises.
    """
    return {ref for field in stored_fields() for ref in refs_of(field.default_files())}


def is_history(model: type[Model]) -> bool:
    """Return whether rows of `model` are the history of other rows: see histories.py."""
    followed = getattr(model, "instance_type", None)
    return isinstance(followed, type) and issubclass(followed, Model)


def unreferenced(
    using: str,
    refs: Iterable[Ref],
    also: Iterable[StoredField] = (),
    *,
    by_place: bool = True,
) -> list[Ref]:
    """Return those of `refs` that no row in the database `using` holds: 1 query for each field.

    Defaults of fields count as rows.

    Queries every ``StoredObjectField`` of the project, since rows of several models may share a
    file, and the fields `also`. With `by_place`, a row holds a file under another alias of the
    same place too. That makes no request, unless a row holds the name under an alias of which
    settings don't tell whether it has the same place: then see ``SoughtFiles.hold_shared()``.
    Raises ``DatabaseError``, and what a callable default raises.
    """
    sought = SoughtFiles(refs)
    sought.note(default_refs())
    # histories last: between two queries a row may drop a file that its history holds since
    for field in sorted({*stored_fields(), *also}, key=lambda field: is_history(field.model)):
        if sought.unheld and may_hold(using, field.model):
            sought.note(_references(using, field, sought.names()))
    if by_place:
        sought.hold_shared()
    return sorted(sought.unheld)


def may_hold(using: str, model: type[Model]) -> bool:
    """Return whether the database `using` has the table of `model`: no query once it was seen."""
    return using in databases_of(model, connections) and has_table(using, model._meta.db_table)


def _references(using: str, field: StoredField, names: Sequence[str]) -> Iterator[Ref]:
    # not by the base manager: rows that it hides hold files too
    rows: QuerySet[Model] = QuerySet(field.model, using=using).order_by()
    for start in range(0, len(names), _BATCH):
        batch = rows.filter(**{f"{field.name}__refers_to": names[start : start + _BATCH]})
        for value in batch.values_list(field.name, flat=True).iterator():
            yield from refs_of(value)


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Return whether a statement is committed later: in ``atomic()``, or without autocommit."""
    if connection.connection is None:
        return False
    # not get_autocommit(), which connects again
    return connection.in_atomic_block or not connection.autocommit


def values_of_rows(
    using: str, fields: Sequence[StoredField], pks: Iterable[Any]
) -> dict[Any, tuple[Any, ...]]:
    """Return the values of `fields`, all of one table, by primary key: 1 query for 900 rows.

    Inside a transaction this locks the rows until its end. SQLite locks no rows: an UPDATE that
    changes nothing takes the lock of the database, 1 query more. Rows that were not found are
    read twice: after PostgreSQL waited for a transaction that deleted a row and inserted it
    again, the statement that waited sees no row. Raises ``DatabaseError``.
    """
    connection = connections[using]
    names = [field.name for field in fields]
    is_locking = in_transaction(connection)
    locks = is_locking and connection.features.has_select_for_update
    values_by_pk: dict[Any, tuple[Any, ...]] = {}
    for batch in batches(pks, _BATCH):
        for _ in range(2 if locks else 1):
            # without the model's ordering, which may join other tables and lock their rows
            rows: QuerySet[Model] = QuerySet(fields[0].model, using=using).order_by()
            rows = rows.filter(pk__in=[pk for pk in batch if pk not in values_by_pk])
            if locks:
                rows = rows.select_for_update()
            elif is_locking:
                rows.update(**{names[0]: F(names[0])})
            # an empty list makes no query
            listed = rows.values_list("pk", *names)
            values_by_pk.update((pk, tuple(values)) for pk, *values in listed)
    return values_by_pk
