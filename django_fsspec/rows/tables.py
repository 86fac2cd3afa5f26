"""Which databases have which tables: not every database has those of all apps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import connections, router

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

#: names of tables that were seen, by the alias of the database
_tables: dict[str, set[str]] = {}


def databases_of(model: type[Model], databases: Iterable[str]) -> list[str]:
    """Return those of `databases` that the router allows for a model.

    Where it allows none of them, the database that the model is read from: others may have made
    its table, and a file is not unused because a table was not read.
    """
    allowed = [using for using in databases if router.allow_migrate_model(using, model)]
    return allowed or [router.db_for_read(model)]


def has_table(using: str, table: str) -> bool:
    """Return whether the database `using` has the table: 1 query until it was seen.

    Tables of another schema, whose names are quoted, are taken to exist: Django lists the
    current schema only.
    """
    table = table.casefold()
    if '"' in table or "." in table:
        return True
    if table not in _tables.get(using, ()):
        connection = connections[using]
        with connection.cursor() as cursor:
            names = connection.introspection.table_names(cursor, include_views=True)
        _tables[using] = set(map(str.casefold, names))
    return table in _tables[using]


def schema_of(connection: BaseDatabaseWrapper) -> str | None:
    """Return the schema in which django-tenants has a connection look for tables, else None."""
    return getattr(connection, "schema_name", None)
