"""The columns of a project that hold files, in each database that has their table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.db.models import FileField

from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.rows.columns import FileColumn, RowText
from django_fsspec.rows.tables import databases_of, has_table

from .findings import MissingFile

HoldsFiles = StoredObjectField | FileField

#: settings of a database that tell it from others
_CONNECTION = ("ENGINE", "HOST", "PORT", "NAME", "USER", "OPTIONS")


class BadArguments(ValueError):
    """The arguments of a sweep or a refresh can't be right."""


def missing_file(column: FileColumn, alias: str, row: RowText, name: str) -> MissingFile:
    """Return the finding that the storage `alias` does not have a row's file."""
    return MissingFile(
        alias=alias,
        model=column.model._meta.label,
        pk=row.pk,
        field=column.field.name,
        name=name,
    )


def check_databases(databases: Iterable[str]) -> None:
    """Raise ``BadArguments`` for a database that is not in DATABASES, or can't be connected to."""
    for using in databases:
        if using not in connections:
            configured = ", ".join(sorted(connections))
            raise BadArguments(f"{using!r} is not in DATABASES, which has {configured}.")
        try:
            connections[using].ensure_connection()
        except (DatabaseError, ImproperlyConfigured) as error:
            raise BadArguments(
                f"The database {using!r} can't be read: {error}. Name the databases to read with "
                "--database."
            ) from error


def all_databases() -> list[str]:
    """Return the aliases in DATABASES; of several with the same connection, the first."""
    by_connection: dict[object, str] = {}
    for using in connections:
        by_connection.setdefault(_connection_of(using), using)
    return list(by_connection.values())


def _connection_of(using: str) -> object:
    """Return what tells a database from others: also user and options, which choose a schema."""
    config = connections.settings[using]
    if config["NAME"] in ("", None, ":memory:"):
        return using
    return tuple(repr(config.get(key)) for key in _CONNECTION)


def columns(databases: Sequence[str]) -> list[FileColumn]:
    """Return the fields of all models that hold files, one column per database."""
    return [
        column
        for model in apps.get_models(include_auto_created=True)
        # an inherited field is a column of the parent's table
        for field in model._meta.local_concrete_fields
        if isinstance(field, HoldsFiles)
        for column in columns_of(field, databases)
    ]


def columns_of(field: HoldsFiles, databases: Sequence[str]) -> list[FileColumn]:
    """Return a field's columns in the databases of its model: see ``databases_of()``."""
    return [
        FileColumn(field, using)
        for using in databases_of(field.model, databases)
        if has_table(using, field.model._meta.db_table)
    ]


def databases_not_read(read: Iterable[FileColumn]) -> list[str]:
    """Return databases that have rows with files in other columns than `read`.

    A database that can't be read counts as one: 1 query for each field.
    """
    already = {(column.field, _connection_of(column.using)) for column in read}
    return [using for using in all_databases() if _has_rows(using, already)]


def _has_rows(using: str, already: Collection[tuple[object, object]]) -> bool:
    connection = _connection_of(using)
    try:
        return any(
            column.rows.exists()
            for column in columns([using])
            if column.using == using and (column.field, connection) not in already
        )
    except (DatabaseError, ImproperlyConfigured):
        return True
