"""The refresh: update the metadata of files in rows from the listings of their storages."""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import storages
from django.core.files.storage.handler import InvalidStorageError

from django_fsspec.core.batches import batches
from django_fsspec.core.stat import Stat
from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.columns import FileColumn, RowText, descriptions_in, faults_in
from django_fsspec.rows.compare_and_swap import RowSwap, swap
from django_fsspec.rows.values import Ref, parsed
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.prefixes import ROWS_OF_ALL_TENANTS, iterate_pinned, pin, pins_of

from .columns import BadArguments, check_databases, columns_of, missing_file
from .findings import InvalidFile, MissingFile, UpdatedFile
from .name_index import NameIndex
from .progress_bars import Bar, no_bar

Finding: TypeAlias = UpdatedFile | MissingFile | InvalidFile

#: keys that are not null in a complete description; see `only_missing`
_BASIC = ("size", "etag", "last_modified")
#: seconds by which a listing's time may differ from the time in the answer to the write
_SLACK = 2
_THREADS = 16
#: names per list request; a folder with fewer files is listed with its siblings
_PAGE = 1000


@dataclass(slots=True, kw_only=True)
class RefreshCounts:
    """Counts of a refresh. `problems`: alias -> why its files were skipped."""

    rows: int = 0
    files: int = 0
    listed: int = 0
    updated: int = 0
    missing: int = 0
    #: files with invalid JSON, which are left alone
    invalid: int = 0
    #: rows that another process changed meanwhile, which were skipped
    skipped: int = 0
    problems: dict[str, str] = field(default_factory=dict)


class RefreshedAlias:
    """An alias whose files are refreshed: its storage and its part of the name index."""

    def __init__(self, part: int, storage: FSSpecStorage) -> None:
        self.part, self.storage = part, storage
        dialect = storage.flows.adapter.dialect
        #: whether listing a folder lists all below it
        self.flat = dialect.flat
        #: whether it stores the content type, instead of guessing one
        self.keeps_types = "content_type" in dialect.headers


