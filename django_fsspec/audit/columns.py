"""The columns of a project that hold files, and the databases to read them from."""

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
    """Return the finding that a row's file is not there."""
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
            known = ", ".join(sorted(settings.DATABASES))
            raise BadArguments(f"No such database in DATABASES: {using!r} (there are {known}).")


def columns(databases: Sequence[str]) -> list[FileColumn]:
    """Return all fields of all models that hold files."""
    return [
        column
        for model in apps.get_models(include_auto_created=True)
        # those inherited are the parent's
        for field in model._meta.local_concrete_fields
        if isinstance(field, HoldsFiles)
        for column in columns_of(field, databases)
    ]


def columns_of(field: HoldsFiles, databases: Sequence[str]) -> list[FileColumn]:
    """Return a field in those of `databases` that the router lets its model live in.

    Where it lives in none of them, in that which it is read from: files are not nobody's because
    nobody looked.
    """
    model = field.model
    among = [using for using in databases if router.allow_migrate_model(using, model)]
    return [
        FileColumn(field, using)
        for using in among or [router.db_for_read(model)]
        if has_table(using, model._meta.db_table)
    ]


def elsewhere(asked: Iterable[FileColumn]) -> list[str]:
    """Return the other databases that could have rows of the models asked."""
    models: dict[type[Any], set[str]] = {}
    for column in asked:
        models.setdefault(column.model, set()).add(column.using)
    return [
        using
        for using in connections
        if any(
            using not in known and router.allow_migrate_model(using, model)
            for model, known in models.items()
        )
    ]
