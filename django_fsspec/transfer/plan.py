"""What is to be moved: the fields, and their rows, page by page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from django.apps import apps
from django.core.exceptions import (
    EmptyResultSet,
    FieldDoesNotExist,
    FieldError,
    ImproperlyConfigured,
    ValidationError,
)
from django.core.files.storage import storages
from django.db.models import F, Field, FileField, Model, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from django_fsspec.core.batches import batches
from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.objects.description import alias_for
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.values import FileList, files_of
from django_fsspec.storage.driver import Driver
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.options import OptionError

from .retries import patiently

AnyField: TypeAlias = "Field[Any, Any]"

#: ends of shards that one query brings
ENDS = 10_000
#: no model has a field of this name
_TURN = "django_fsspec_turn"


class BadPlan(Exception):
    """What was asked for can't be done; nothing was begun."""


@dataclasses.dataclass
class Row:
    """One row, and its files that are to be moved."""

    pk: Any
    #: as read: the value of a stored object field, or a path
    value: FileObject | FileList | str
    files: list[FileObject]


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """One field of one model, as a source of rows."""

    field: AnyField
    source: str
    using: str
    conditions: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        """``app_label.Model.field``."""
        return f"{self.field.model._meta.label}.{self.field.name}"

    @property
    def holds_objects(self) -> bool:
        """Whether rows describe their files; else they hold paths, which stay what they are."""
        return isinstance(self.field, StoredObjectField)

    @property
    def manager(self) -> QuerySet[Model]:
        """All rows of the model."""
        return self.field.model._base_manager.using(self.using).all()

    @property
    def rows(self) -> QuerySet[Model]:
        """The rows with files to move. For stored objects those done no longer match."""
        name = self.field.name
        if self.holds_objects:
            found = self.manager.filter(**{f"{name}__stored_on": self.source})
        else:
            found = self.manager.exclude(**{name: ""}).exclude(**{f"{name}__isnull": True})
        return found.filter(**self.conditions)

    def values_of(self, keys: Sequence[Any]) -> dict[Any, Any]:
        """Return what rows hold now, by primary key: 1 query for each 1000."""
        held: dict[Any, Any] = {}
        for some in batches(keys):
            held |= dict(self.manager.filter(pk__in=some).values_list("pk", self.field.name))
        return held

    def count(self) -> tuple[int, int | None]:
        """Return how many rows there are to move and their bytes, None where those are not told.

        1 query; for fields with several files one a thousand rows.
        """
        if isinstance(self.field, StoredObjectField) and self.field.multiple:
            rows = size = 0
            for row in self.pages(1000):
                rows += 1
                size += sum(file.size or 0 for file in row.files)
            return rows, size
        if self.holds_objects:
            found = self.rows.aggregate(bytes=Sum(f"{self.field.name}__size"))
            return self.rows.count(), found["bytes"] or 0
        return self.rows.count(), None

    def pages(self, size: int, first: Any = None, last: Any = None) -> Iterator[Row]:
        """Yield rows by primary key, `size` a query, those after `first` up to `last`."""
        rows = self.rows.order_by("pk")
        if last is not None:
            rows = rows.filter(pk__lte=last)
        after = first
        while True:
            page = rows if after is None else rows.filter(pk__gt=after)
            page = page.values_list("pk", self.field.name)[:size]
            found: list[Any] = patiently(self.using, partial(list, page.all()))
            for pk, value in found:
                if files := self.files_of(value):
                    yield Row(pk, value, files)
            if len(found) < size:
                return
            after = found[-1][0]

    def files_of(self, value: Any) -> list[FileObject]:
        """Return the files on the source in a value of the field, None for a row that is gone."""
        if isinstance(value, str):
            return [FileObject(self.source, value)] if value else []
        return [file for file in files_of(value) if file.backend == self.source and file]

    def shards(self, size: int) -> Iterator[tuple[Any, Any]]:
        """Yield ranges of primary keys (after, up to) of `size` rows each.

        1 query `ENDS` ranges, and one more.
        """
        order = [F(one.attname).asc() for one in self.field.model._meta.pk_fields]
        after = None
        while True:
            rows = self.rows if after is None else self.rows.filter(pk__gt=after)
            place = Window(RowNumber(), order_by=order)
            last_of_each = rows.annotate(**{_TURN: place % size}).filter(**{_TURN: 0})
            ends = list(last_of_each.order_by("pk").values_list("pk", flat=True)[:ENDS])
            for end in ends:
                yield after, end
                after = end
            if len(ends) < ENDS:
                break
        if (self.rows if after is None else self.rows.filter(pk__gt=after)).exists():
            yield after, None


