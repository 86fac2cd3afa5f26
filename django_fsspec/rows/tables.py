"""Which databases have which tables: not every database has those of all apps."""

from __future__ import annotations

from django.db import connections

#: names of tables that were seen, by the alias of the database
_tables: dict[str, set[str]] = {}


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
