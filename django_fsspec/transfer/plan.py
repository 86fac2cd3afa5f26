"""The plan of a move: which fields, and their rows page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from django.apps import apps
from django.core.exceptions import (
    FieldDoesNotExist,
    ImproperlyConfigured,
)
from django.core.files.storage import FileSystemStorage, InMemoryStorage, storages
from django.db.models import F, Field, FileField, Model, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.objects.aliases import alias_for
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.columns import FileColumn
from django_fsspec.rows.values import FileList
from django_fsspec.storage.driver import Driver
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.options import OptionError
from django_fsspec.storage.prefixes import ROWS_OF_ALL_TENANTS
from django_fsspec.storage.shared_places import TrialFile

from .database_retries import retry

AnyField: TypeAlias = "Field[Any, Any]"
HoldsFiles: TypeAlias = StoredObjectField | FileField

#: what is compared after a copy
VERIFY = ("checksum", "size", "none", "full")
#: option -> smallest value that it takes
MINIMUMS = {
    "workers": 1,
    "batch_size": 1,
    "limit": 1,
    "shard_size": 1,
    "retries": 0,
    "retry_delay": 0,
}
#: ends of shards that one query brings
ENDS = 10_000
#: methods of Django's storages that tell the truth
_HONEST = (FileSystemStorage.exists, InMemoryStorage.exists)
#: no model has a field of this name
_TURN = "django_fsspec_turn"


class BadPlan(Exception):
    """The arguments or settings don't allow this move. No file was copied."""


def option_fault(name: str, value: Any) -> str | None:
    """Return what is wrong with the value of an option ("must be 1 or more"), or None.

    None is the value of an option that was not given.
    """
    if name == "verify" and value not in VERIFY:
        return f"must be one of {', '.join(VERIFY)}"
    # so that NaN, which is neither less nor more, is refused too
    if name in MINIMUMS and value is not None and not value >= MINIMUMS[name]:
        return f"must be {MINIMUMS[name]} or more"
    return None


class RowToMove(NamedTuple):
    """A row, its value as read (a path for a ``FileField``), and its files on the source."""

    pk: Any
    value: FileObject | FileList | str
    files: list[FileObject]


def rows_to_move(
    column: FileColumn, size: int, after: Any = None, upto: Any = None
) -> Iterator[RowToMove]:
    """Yield rows by primary key, greater than `after` and up to `upto`: `size` rows a query."""
    for page in column.pages(size, after, upto, read=partial(_read, column.using)):
        for pk, value in page:
            if files := column.files_of(value):
                yield RowToMove(pk, value, files)


def _read(using: str, rows: QuerySet[Any]) -> list[Any]:
    return retry(using, partial(list, rows))


class Totals(NamedTuple):
    """What rows hold on one alias. `bytes` is None where they hold no sizes (``FileField``)."""

    rows: int
    files: int
    bytes: int | None


def totals(column: FileColumn) -> Totals:
    """Count what there is to move: 2 queries; with several files a row 1 for a thousand rows."""
    if isinstance(column.field, StoredObjectField) and column.field.multiple:
        rows = files = size = 0
        for row in rows_to_move(column, 1000):
            rows += 1
            files += len(row.files)
            size += sum(file.size or 0 for file in row.files)
        return Totals(rows, files, size)
    count = column.count()
    if column.is_file_field:
        return Totals(count, count, None)
    (total,) = column.rows.aggregate(Sum(f"{column.field.name}__size")).values()
    return Totals(count, count, total or 0)


def key_ranges(column: FileColumn, size: int) -> Iterator[tuple[Any, Any]]:
    """Yield ranges of primary keys (after, up to) of `size` rows each.

    1 query for `ENDS` ranges, and one more.
    """
    order = [F(field.attname).asc() for field in column.model._meta.pk_fields]
    after = None
    while True:
        rows = column.rows if after is None else column.rows.filter(pk__gt=after)
        place = Window(RowNumber(), order_by=order)
        last_of_each = rows.annotate(**{_TURN: place % size}).filter(**{_TURN: 0})
        ends = list(last_of_each.order_by("pk").values_list("pk", flat=True)[:ENDS])
        for end in ends:
            yield after, end
            after = end
        if len(ends) < ENDS:
            break
    if (column.rows if after is None else column.rows.filter(pk__gt=after)).exists():
        yield after, None


def columns(
    labels: Sequence[str],
    *,
    source: str,
    using: str = "default",
    conditions: Mapping[str, Any] | None = None,
    delete_source: bool = False,
) -> list[FileColumn]:
    """Return the fields that `labels` (``app[.Model[.field]]``) name; without labels all fields.

    A ``FileField`` takes part when its storage is the source, or when a label names it. Raises
    ``BadPlan`` for a label that names no such field, for `conditions` that don't fit the model,
    and with `delete_source` for a ``FileField`` that reads from the source.
    """
    # a dict, because several labels may name one field
    fields: dict[HoldsFiles, None] = {}
    for label in labels or [config.label for config in apps.get_app_configs()]:
        fields |= dict.fromkeys(_fields(label, source, named=bool(labels)))
    if not fields:
        raise BadPlan(f"No field of {' '.join(labels) or 'any app'} stores files in {source!r}.")
    columns = [FileColumn(field, using, source, conditions or {}) for field in fields]
    for column in columns:
        _check_column(column, delete_source=delete_source)
    return columns


