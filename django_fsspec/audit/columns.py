"""The columns of a project that hold files, in each database that has their table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections, router
from django.db.models import FileField

from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.rows.columns import FileColumn, RowText
from django_fsspec.rows.tables import has_table

from .findings import MissingFile

HoldsFiles = StoredObjectField | FileField


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
    """Raise ``BadArguments`` for a database that is not in DATABASES."""
    for using in databases:
        if using not in settings.DATABASES:
            configured = ", ".join(sorted(settings.DATABASES))
            raise BadArguments(f"{using!r} is not in DATABASES, which has {configured}.")


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
    """Return a field's columns in those of `databases` that the router allows for its model.

    Where it allows none of them, the column in the database that the model is read from: a file
    is not an orphan because its table was not read.
    """
    model = field.model
    allowed = [using for using in databases if router.allow_migrate_model(using, model)]
    return [
        FileColumn(field, using)
        for using in allowed or [router.db_for_read(model)]
        if has_table(using, model._meta.db_table)
    ]


def elsewhere(columns: Iterable[FileColumn]) -> list[str]:
    """Return databases that are not among `columns` and may have rows of their models."""
    databases_read: dict[type[Any], set[str]] = {}
    for column in columns:
        databases_read.setdefault(column.model, set()).add(column.using)
    return [
        using
        for using in connections
        if any(
            using not in read and router.allow_migrate_model(using, model)
            for model, read in databases_read.items()
        )
    ]
