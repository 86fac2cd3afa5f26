"""FileColumn: a field that holds files, in one database, with its rows and their files."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from django.core.exceptions import EmptyResultSet, FieldError, ValidationError
from django.db import connections
from django.db.models import ExpressionWrapper, F, FileField, QuerySet, TextField

from django_fsspec.core.batches import batches
from django_fsspec.objects.file_object import FileObject
from django_fsspec.objects.validity import fault_of, fault_within
from django_fsspec.storage.locations import Place, place_of

from .values import files_of, parsed

if TYPE_CHECKING:
    from django.db.models import Model

    from .protocols import StoredField

#: rows read in one query
PAGE = 5000
#: names in one query
_NAMES = 500
#: a name in the JSON of a file, as JSON
_FILENAME = re.compile(r'"filename"\s*:\s*("(?:[^"\\]|\\.)*")')


class RowText(NamedTuple):
    """A row's primary key and the text of its column: JSON, or a path."""

    pk: Any
    text: str


class HeldFile(NamedTuple):
    """A file that a row holds: where it is, and its name there."""

    origin: Origin
    name: str


#: where a file is: an alias; the column of a FileField whose storage has no alias; or unknown
Origin: TypeAlias = "str | FileColumn | None"


@dataclasses.dataclass(frozen=True, eq=False)
class FileColumn:
    """A ``StoredObjectField`` or ``FileField`` of a model, in the database `using`.

    `source` is an alias: of a ``StoredObjectField``, only rows with files on it are read.
    `conditions` are further lookups that rows must match.
    """

    field: StoredField | FileField
    using: str
    source: str = ""
    conditions: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return self.label

    @property
    def model(self) -> type[Model]:
        """The model of the field."""
        model: type[Model] = self.field.model
        return model

    @property
    def label(self) -> str:
        """``app_label.Model.field``."""
        return f"{self.model._meta.label}.{self.field.name}"

    @property
    def is_file_field(self) -> bool:
        """Whether rows hold paths, as a ``FileField`` does; otherwise they describe files."""
        return isinstance(self.field, FileField)

    @cached_property
    def place(self) -> Place | None:
        """Where the storage of a ``FileField`` keeps files; None where that is not known."""
        if isinstance(self.field, FileField):
            # a storage that can't be built keeps files somewhere all the same
            with contextlib.suppress(Exception):
                return place_of(self.field.storage)
        return None

    @cached_property
    def alias(self) -> str | None:
        """The alias of a ``FileField``'s storage; None where it has none."""
        if isinstance(self.field, FileField):
            # a storage that can't be built keeps files somewhere all the same
            with contextlib.suppress(Exception):
                return getattr(self.field.storage, "alias", None)
        return None

    # rows

    @property
    def all_rows(self) -> QuerySet[Any]:
        """All rows of the model, those that its managers hide too."""
        return QuerySet(model=self.model, using=self.using)

    @property
    def rows(self) -> QuerySet[Any]:
        """The rows with files."""
        name = self.field.name
        if self.is_file_field:
            rows = self.all_rows.exclude(**{name: ""}).exclude(**{f"{name}__isnull": True})
        elif self.source:
            rows = self.all_rows.filter(**{f"{name}__stored_on": self.source})
        else:
            rows = self.all_rows.filter(**{f"{name}__isnull": False})
        return rows.filter(**self.conditions)

    def condition_fault(self) -> Exception | None:
        """Return why `conditions` do not fit the model, None where they do. No query."""
        try:
            str(self.rows.query)
        except EmptyResultSet:
            pass
        except (FieldError, ValidationError, ValueError, TypeError) as error:
            return error
        return None

    def pages(
        self,
        size: int = PAGE,
        after: Any = None,
        upto: Any = None,
        *,
        as_text: bool = False,
        read: Callable[[QuerySet[Any]], list[Any]] = list,
    ) -> Iterator[list[tuple[Any, Any]]]:
        """Yield (primary key, value) of the rows, ordered by primary key: 1 query for `size`.

        Only rows with primary keys greater than `after`, and up to `upto`. With `as_text` values
        are the text of the column. `read` executes a query, perhaps with retries.

        Each query begins where the last one ended: a server's cursor would need a transaction
        as long as the whole reading, and MySQL's client reads a whole result into memory.
        """
        value = ExpressionWrapper(F(self.field.name), output_field=TextField())
        rows = self.rows.order_by("pk")
        rows = rows.values_list("pk", value if as_text else self.field.name)
        if upto is not None:
            rows = rows.filter(pk__lte=upto)
        while page := read((rows if after is None else rows.filter(pk__gt=after))[:size]):
            yield page
            _forget_statements(self.using)
            if len(page) < size:
                return
            after = page[-1][0]

    def texts(self, size: int = PAGE) -> Iterator[list[RowText]]:
        """Yield the text of all rows, `size` rows a query."""
        for page in self.pages(size, as_text=True):
            yield [RowText(*row) for row in page]

    def values_of(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Return what rows hold now, by primary key: 1 query for 1000 rows."""
        values: dict[Any, Any] = {}
        for batch in batches(keys):
            rows = self.all_rows.filter(pk__in=batch)
            values.update(rows.values_list("pk", self.field.name))
        return values

    def count(self) -> int:
        """Return how many rows there are with files: 1 query."""
        return self.rows.count()

    # files

    def files_of(self, value: Any) -> list[FileObject]:
        """Return the files in a value of the field: those on `source`, where there is one.

        Those with invalid JSON too, which raise when they are used.
        """
        if isinstance(value, str):
            return [FileObject(self.source, value)] if value else []
        return [file for file in files_of(value) if self.source in ("", file.backend)]

    def files_in(self, row: RowText) -> Iterator[HeldFile]:
        """Yield the files that a row holds, read from its text."""
        if self.is_file_field:
            yield HeldFile(self.alias or self, row.text)
            return
        data = parsed(row.text)
        if data is row.text:
            # JSON that Python can't read: each name in it may be of a file
            yield from (HeldFile(None, json.loads(name)) for name in _FILENAME.findall(row.text))
        for description in descriptions_in(data):
            alias = description.get("backend")
            is_alias = isinstance(alias, str) and fault_within(alias) is None
            yield HeldFile(alias if is_alias else None, description["filename"])

    def referenced(self, names: Iterable[str]) -> set[str]:
        """Return those of `names` that rows of a ``FileField`` hold: 1 query for 500 names."""
        wanted = set(names)
        referenced: set[str] = set()
        for batch in batches(wanted, _NAMES):
            rows = self.rows.filter(**{f"{self.field.name}__in": batch})
            referenced.update(rows.values_list(self.field.name, flat=True).iterator())
        return referenced & wanted  # MySQL's collations find names that read alike


def descriptions_in(data: Any) -> list[dict[str, Any]]:
    """Return the descriptions of files in the JSON of a column: each ``dict`` with a filename.

    Those that are invalid otherwise too: their files are in use.
    """
    return [
        item
        for item in _items(data)
        if isinstance(item, dict) and isinstance(item.get("filename"), str) and item["filename"]
    ]


def faults_in(data: Any) -> list[str]:
    """Return what is wrong with invalid descriptions in the JSON of a column."""
    return [fault for item in _items(data) if (fault := fault_of(item)) is not None]


def _items(data: Any) -> Sequence[Any]:
    return data if isinstance(data, list) else [data]


def _forget_statements(using: str) -> None:
    """Forget the statements that Django keeps where DEBUG is on, unless somebody counts them."""
    if not connections[using].force_debug_cursor:
        connections[using].queries_log.clear()
