"""Conversion of rows: paths to descriptions of files, and back."""

from __future__ import annotations

import logging
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db.models import FileField

from django_fsspec.core.content_types import guess_type
from django_fsspec.core.log_fields import log_fields
from django_fsspec.core.stat import Stat
from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.objects.aliases import alias_for
from django_fsspec.objects.file_object import FileObject

from .listing import ListedStats

if TYPE_CHECKING:
    from . import ConvertFileField
    from .column_swap import ConvertedColumn, ConvertedRow

#: rows that a message names
_NAMED = 20

logger = logging.getLogger("django_fsspec")


class NamedRows:
    """Rows for a message: counts all of them, and names the first."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, row: ConvertedRow, what: str = "") -> None:
        """Add a row; `what` is shown after its primary key."""
        self.count += 1
        if len(self._first) < _NAMED:
            self._first.append(f"pk={row.pk!r} {what}".rstrip())

    def counted(self, noun: str) -> str:
        """Return the number of rows with a noun: ``"1 row"``."""
        return f"{self.count} {noun}{'s' if self.count > 1 else ''}"

    def __str__(self) -> str:
        more = self.count - len(self._first)
        return ", ".join(self._first) + (f" and {more} more" if more else "")


class Conversion(ABC):
    """The conversion of all rows of a column, in one direction."""

    #: whether it converts to JSON
    to_json: ClassVar[bool]
    #: names of other columns to read
    extra: Sequence[str] = ()

    def __init__(self, operation: ConvertFileField, column: ConvertedColumn) -> None:
        self.operation, self.column = operation, column
        paths, files = (column.old, column.new) if self.to_json else (column.new, column.old)
        if not isinstance(paths, FileField) or not isinstance(files, StoredObjectField):
            raise TypeError(
                f"{column.label} is a {type(paths).__name__} before ConvertFileField, which "
                "converts a FileField only."
            )
        if column.old.column != column.new.column:
            raise ValueError(
                f"{column.label}: ConvertFileField does not rename the column {column.column!r}. "
                "Give the StoredObjectField the db_column of the FileField."
            )
        self.paths, self.files = paths, files
        #: rows whose files are missing
        self.missing = NamedRows()

    def close(self) -> None:  # noqa: B027 - only one direction needs it
        """Delete temporary files."""

    def run(self) -> None:
        """Convert all rows, or those that an interrupted migration left.

        Raises ``ValueError`` for rows that can't be converted.
        """
        column = self.column
        if column.is_json() is self.to_json:
            column.settle()
            return
        column.check_meta()
        self.check()
        if column.connection.in_atomic_block:
            with column.locked():
                self._fill()
                column.swap()
        else:
            self._fill()
            with column.locked():
                # rows that were written meanwhile
                self._fill()
                column.swap()
        if self.missing.count:
            self._report()

    def _fill(self) -> None:
        """Convert rows that are not converted yet, or whose file was replaced since."""
        self.column.begin()
        self.missing, done = NamedRows(), 0
        for page in self.column.pages(*self.extra):
            self.column.write(self.values(page))
            done += len(page)
            logger.info(
                "%s: %d rows converted",
                self.column.label,
                done,
                extra=log_fields(self.alias, operation="convert"),
            )

    def _report(self) -> None:
        model, name = self.column.after._meta.object_name, self.column.new.name
        logger.warning(
            "%s: STORAGES[%r] lacks %s: %s. Their rows hold the name without a size. Query them: "
            "%s.objects.filter(%s__isnull=False, %s__size=None).",
            *(self.column.label, self.alias, self.missing.counted("file"), self.missing),
            *(model, name, name),
            extra=log_fields(self.alias, operation="convert"),
        )

    @abstractmethod
    def check(self) -> None:
        """Prepare; raise ``ValueError`` for rows that can't be converted."""

    @abstractmethod
    def values(self, page: Sequence[ConvertedRow]) -> list[tuple[Any, Any]]:
        """Return (primary key, new value) of the rows that need a new value."""

    @cached_property
    def alias(self) -> str:
        """The alias of the storage of the paths."""
        alias = self.operation.storage or self._alias_of_paths()
        if alias not in settings.STORAGES:
            aliases = ", ".join(map(repr, settings.STORAGES))
            raise ValueError(
                f"{self.column.label}: {alias!r} is not in STORAGES, which has {aliases}. Add it, "
                "or give ConvertFileField another as `storage`."
            )
        return alias

    def _alias_of_paths(self) -> str:
        try:
            return alias_for(self.paths.storage)
        except ValueError:  # it has no alias
            backend = self.files.backend
        if isinstance(backend, str):
            return backend
        raise ValueError(
            f"{self.column.label}: its {type(self.paths.storage).__name__} has no alias in "
            "STORAGES. Give ConvertFileField the one its files are under, as `storage`."
        )


