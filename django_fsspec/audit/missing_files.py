"""Find rows whose file is missing in a storage that a sweep has listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from django_fsspec.rows.columns import FileColumn, Origin, RowText
from django_fsspec.storage.locations import Route

from .columns import missing_file
from .findings import MissingFile
from .name_index import NameIndex
from .origins import Origins
from .swept_alias import SweptAlias


class _Reference(NamedTuple):
    """A file that a row names, in a storage that lacks some file."""

    row: RowText
    #: the alias that counts the row, should the file be missing
    home: SweptAlias
    name: str
    #: its name in the storage that was listed
    listed_name: str


class MissingFiles:
    """The files that rows reference, and that no listing of a sweep has."""

    def __init__(
        self,
        columns: Sequence[FileColumn],
        targets: Sequence[SweptAlias],
        origins: Origins,
        index: NameIndex,
    ) -> None:
        self._columns, self._targets = columns, targets
        self._origins, self._index = origins, index

    def find(self) -> Iterator[MissingFile]:
        """Yield the missing files, and count them by alias; reads the rows where there are any."""
        complete = [target for target in self._targets if target.complete]
        for target in complete:
            target.tally.missing_rows = 0
        lacking = {t for t in complete if self._index.count_held(t.part, unlisted=True)}
        if not lacking:
            return
        # rows are read again: one that changed since then may reference another file
        for column in self._columns:
            for batch in column.texts():
                yield from self._missing_of(column, batch, lacking)

    def _missing_of(
        self, column: FileColumn, rows: Iterable[RowText], lacking: Collection[SweptAlias]
    ) -> Iterator[MissingFile]:
        for target, references in self._references(column, rows, lacking).items():
            gone = self._index.unlisted(target.part, [each.listed_name for each in references])
            for row, home, name, listed_name in references:
                if listed_name in gone and home.tally.missing_rows is not None:
                    home.tally.missing_rows += 1
                    yield missing_file(column, home.alias, row, name)

    def _references(
        self, column: FileColumn, rows: Iterable[RowText], lacking: Collection[SweptAlias]
    ) -> dict[SweptAlias, list[_Reference]]:
        """Return the files of rows that should be in one of `lacking`, by that alias."""
        references: defaultdict[SweptAlias, list[_Reference]] = defaultdict(list)
        for row in rows:
            for origin, name in column.files_in(row):
                home = self._home(origin)
                if home is None:
                    continue
                for target, route, sure in self._origins.ways(origin):
                    listed_name = route(name) if sure else None
                    if listed_name is not None and target in lacking and target.wants(listed_name):
                        references[target].append(_Reference(row, home, name, listed_name))
                        break
        return references

    def _home(self, origin: Origin) -> SweptAlias | None:
        """Return the swept alias that is `origin`, or has the same place as a column's storage."""
        if isinstance(origin, str):
            return next((t for t in self._targets if t.alias == origin), None)
        if origin is None or origin.place is None:
            return None
        ways = self._origins.ways(origin)
        return next((way.target for way in ways if way.sure and way.route == Route()), None)