def columns(
    labels: Sequence[str],
    *,
    source: str,
    using: str = "default",
    conditions: Mapping[str, Any] | None = None,
    delete_source: bool = False,
) -> list[Column]:
    """Return the fields that `labels` (``app[.Model[.field]]``) name, all where there are none.

    Raises ``BadPlan``. A ``FileField`` takes part when its storage is the source, or when it is
    named.
    """
    found: dict[AnyField, None] = {}
    for label in labels or [config.label for config in apps.get_app_configs()]:
        found |= dict.fromkeys(_fields(label, source, named=bool(labels)))
    if not found:
        raise BadPlan(f"No field of {' '.join(labels) or 'any app'} holds files on {source!r}.")
    made = [Column(one, source, using, conditions or {}) for one in found]
    for column in made:
        _check_column(column, delete_source=delete_source)
    return made


def _check_column(column: Column, *, delete_source: bool) -> None:
    try:
        str(column.rows.query)
    except EmptyResultSet:
        pass
    except (FieldError, ValidationError, ValueError, TypeError) as error:
        raise BadPlan(f"--filter does not fit {column.label}: {error}") from error
    one = column.field
    if delete_source and isinstance(one, FileField) and alias_of_field(one) == column.source:
        raise BadPlan(
            f"{column.label} reads its files from {column.source!r}: give the field the target's "
            "storage before --delete-source, or its rows would point at nothing."
        )


def _fields(label: str, source: str, *, named: bool) -> Iterator[AnyField]:
    app, _, rest = label.partition(".")
    model_name, _, name = rest.partition(".")
    try:
        models = [apps.get_model(app, model_name)] if model_name else _models(app)
    except LookupError as error:
        raise BadPlan(str(error)) from error
    for model in models:
        if name:
            yield _named_field(model, name)
            continue
        for one in model._meta.local_fields:
            if isinstance(one, StoredObjectField) or (
                isinstance(one, FileField) and (alias_of_field(one) == source)
            ):
                yield one
    if named and model_name and not name:
        fields = models[0]._meta.local_fields
        if not any(isinstance(one, StoredObjectField | FileField) for one in fields):
            raise BadPlan(f"{label} has no field for files.")


def _models(app: str) -> list[type[Model]]:
    return [
        model
        for model in apps.get_app_config(app).get_models()
        if not model._meta.proxy and not model._meta.swapped
    ]


def _named_field(model: type[Model], name: str) -> AnyField:
    try:
        found = model._meta.get_field(name)
    except FieldDoesNotExist as error:
        raise BadPlan(str(error)) from error
    if not isinstance(found, StoredObjectField | FileField):
        raise BadPlan(f"{model._meta.label}.{name} is no field for files.")
    return found


def alias_of_field(file_field: FileField) -> str | None:
    """Return the alias of a ``FileField``'s storage, None for one made by hand."""
    try:
        return alias_for(file_field.storage)
    except (TypeError, ValueError):
        return None


def check_plan(source: str, target: str) -> None:
    """Raise ``BadPlan`` for aliases between which nothing can be moved."""
    known = ", ".join(map(repr, storages.backends))
    for option, alias in (("--from", source), ("--to", target)):
        if alias not in storages.backends:
            raise BadPlan(f"{option} {alias}: it is not in STORAGES, which has {known}.")
    if source == target:
        raise BadPlan(f"--from and --to are both {source!r}: name two.")
    for option, alias in (("--from", source), ("--to", target)):
        try:
            storage = storages[alias]
            writable = not isinstance(storage, FSSpecStorage) or _writable(storage.flows)
        except ImproperlyConfigured as error:
            raise BadPlan(f"{option} {alias}: {error}") from error
        if option == "--to" and not writable:
            raise BadPlan(f"--to {alias}: it is read-only.")


def _writable(flows: Driver) -> bool:
    try:
        flows.validate()
    except OptionError as error:
        raise flows.errors.misconfigured(error) from error.__cause__
    return flows.adapter.dialect.writable