class ToFiles(Conversion):
    """Paths to descriptions of files, with size, time and etag from listings."""

    to_json = True

    def __init__(self, operation: ConvertFileField, column: ConvertedColumn) -> None:
        super().__init__(operation, column)
        self._listed = ListedStats(lambda: self.alias) if operation.list_storage else None
        names = {field.name for field in column.before._meta.fields}
        sides = {side: getattr(self.paths, f"{side}_field", None) for side in ("width", "height")}
        self._sides = [side for side, name in sides.items() if name in names]
        self.extra = [str(sides[side]) for side in self._sides]

    def close(self) -> None:
        """See Conversion.close()."""
        if self._listed is not None:
            self._listed.close()

    def check(self) -> None:
        """See Conversion.check()."""
        empty = NamedRows()
        for page in self.column.pages():
            if self._listed is not None:
                self._listed.want([row.old for row in page if row.old and _is_due(row)])
            for row in page:
                if not row.old:
                    empty.add(row)
        if empty.count and not self.column.new.null:
            raise ValueError(
                f"{self.column.label}: {empty.counted('row')} without a file would become NULL. "
                f"Give the StoredObjectField null=True, blank=True, or the row a file: {empty}."
            )
        if self._listed is not None:
            self._listed.read()

    def values(self, page: Sequence[ConvertedRow]) -> list[tuple[Any, Any]]:
        """See Conversion.values()."""
        due = [row for row in page if _is_due(row)]
        stats: dict[str, Stat | None] = {}
        if self._listed is not None:
            stats = self._listed.of([row.old for row in due if row.old])
        for row in page:
            # a row that was converted before has a size unless its file was missing
            exists = stats.get(row.old, row.new and row.new.size is not None)
            if row.old and not exists and self._listed is not None:
                self.missing.add(row, row.old)
        return [(row.pk, self._described(row, stats) if row.old else None) for row in due]

    def _described(self, row: ConvertedRow, stats: dict[str, Stat | None]) -> dict[str, Any]:
        """Return the JSON for a row."""
        stat = stats.get(row.old) or Stat(name=row.old)
        time, sides = stat.last_modified, zip(self._sides, row.extra, strict=True)
        return FileObject(
            self.alias,
            row.old,
            content_type=stat.content_type or guess_type(row.old),
            size=stat.size,
            last_modified=None if time is None else time.timestamp(),
            checksum=stat.checksum,
            etag=stat.etag,
            version_id=stat.version_id,
            metadata={
                "original_name": posixpath.basename(row.old),
                **{side: pixels for side, pixels in sides if pixels is not None},
            },
        ).to_dict()


def _is_due(row: ConvertedRow) -> bool:
    """Return whether the new column does not describe the file of the old one."""
    return (row.old or None) != (row.new.filename if row.new is not None else None)


class ToPaths(Conversion):
    """Descriptions of files back to paths; the rest of the description is dropped."""

    to_json = False

    def check(self) -> None:
        """See Conversion.check()."""
        self._refuse(row for page in self.column.pages() for row in page)

    def _refuse(self, rows: Iterable[ConvertedRow]) -> None:
        """Raise ``ValueError`` for those of `rows` that can't be converted."""
        faults: dict[str, NamedRows] = {}
        for row in rows:
            fault, shown = self._fault(row.old)
            if fault:
                faults.setdefault(fault, NamedRows()).add(row, shown)
        if faults:
            reasons = " ".join(f"{fault}: {rows}." for fault, rows in faults.items())
            raise ValueError(f"{self.column.label} can't become a path again. {reasons}")

    def _fault(self, file: FileObject | None) -> tuple[str, str]:
        """Return why a file can't become a path, and what to show of it."""
        if file is None:
            return "", ""
        if not file.filename:
            return "The JSON describes no file", ""
        limit = self.paths.max_length
        if limit is not None and len(file.filename) > limit:
            return f"The path is longer than max_length={limit}", repr(file.filename)
        if file.backend != self.alias:
            return (
                f"The FileField's storage is {self.alias!r}, but the file is not there (move it)",
                f"{file.filename!r} on {file.backend!r}",
            )
        return "", ""

    def values(self, page: Sequence[ConvertedRow]) -> list[tuple[Any, Any]]:
        """See Conversion.values()."""
        self._refuse(page)  # other processes may have written since
        empty = None if self.paths.null else ""
        paths = [(row, row.old.filename if row.old else empty) for row in page]
        return [(row.pk, path) for row, path in paths if row.new != path]
