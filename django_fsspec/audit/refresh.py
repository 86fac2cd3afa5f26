"""What rows say of their files, mended by what the storages' listings tell."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import storages
from django.core.files.storage.handler import InvalidStorageError

from django_fsspec.core.batches import batches
from django_fsspec.core.stat import Stat
from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.objects.description import OF_BYTES
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.columns import FileColumn, RowText, descriptions_in, parsed
from django_fsspec.rows.compare_and_swap import Change, swap
from django_fsspec.rows.values import Ref
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from .columns import Refused, check_databases, columns_of, missing_file
from .findings import Mended, MissingFile
from .name_index import NameIndex
from .progress_bars import Bar, no_bar

#: what makes a row worth a look with `only_missing`
_BASIC = ("size", "etag", "last_modified")
#: seconds by which servers tell another time than they told the writer
_SLACK = 2
_THREADS = 16
#: names that one request lists, and so how many a folder should have to be listed by itself
_PAGE = 1000


@dataclass(slots=True, kw_only=True)
class Counts:
    """What was done. `problems` says why an alias was left alone."""

    rows: int = 0
    files: int = 0
    listed: int = 0
    mended: int = 0
    missing: int = 0
    #: rows that another process changed meanwhile; they were left alone
    outpaced: int = 0
    problems: dict[str, str] = field(default_factory=dict)


class Source:
    """An alias whose files are looked at: its storage, and its part of the catalogue."""

    def __init__(self, part: int, storage: FSSpecStorage) -> None:
        self.part, self.storage = part, storage
        dialect = storage.flows.adapter.dialect
        #: whether listing a folder lists all below it
        self.flat = dialect.flat
        #: whether the type it tells is the one that was given, not its guess
        self.keeps_types = "content_type" in dialect.headers


class Refresh:
    """Mends size, type, time, etag and version of files that rows hold. Memory is flat.

    `labels` are ``"app_label.Model.field"``. The folders that hold the files are listed: 1
    request a thousand objects. With `stat` each file is asked for (1 request) where a listing
    tells no content type. `only_missing` looks at those alone that lack size, time or etag.

    A row is written if what it says differs, and if it still holds what it held when it was read.
    A checksum goes where the bytes are others. Raises ``Refused`` for wrong arguments.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        databases: Sequence[str] = ("default",),
        only_missing: bool = False,
        dry_run: bool = False,
        batch_size: int = 1000,
        stat: bool = False,
        bar: Bar = no_bar,
    ) -> None:
        if batch_size < 1:
            raise Refused(f"The batch size must be 1 or more, not {batch_size}.")
        check_databases(databases)
        self._columns = [
            column
            for label in dict.fromkeys(labels)
            for column in columns_of(_field(label), databases)
        ]
        self._only_missing, self._dry_run, self._stat = only_missing, dry_run, stat
        self._size, self._bar = batch_size, bar
        self._sources: dict[str, Source] = {}
        self.counts = Counts()

    def run(self) -> Iterator[Mended | MissingFile]:
        """Yield what is found, as it is found."""
        with NameIndex() as catalogue:
            self._catalogue = catalogue
            self._hold()
            for alias in list(self._sources):
                try:
                    self._list(self._sources[alias])
                except OSError as error:
                    self._leave(alias, str(error))
            with self._bar(total=self.counts.rows, desc="mending", unit=" rows") as bar:
                for column in self._columns:
                    for rows in column.texts(self._size):
                        yield from self._mend(column, rows)
                        bar.update(len(rows))

    # which files

    def _hold(self) -> None:
        """Take in the names of the files to look at."""
        counts = self.counts
        with self._bar(desc="rows", unit=" rows") as bar:
            for column in self._columns:
                for rows in column.texts(self._size):
                    for alias, held in self._wanted(column, rows).items():
                        if (source := self._source(alias)) is not None:
                            self._catalogue.hold(source.part, sorted(held))
                    counts.rows += len(rows)
                    bar.update(len(rows))

    def _wanted(self, column: FileColumn, rows: Iterable[RowText]) -> dict[str, set[str]]:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            for data in descriptions_in(parsed(row.text)):
                self.counts.files += 1
                if not self._only_missing or any(data.get(key) is None for key in _BASIC):
                    alias, name = _ref(data)
                    found[alias].add(name)
        return found

    def _source(self, alias: str) -> Source | None:
        if alias not in self._sources and alias not in self.counts.problems:
            try:
                storage = storages[alias]
                if isinstance(storage, FSSpecStorage):
                    self._sources[alias] = Source(len(self._sources), storage)
                else:
                    self._leave(alias, f"{type(storage).__name__} is not of django_fsspec.")
            except (ImproperlyConfigured, InvalidStorageError) as error:
                self._leave(alias, str(error))
        return self._sources.get(alias)

    def _leave(self, alias: str, problem: str) -> None:
        """Leave the files of an alias alone."""
        self.counts.problems[alias] = problem
        self._sources.pop(alias, None)

    # what storages tell

    def _list(self, source: Source) -> None:
        most = max(1, self._catalogue.count_held(source.part) // _PAGE)
        with self._bar(desc=str(source.storage.alias), unit=" objects") as bar:
            for folder in self._catalogue.folders(source.part, most):
                for stats in batches(source.storage.walk(folder)):
                    self._catalogue.describe(source.part, stats)
                    self.counts.listed += len(stats)
                    bar.update(len(stats))

    def _told(self, source: Source, asked: Sequence[str]) -> dict[str, Stat | None]:
        """Return what is told of files; None for one that is not there.

        What was not held when names were taken in is left out.
        """
        told: dict[str, Stat | None] = dict(self._catalogue.stats(source.part, asked))
        gone = self._catalogue.unlisted(source.part, asked)
        again = set() if source.flat else set(gone)  # spelled otherwise it may be there
        if self._stat and source.keeps_types:
            again |= {name for name, stat in told.items() if stat and not stat.content_type}
        told |= dict.fromkeys(gone)
        if again:
            with ThreadPoolExecutor(_THREADS) as pool:
                told |= zip(
                    again, pool.map(functools.partial(_stat_of, source), again), strict=True
                )
        return told

    # what rows say

    def _mend(self, column: FileColumn, rows: Sequence[RowText]) -> Iterator[Mended | MissingFile]:
        told = self._told_of(column, rows)
        changes: list[Change] = []
        found: list[Mended | MissingFile] = []
        for row in rows:
            value = parsed(row.text)
            here = [
                one
                for data in descriptions_in(value)
                if _ref(data) in told
                if (one := self._compare(column, row, data, told[_ref(data)])) is not None
            ]
            if any(isinstance(one, Mended) for one in here):
                changes.append(Change(row.pk, row.text, value))
            found += here
        self.counts.mended += len(changes)
        if changes and not self._dry_run:
            self._write(column, changes)
        yield from found

    def _told_of(self, column: FileColumn, rows: Iterable[RowText]) -> dict[Ref, Stat | None]:
        asked: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            for alias, name in map(_ref, descriptions_in(parsed(row.text))):
                asked[alias].add(name)
        found: dict[Ref, Stat | None] = {}
        for alias, held in asked.items():
            if (source := self._sources.get(alias)) is None:
                continue
            try:
                told = self._told(source, sorted(held))
            except OSError as error:
                self._leave(alias, str(error))
            else:
                found |= {Ref(alias, name): stat for name, stat in told.items()}
        return found

    def _compare(
        self, column: FileColumn, row: RowText, data: dict[str, Any], stat: Stat | None
    ) -> Mended | MissingFile | None:
        """Put what is told of a file into its JSON; return what is new, None for nothing."""
        file = FileObject.from_dict(data)
        if stat is None:
            self.counts.missing += 1
            return missing_file(column, file.backend, row, file.filename)
        before = file.to_dict()
        learn(file, stat, types=self._sources[file.backend].keeps_types)
        now = file.to_dict()
        changes = {key: (before[key], now[key]) for key in now if before[key] != now[key]}
        if not changes:
            return None
        data.clear()
        data.update(now)
        return Mended(
            alias=file.backend,
            model=column.model._meta.label,
            pk=row.pk,
            field=column.field.name,
            name=file.filename,
            changes=changes,
        )

    def _write(self, column: FileColumn, changes: Sequence[Change]) -> None:
        """Write what still holds what it held when it was read."""
        field: Any = column.field
        left = len(changes) - len(swap(column.using, field, changes))
        self.counts.outpaced += left
        self.counts.mended -= left


def learn(file: FileObject, stat: Stat, *, types: bool) -> None:
    """Have `file` take in what a listing tells of it, which may be little.

    Where the bytes are others, what is known of the former (checksum, version, width, height)
    goes. `types` is whether the storage keeps the types that it was given.
    """
    if file._differs(stat):
        file.checksum = file.etag = file.version_id = None
        for key in OF_BYTES:
            file.metadata.pop(key, None)
    if stat.size is not None:
        file.size = stat.size
    if stat.last_modified is not None:
        modified = stat.last_modified.timestamp()
        if file.last_modified is None or abs(file.last_modified - modified) > _SLACK:
            file.last_modified = modified
    if types and stat.content_type:
        file.content_type = stat.content_type
    file.etag = stat.etag or file.etag
    file.version_id = stat.version_id or file.version_id
    file.checksum = file.checksum or stat.checksum


def _field(label: str) -> StoredObjectField:
    """Return the field that ``"app_label.Model.field"`` names."""
    model, _, name = label.rpartition(".")
    try:
        found = apps.get_model(model)._meta.get_field(name)
    except (LookupError, ValueError, FieldDoesNotExist) as error:
        raise Refused(f"{label!r} is no app_label.Model.field: {error}") from error
    if not isinstance(found, StoredObjectField):
        raise Refused(
            f"{label} is a {type(found).__name__}: only a StoredObjectField tells more of a file "
            "than its name."
        )
    return found


def _ref(data: dict[str, Any]) -> Ref:
    return Ref(str(data.get("backend")), data["filename"])


def _stat_of(source: Source, name: str) -> Stat | None:
    try:
        return source.storage.stat(name)
    except (FileNotFoundError, SuspiciousFileOperation):
        return None
