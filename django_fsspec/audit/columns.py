"""Which files the rows of a project hold, read in batches of flat memory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from django.apps import apps
from django.conf import settings
from django.db import connections, router
from django.db.models import ExpressionWrapper, F, FileField, QuerySet, TextField

from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.storage.locations import Place, place_of

from .findings import MissingFile

#: rows read in one query
_BATCH = 5000
#: names asked for in one query
_ASKED = 500

HoldsFiles = StoredObjectField | FileField


class Refused(ValueError):
    """Arguments that can't be right."""


class Row(NamedTuple):
    """A row's primary key and the text of its column."""

    pk: Any
    raw: str


class Held(NamedTuple):
    """A file that a row holds."""

    origin: Origin
    name: str


#: where a file lies: an alias; a column, whose storage has none; or not known
Origin: TypeAlias = "str | Column | None"


class Column:
    """A field of a model that holds files, in one database."""

    def __init__(self, field: HoldsFiles, using: str) -> None:
        self.field, self.using = field, using
        self.model = field.model
        #: whether it is Django's own field
        self.is_file_field = isinstance(field, FileField)
        #: of a FileField, where its storage keeps files
        self.place: Place | None = None
        self.alias: str | None = None
        if isinstance(field, FileField):
            # a storage that can't be built keeps files somewhere all the same
            with contextlib.suppress(Exception):
                self.place = place_of(field.storage)
                self.alias = getattr(field.storage, "alias", None)

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.field.name}"

    @property
    def rows(self) -> QuerySet[Any]:
        """All rows that hold something; managers may hide some."""
        rows: QuerySet[Any] = QuerySet(model=self.model, using=self.using)
        rows = rows.filter(**{f"{self.field.name}__isnull": False})
        return rows.exclude(**{self.field.name: ""}) if self.is_file_field else rows

    def batches(self, size: int = _BATCH) -> Iterator[list[Row]]:
        """Yield all rows, a query for each `size`, ordered by primary key.

        Each query begins where the last one ended: cursors of the server would need a
        transaction as long as the sweep, and MySQL's client reads all of an answer into memory.
        """
        text = ExpressionWrapper(F(self.field.name), output_field=TextField())
        rows = self.rows.order_by("pk").values_list("pk", text)
        batch = list(rows[:size])
        while batch:
            yield [Row(*row) for row in batch]
            _forget_statements(self.using)
            batch = list(rows.filter(pk__gt=batch[-1][0])[:size]) if len(batch) == size else []

    def held(self, row: Row) -> Iterator[Held]:
        """Yield the files that a row holds."""
        if self.is_file_field:
            yield Held(self.alias or self, row.raw)
            return
        for file in files_in(parsed(row.raw)):
            alias = file.get("backend")
            yield Held(alias if isinstance(alias, str) else None, file["filename"])

    def holds(self, names: Iterable[str]) -> set[str]:
        """Return those of `names` that rows of a ``FileField`` hold: a query for a few hundred."""
        asked = list(names)
        found: set[str] = set()
        for start in range(0, len(asked), _ASKED):
            rows = self.rows.filter(**{f"{self.field.name}__in": asked[start : start + _ASKED]})
            found.update(rows.values_list(self.field.name, flat=True).iterator())
        return found.intersection(asked)  # MySQL's collations find what reads alike

    def count(self) -> int:
        """Return how many rows hold something."""
        return self.rows.count()

    def missing(self, alias: str, row: Row, name: str) -> MissingFile:
        """Return what tells of a row's file that is not there."""
        label = self.model._meta.label
        return MissingFile(alias=alias, model=label, pk=row.pk, field=self.field.name, name=name)


def _forget_statements(using: str) -> None:
    """Forget the statements that Django keeps where DEBUG is on, unless somebody counts them."""
    if not connections[using].force_debug_cursor:
        connections[using].queries_log.clear()


def parsed(raw: str) -> Any:
    """Return the JSON of a column, None for what is none."""
    try:
        return json.loads(raw)
    except (TypeError, ValueError):
        return None


def files_in(data: Any) -> list[dict[str, Any]]:
    """Return what in JSON of a column describes a file; in odd JSON too, where there is a name."""
    listed = data if isinstance(data, list) else [data]
    return [
        one
        for one in listed
        if isinstance(one, dict) and isinstance(one.get("filename"), str) and one["filename"]
    ]


def check_databases(databases: Iterable[str]) -> None:
    """Raise ``Refused`` for a database that is not in DATABASES."""
    for using in databases:
        if using not in settings.DATABASES:
            known = ", ".join(sorted(settings.DATABASES))
            raise Refused(f"No such database in DATABASES: {using!r} (there are {known}).")


def columns(databases: Sequence[str]) -> list[Column]:
    """Return all fields of all models that hold files."""
    return [
        column
        for model in apps.get_models(include_auto_created=True)
        # those inherited are the parent's
        for field in model._meta.local_concrete_fields
        if isinstance(field, HoldsFiles)
        for column in columns_of(field, databases)
    ]


def columns_of(field: HoldsFiles, databases: Sequence[str]) -> list[Column]:
    """Return a field in those of `databases` that the router lets its model live in.

    Where it lives in none of them, in that which it is read from: files are not nobody's because
    nobody looked.
    """
    model = field.model
    among = [using for using in databases if router.allow_migrate_model(using, model)]
    return [
        Column(field, using)
        for using in among or [router.db_for_read(model)]
        if _may_have_table(using, model._meta.db_table)
    ]


def _may_have_table(using: str, table: str) -> bool:
    """Whether rows can be looked for: not every database has the tables of all apps."""
    if not table.isidentifier():
        return True  # quoted, of another schema: the list may not tell of it
    connection = connections[using]
    with connection.cursor() as cursor:
        found = connection.introspection.table_names(cursor, include_views=True)
    return table.casefold() in map(str.casefold, found)


def elsewhere(asked: Iterable[Column]) -> list[str]:
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
