"""Which rows hold a file, and which files a row holds: asked before a file is deleted."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections, router
from django.db.models import F, QuerySet

from django_fsspec.core.batches import batches

from .tables import has_table
from .values import Ref, refs_of

if TYPE_CHECKING:
    from django.db.models import Model

    from .protocols import StoredField

#: names, or rows, asked for in one query
_BATCH = 900

_fields: weakref.WeakSet[StoredField] = weakref.WeakSet()


def register(field: StoredField) -> None:
    """Have the rows of a field's model asked."""
    _fields.add(field)


def stored_among(fields: Iterable[object]) -> list[StoredField]:
    """Return those of `fields` that hold files."""
    return [field for field in fields if field in _fields]  # type: ignore[misc]


def stored_fields() -> list[StoredField]:
    """Return the fields of all installed models, those that migrations remember left out."""
    found = [field for field in list(_fields) if field.model._meta.apps is apps]
    return sorted(found, key=lambda field: (field.model._meta.label, field.name))


def unreferenced(using: str, refs: Iterable[Ref], also: Iterable[StoredField] = ()) -> list[Ref]:
    """Return those of `refs` that no row in the database `using` holds: a query a field.

    Looks at every ``StoredObjectField`` of the project, since a file may be shared by rows of
    several models, and at the fields `also`.
    """
    left = set(refs)
    for field in {*stored_fields(), *also}:
        if left and _may_hold(using, field.model):
            left -= set(_holding(using, field, sorted({ref.name for ref in left})))
    return sorted(left)


def _may_hold(using: str, model: type[Model]) -> bool:
    return router.allow_migrate_model(using, model) and has_table(using, model._meta.db_table)


def _holding(using: str, field: StoredField, names: Sequence[str]) -> Iterator[Ref]:
    # not the base manager: it may hide rows, which hold their files all the same
    rows: QuerySet[Model] = QuerySet(field.model, using=using)
    for start in range(0, len(names), _BATCH):
        held = rows.filter(**{f"{field.name}__refers_to": names[start : start + _BATCH]})
        for value in held.values_list(field.name, flat=True).iterator():
            yield from refs_of(value)


def held(
    using: str, fields: Sequence[StoredField], pks: Iterable[Any]
) -> dict[Any, tuple[Any, ...]]:
    """Return the values of `fields`, all of one table, by primary key: 1 query for 900 rows.

    Inside a transaction the rows are locked until its end; SQLite, which locks no rows, is made
    to take its lock by a write that changes nothing, for 1 query more. Rows that are not there
    are asked for twice: PostgreSQL, having waited for somebody who deleted a row and inserted it
    again, sees no row in the statement that waited.
    """
    connection = connections[using]
    names = [field.name for field in fields]
    locks = connection.in_atomic_block and connection.features.has_select_for_update
    found: dict[Any, tuple[Any, ...]] = {}
    for batch in batches(pks, _BATCH):
        for _ in range(2 if locks else 1):
            rows: QuerySet[Model] = QuerySet(fields[0].model, using=using)
            rows = rows.filter(pk__in=[pk for pk in batch if pk not in found])
            if locks:
                rows = rows.select_for_update()
            elif connection.in_atomic_block:
                rows.update(**{names[0]: F(names[0])})
            # an empty list makes no query
            found.update((pk, tuple(values)) for pk, *values in rows.values_list("pk", *names))
    return found