def _check_column(column: FileColumn, *, delete_source: bool) -> None:
    if error := column.condition_fault():
        raise BadPlan(f"--filter does not fit {column.label}: {error}") from error
    field = column.field
    if delete_source and isinstance(field, FileField) and alias_of_field(field) == column.source:
        raise BadPlan(
            f"{column.label} reads its files from {column.source!r}, so deleting them would break "
            "its rows. Set the field's storage to the target before you use --delete-source."
        )


def _fields(label: str, source: str, *, named: bool) -> Iterator[HoldsFiles]:
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
        for field in model._meta.local_fields:
            if isinstance(field, StoredObjectField) or (
                isinstance(field, FileField) and alias_of_field(field) == source
            ):
                yield field
    if named and model_name and not name:
        fields = models[0]._meta.local_fields
        if not any(isinstance(field, StoredObjectField | FileField) for field in fields):
            raise BadPlan(f"{label} has no StoredObjectField or FileField.")


def _models(app: str) -> list[type[Model]]:
    return [
        model
        for model in apps.get_app_config(app).get_models()
        if not model._meta.proxy and not model._meta.swapped
    ]


def _named_field(model: type[Model], name: str) -> HoldsFiles:
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist as error:
        names = [
            repr(field.name)
            for field in model._meta.local_fields
            if isinstance(field, StoredObjectField | FileField)
        ]
        raise BadPlan(f"{error}; it has {', '.join(names) or 'no field of files'}.") from error
    if not isinstance(field, StoredObjectField | FileField):
        raise BadPlan(f"{model._meta.label}.{name} is not a StoredObjectField or FileField.")
    return field


def alias_of_field(file_field: FileField) -> str | None:
    """Return the alias of a ``FileField``'s storage, None for one made by hand."""
    try:
        return alias_for(file_field.storage)
    except (TypeError, ValueError):
        return None


def check_plan(source: str, target: str) -> None:
    """Raise ``BadPlan`` for aliases between which files can't be moved. No I/O."""
    aliases = ", ".join(map(repr, storages.backends))
    for option, alias in (("--from", source), ("--to", target)):
        if alias not in storages.backends:
            raise BadPlan(f"{option} {alias}: it is not in STORAGES, which has {aliases}.")
    if source == target:
        raise BadPlan(f"--from and --to are both {source!r}: name two different aliases.")
    for option, alias in (("--from", source), ("--to", target)):
        try:
            storage = storages[alias]
            writable = not isinstance(storage, FSSpecStorage) or _writable(storage.flows)
        except ImproperlyConfigured as error:
            raise BadPlan(f"{option} {alias}: {error}") from error
        if option == "--to" and not writable:
            raise BadPlan(f"--to {alias}: this storage is read-only.")


def check_tenants(source: str, target: str, *, filtered: bool, enqueued: bool) -> None:
    """Raise ``BadPlan`` for a prefix that a callable tells, unless rows of one tenant are chosen.

    The files of others would be looked for in the folder of one. Tasks run where there is none.
    """
    for alias in (source, target):
        if not getattr(storages[alias], "prefix_callables", ()):
            continue
        setting = f"STORAGES[{alias!r}]['OPTIONS']['prefix']"
        if enqueued:
            raise BadPlan(
                f"--enqueue: {setting} is a callable, and a task runs for no tenant: leave it out."
            )
        if not filtered:
            raise BadPlan(f"{setting} {ROWS_OF_ALL_TENANTS}")


def check_answers(target: str) -> None:
    """Raise ``BadPlan`` for a target that says of a file that it has that it does not exist.

    Some storages of other packages do so for saves to overwrite files: copies would, too. 3
    requests, none where the class of the storage tells. A target that takes no trial file may
    take the files of rows.
    """
    storage = storages[target]
    if isinstance(storage, FSSpecStorage) or type(storage).exists in _HONEST:
        return
    denied = False
    with suppress(Exception), TrialFile(storage) as trial:
        denied = trial.is_denied()
    if denied:
        raise BadPlan(
            f"--to: {target!r} says of a file that it has that it does not exist "
            f"({type(storage).__name__}.exists()), so copies could replace other files."
        )


def _writable(flows: Driver) -> bool:
    try:
        flows.validate()
    except OptionError as error:
        raise flows.errors.misconfigured(error) from error.__cause__
    return flows.adapter.dialect.writable
