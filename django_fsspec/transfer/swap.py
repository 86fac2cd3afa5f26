"""What rows say of their files, changed by compare-and-swap: many rows a statement."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from django.db import connections, transaction

from django_fsspec.lookups import text_mark
from django_fsspec.values import to_json

from .patience import patiently
from .plan import Column

#: rows that one UPDATE swaps
SWAP = 200


class Change(NamedTuple):
    """What a row held when it was read, and what it is to hold."""

    pk: Any
    before: Any
    after: Any


def swap(column: Column, changes: Sequence[Change]) -> set[Any]:
    """Write values into rows that are as they were read; return the primary keys of those.

    1 query for each 200 rows, and 1 more where one of them had changed.
    """
    done: set[Any] = set()
    for start in range(0, len(changes), SWAP):
        part = changes[start : start + SWAP]
        done |= patiently(column.using, partial(_swap, column, part))
    return done


def _swap(column: Column, part: Sequence[Change]) -> set[Any]:
    connection = connections[column.using]
    with transaction.atomic(using=column.using), connection.cursor() as cursor:
        cursor.execute(*_statement(column, part))
        if cursor.rowcount == len(part):
            return {change.pk for change in part}
        held = values_of(column, [change.pk for change in part])
    return {one.pk for one in part if to_json(held.get(one.pk)) == to_json(one.after)}


def values_of(column: Column, keys: Sequence[Any]) -> dict[Any, Any]:
    """Return what rows hold now, by primary key: 1 query for each 200."""
    held: dict[Any, Any] = {}
    for start in range(0, len(keys), SWAP):
        rows = column.manager.filter(pk__in=keys[start : start + SWAP])
        held |= dict(rows.values_list("pk", column.field.name))
    return held


def raw_of(value: Any) -> str | None:
    """Return the text of the column that a value was read from."""
    raw: str | None = value._raw
    return raw


def _statement(column: Column, part: Sequence[Change]) -> tuple[str, list[Any]]:
    """Return the UPDATE as Django would build it from 200 expressions, without building them."""
    connection = connections[column.using]
    quote, field = connection.ops.quote_name, column.field
    meta = field.model._meta
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
        conditions += [*keys, raw_of(change.before)]
    then = " ".join([f"WHEN {is_row} THEN {mark}"] * len(part))
    where = " OR ".join([f"({is_row} AND {name} = {mark})"] * len(part))
    table = quote(meta.db_table)
    # names of the models and marks, nothing of a user's
    return f"UPDATE {table} SET {name} = CASE {then} END WHERE {where}", [*cases, *conditions]  # noqa: S608
