"""What rows say of their files, changed by compare-and-swap: many rows a statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connections, transaction
from django.db.models import QuerySet

from django_fsspec.core.batches import batches

from .values import to_json

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .protocols import StoredField

#: rows that one UPDATE swaps
ROWS = 200


class Change(NamedTuple):
    """The text of a row's column when it was read, and the value that it is to hold."""

    pk: Any
    before: str | None
    after: Any


def swap(using: str, field: StoredField, changes: Iterable[Change]) -> set[Any]:
    """Write values into rows that are as they were read; return the primary keys of those.

    1 query for each 200 rows, in a transaction of their own, and 1 more where one of them had
    changed. May be done twice: a row that holds its new value already counts as written.
    """
    done: set[Any] = set()
    for part in batches(changes, ROWS):
        done |= _swap(using, field, part)
    return done


def _swap(using: str, field: StoredField, part: Sequence[Change]) -> set[Any]:
    connection = connections[using]
    with transaction.atomic(using=using), connection.cursor() as cursor:
        cursor.execute(*_statement(using, field, part))
        if cursor.rowcount == len(part):
            return {change.pk for change in part}
        # not the base manager: it may hide rows
        rows: QuerySet[Any] = QuerySet(field.model, using=using)
        rows = rows.filter(pk__in=[change.pk for change in part])
        held = dict(rows.values_list("pk", field.name))
    return {one.pk for one in part if to_json(held.get(one.pk)) == to_json(one.after)}


def _statement(using: str, field: StoredField, part: Sequence[Change]) -> tuple[str, list[Any]]:
    """Return the UPDATE as Django would build it from 200 expressions, without building them."""
    connection = connections[using]
    quote, meta = connection.ops.quote_name, field.model._meta
    name, mark = quote(str(field.column)), text_mark(connection)
    is_row = " AND ".join(f"{quote(str(key.column))} = %s" for key in meta.pk_fields)
    cases: list[Any] = []
    conditions: list[Any] = []
    for change in part:
        pk = change.pk if len(meta.pk_fields) > 1 else (change.pk,)
        keys = [
            key.get_db_prep_value(one, connection)
            for key, one in zip(meta.pk_fields, pk, strict=True)
        ]
        cases += [*keys, field.get_db_prep_save(change.after, connection)]
        conditions += [*keys, change.before]
    then = " ".join([f"WHEN {is_row} THEN {mark}"] * len(part))
    where = " OR ".join([f"({is_row} AND {name} = {mark})"] * len(part))
    table = quote(meta.db_table)
    # names of the models and marks, nothing of a user's
    return f"UPDATE {table} SET {name} = CASE {then} END WHERE {where}", [*cases, *conditions]  # noqa: S608


def text_mark(connection: BaseDatabaseWrapper) -> str:
    """Return the mark in SQL for the text of JSON."""
    if connection.vendor == "postgresql":
        return "%s::jsonb"
    if connection.vendor == "mysql" and not connection.mysql_is_mariadb:  # type: ignore[attr-defined]
        return "CAST(%s AS JSON)"
    return "%s"