class Refresh:
    """Updates size, content type, time, etag and version of files in rows, in constant memory.

    `labels` are ``"app_label.Model.field"``. The folders of the files are listed: 1 request per
    1000 files. With `stat`, 1 request per file reads the content type where listings have none.
    `only_missing` skips files whose size, time and etag are known. `conditions` are lookups that
    rows must match; without one, files of an alias whose `prefix` is a callable are left alone.

    A row is written if its metadata differs and it has not changed since it was read. The
    checksum is removed where the bytes have changed. Raises ``BadArguments`` for an unknown
    field or database, for `conditions` that do not fit a model and for a batch size below 1.
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
        conditions: Mapping[str, Any] | None = None,
        bar: Bar = no_bar,
    ) -> None:
        if batch_size < 1:
            raise BadArguments(f"--batch-size must be 1 or more, not {batch_size}.")
        check_databases(databases)
        self._columns = [
            column
            for label in dict.fromkeys(labels)
            for column in columns_of(_field(label), databases)
        ]
        if conditions:
            self._columns = [
                dataclasses.replace(column, conditions=conditions) for column in self._columns
            ]
            for column in self._columns:
                if fault := column.condition_fault():
                    raise BadArguments(f"--filter does not fit {column.label}: {fault}") from fault
        self._chosen = bool(conditions)
        self._only_missing, self._dry_run, self._stat = only_missing, dry_run, stat
        self._size, self._bar = batch_size, bar
        self._sources: dict[str, RefreshedAlias] = {}
        self.counts = RefreshCounts()
        self._pins = pins_of(settings.STORAGES)

    def run(self) -> Iterator[Finding]:
        """Yield findings as they come. Raises what the database raises."""
        # to the end for the tenant of the beginning, whoever asks for the next finding
        return iterate_pinned(self._pins, self._run())

    def _run(self) -> Iterator[Finding]:
        with NameIndex() as index:
            self._index = index
            self._index_referenced()
            for alias in list(self._sources):
                try:
                    self._list(self._sources[alias])
                except OSError as error:
                    self._skip_alias(alias, str(error))
            with self._bar(total=self.counts.rows, desc="updating", unit=" rows") as bar:
                for column in self._columns:
                    for rows in column.texts(self._size):
                        yield from self._update(column, rows)
                        bar.update(len(rows))

    # which files

    def _index_referenced(self) -> None:
        """Put the names of the files to refresh into the index."""
        counts = self.counts
        with self._bar(desc="rows", unit=" rows") as bar:
            for column in self._columns:
                for rows in column.texts(self._size):
                    for alias, held in self._wanted(column, rows).items():
                        if (source := self._source(alias)) is not None:
                            self._index.add_referenced(source.part, sorted(held))
                    counts.rows += len(rows)
                    bar.update(len(rows))

    def _wanted(self, column: FileColumn, rows: Iterable[RowText]) -> dict[str, set[str]]:
        names_by_alias: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            for data in _valid(parsed(row.text)):
                self.counts.files += 1
                if not self._only_missing or any(data.get(key) is None for key in _BASIC):
                    alias, name = _ref(data)
                    names_by_alias[alias].add(name)
        return names_by_alias

    def _source(self, alias: str) -> RefreshedAlias | None:
        if alias not in self._sources and alias not in self.counts.problems:
            try:
                storage = storages[alias]
                if getattr(storage, "prefix_callables", ()) and not self._chosen:
                    self._skip_alias(alias, f"its 'prefix' {ROWS_OF_ALL_TENANTS}")
                elif isinstance(storage, FSSpecStorage):
                    self._sources[alias] = RefreshedAlias(len(self._sources), storage)
                else:
                    self._skip_alias(alias, f"{type(storage).__name__} is not an FSSpecStorage.")
            except (ImproperlyConfigured, InvalidStorageError) as error:
                self._skip_alias(alias, str(error))
        return self._sources.get(alias)

    def _skip_alias(self, alias: str, problem: str) -> None:
        """Skip the files of an alias, and say why."""
        self.counts.problems[alias] = problem
        self._sources.pop(alias, None)

    # metadata in storages

    def _list(self, source: RefreshedAlias) -> None:
        most = max(1, self._index.count_held(source.part) // _PAGE)
        with self._bar(desc=str(source.storage.alias), unit=" objects") as bar:
            for folder in self._index.folders(source.part, most):
                for stats in batches(source.storage.walk(folder)):
                    self._index.describe(source.part, stats)
                    self.counts.listed += len(stats)
                    bar.update(len(stats))

    def _stats(self, source: RefreshedAlias, file_names: Sequence[str]) -> dict[str, Stat | None]:
        """Return the metadata of files, None for a file that is missing.

        Names that are not in the index are left out.
        """
        stats: dict[str, Stat | None] = dict(self._index.stats(source.part, file_names))
        missing = self._index.unlisted(source.part, file_names)
        # a disk that folds case may have it under another spelling
        to_request = set() if source.flat else set(missing)
        if self._stat and source.keeps_types:
            to_request |= {name for name, stat in stats.items() if stat and not stat.content_type}
        stats |= dict.fromkeys(missing)
        if to_request:
            with ThreadPoolExecutor(_THREADS, initializer=pin, initargs=(self._pins,)) as pool:
                stat_of = functools.partial(_stat_of, source)
                stats |= zip(to_request, pool.map(stat_of, to_request), strict=True)
        return stats

    # metadata in rows

    def _update(self, column: FileColumn, rows: Sequence[RowText]) -> Iterator[Finding]:
        stats = self._stats_of(column, rows)
        changes: list[RowSwap] = []
        findings: list[Finding] = []
        for row in rows:
            value = parsed(row.text)
            findings += self._invalid(column, row, value)
            of_row = [
                finding
                for data in _valid(value)
                if _ref(data) in stats
                if (finding := self._compare(column, row, data, stats[_ref(data)])) is not None
            ]
            if any(isinstance(finding, UpdatedFile) for finding in of_row):
                changes.append(RowSwap(row.pk, row.text, value))
            findings += of_row
        self.counts.updated += len(changes)
        if changes and not self._dry_run:
            self._write(column, changes)
        yield from findings

    def _invalid(self, column: FileColumn, row: RowText, value: Any) -> Iterator[InvalidFile]:
        for fault in faults_in(value):
            self.counts.invalid += 1
            label = column.model._meta.label
            yield InvalidFile(model=label, pk=row.pk, field=column.field.name, fault=fault)

    def _stats_of(self, column: FileColumn, rows: Iterable[RowText]) -> dict[Ref, Stat | None]:
        names_by_alias: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            for alias, name in map(_ref, _valid(parsed(row.text))):
                names_by_alias[alias].add(name)
        stats: dict[Ref, Stat | None] = {}
        for alias, held in names_by_alias.items():
            if (source := self._sources.get(alias)) is None:
                continue
            try:
                of_alias = self._stats(source, sorted(held))
            except OSError as error:
                self._skip_alias(alias, str(error))
            else:
                stats |= {Ref(alias, name): stat for name, stat in of_alias.items()}
        return stats

    def _compare(
        self, column: FileColumn, row: RowText, data: dict[str, Any], stat: Stat | None
    ) -> UpdatedFile | MissingFile | None:
        """Put the metadata of a file into its JSON; return what changed, None for nothing."""
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
        return UpdatedFile(
            alias=file.backend,
            model=column.model._meta.label,
            pk=row.pk,
            field=column.field.name,
            name=file.filename,
            changes=changes,
        )

    def _write(self, column: FileColumn, changes: Sequence[RowSwap]) -> None:
        """Write rows that have not changed since they were read."""
        field: Any = column.field
        left = len(changes) - len(swap(column.using, field, changes))
        self.counts.skipped += left
        self.counts.updated -= left


def learn(file: FileObject, stat: Stat, *, types: bool) -> None:
    """Update `file` with the metadata of a listing, which may be incomplete.

    Where the bytes have changed, checksum, version, width and height of the old ones are removed.
    `types` is whether the storage stores content types.
    """
    if file._differs(stat):
        file.checksum = file.etag = file.version_id = None
        file._drop_dimensions()
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
        options = apps.get_model(model)._meta
        field = options.get_field(name)
    except FieldDoesNotExist as error:
        names = [repr(each.name) for each in options.fields if isinstance(each, StoredObjectField)]
        raise BadArguments(
            f"{error}; it has {', '.join(names) or 'no StoredObjectField'}."
        ) from error
    except (LookupError, ValueError) as error:
        raise BadArguments(f"{label!r} is not an app_label.Model.field: {error}") from error
    if not isinstance(field, StoredObjectField):
        raise BadArguments(
            f"{label} is a {type(field).__name__}; only a StoredObjectField stores metadata."
        )
    return field


def _valid(data: Any) -> list[dict[str, Any]]:
    """Return the descriptions in the JSON of a column whose files can be used."""
    return [item for item in descriptions_in(data) if not faults_in(item)]


def _ref(data: dict[str, Any]) -> Ref:
    return Ref(str(data.get("backend")), data["filename"])


def _stat_of(source: RefreshedAlias, name: str) -> Stat | None:
    try:
        return source.storage.stat(name)
    except (FileNotFoundError, SuspiciousFileOperation):
        return None
