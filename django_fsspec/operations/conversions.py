"""What becomes of rows: paths to files, files to paths."""

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
from django_fsspec.core.stat import Stat
from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.objects.description import alias_for
from django_fsspec.objects.file_object import FileObject

from .listing import ListedStats

if TYPE_CHECKING:
    from . import ConvertFileField
    from .column_swap import Column, Row

#: rows that an error or a warning names
_NAMED = 20

logger = logging.getLogger("django_fsspec")


class Named:
    """Rows that a message tells of: all are counted, the first are named."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, row: Row, what: str = "") -> None:
        """Count a row; `what` is shown beside its primary key."""
        self.count += 1
        if len(self._first) < _NAMED:
            self._first.append(f"pk={row.pk!r} {what}".rstrip())

    def told(self, noun: str) -> str:
        """Return the number of them, with a noun: ``"1 row"``."""
        return f"{self.count} {noun}{'s' if self.count > 1 else ''}"

    def __str__(self) -> str:
        more = self.count - len(self._first)
        return ", ".join(self._first) + (f" and {more} more" if more else "")


class Conversion(ABC):
    """All rows of a column, one way or the other."""

    #: whether what it ends with is JSON
    to_json: ClassVar[bool]
    #: names of further columns that are read
    extra: Sequence[str] = ()

    def __init__(self, operation: ConvertFileField, column: Column) -> None:
        self.operation, self.column = operation, column
        paths, files = (column.old, column.new) if self.to_json else (column.new, column.old)
        if not isinstance(paths, FileField) or not isinstance(files, StoredObjectField):
            raise TypeError(
                f"{column.label} is a {type(paths).__name__} before ConvertFileField, which takes "
                "a FileField."
            )
        if column.old.column != column.new.column:
            raise ValueError(
                f"{column.label}: ConvertFileField does not rename the column {column.column!r}. "
                "Give the StoredObjectField the db_column of the FileField."
            )
        self.paths, self.files = paths, files
        #: rows whose files are not there
        self.missing = Named()

    def close(self) -> None:  # noqa: B027 - not every way keeps something
        """Let go of what is kept on disk."""

    def run(self) -> None:
        """Convert all rows, or those that a run before this one left."""
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
                # what was written meanwhile
                self._fill()
                column.swap()
        if self.missing.count:
            self._report()

    def _fill(self) -> None:
        """Convert rows that were not converted yet, or got another file since."""
        self.column.begin()
        self.missing, done = Named(), 0
        for page in self.column.pages(*self.extra):
            self.column.write(self.values(page))
            done += len(page)
            logger.info("%s: %d rows converted", self.column.label, done)

    def _report(self) -> None:
        model, name = self.column.after._meta.object_name, self.column.new.name
        logger.warning(
            "%s: STORAGES[%r] lacks %s: %s. The row holds the name, and no size: "
            "%s.objects.filter(%s__isnull=False, %s__size=None).",
            *(self.column.label, self.alias, self.missing.told("file"), self.missing),
            *(model, name, name),
        )

    @abstractmethod
    def check(self) -> None:
        """Learn what is needed; raise ``ValueError`` for rows that can't be converted."""

    @abstractmethod
    def values(self, page: Sequence[Row]) -> list[tuple[Any, Any]]:
        """Return the primary keys and new values of those rows that need one."""

    @cached_property
    def alias(self) -> str:
        """The alias of the storage that paths are of."""
        alias = self.operation.storage or self._alias_of_paths()
        if alias not in settings.STORAGES:
            known = ", ".join(map(repr, settings.STORAGES))
            raise ValueError(
                f"{self.column.label}: {alias!r} is not in STORAGES, which has {known}. Add it, "
                "or give ConvertFileField another as `storage`."
            )
        return alias

    def _alias_of_paths(self) -> str:
        try:
            return alias_for(self.paths.storage)
        except ValueError:  # made by hand
            backend = self.files.backend
        if isinstance(backend, str):
            return backend
        raise ValueError(
            f"{self.column.label}: its {type(self.paths.storage).__name__} has no alias in "
            "STORAGES. Give ConvertFileField the one its files are under, as `storage`."
        )


class ToFiles(Conversion):
    """From paths to files, with what listings tell of them."""

    to_json = True

    def __init__(self, operation: ConvertFileField, column: Column) -> None:
        super().__init__(operation, column)
        self._listed = ListedStats(lambda: self.alias) if operation.list_storage else None
        known = {field.name for field in column.before._meta.fields}
        sides = {side: getattr(self.paths, f"{side}_field", None) for side in ("width", "height")}
        self._sides = [side for side, name in sides.items() if name in known]
        self.extra = [str(sides[side]) for side in self._sides]

    def close(self) -> None:
        """See Conversion.close()."""
        if self._listed is not None:
            self._listed.close()

    def check(self) -> None:
        """See Conversion.check()."""
        empty = Named()
        for page in self.column.pages():
            if self._listed is not None:
                self._listed.want([row.old for row in page if row.old and _is_due(row)])
            for row in page:
                if not row.old:
                    empty.add(row)
        if empty.count and not self.column.new.null:
            raise ValueError(
                f"{self.column.label}: {empty.told('row')} without a file would become NULL. Give "
                f"the StoredObjectField null=True, blank=True, or the row a file: {empty}."
            )
        if self._listed is not None:
            self._listed.read()

    def values(self, page: Sequence[Row]) -> list[tuple[Any, Any]]:
        """See Conversion.values()."""
        due = [row for row in page if _is_due(row)]
        known: dict[str, Stat | None] = {}
        if self._listed is not None:
            known = self._listed.of([row.old for row in due if row.old])
        for row in page:
            # of a row that was converted before, a missing size tells
            there = known.get(row.old, row.new and row.new.size is not None)
            if row.old and not there and self._listed is not None:
                self.missing.add(row, row.old)
        return [(row.pk, self._described(row, known) if row.old else None) for row in due]

    def _described(self, row: Row, known: dict[str, Stat | None]) -> dict[str, Any]:
        """Return the JSON for a row."""
        stat = known.get(row.old) or Stat(name=row.old)
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


def _is_due(row: Row) -> bool:
    """Whether what was converted is not of the path that the row holds."""
    return (row.old or None) != (row.new.filename if row.new is not None else None)


class ToPaths(Conversion):
    """From files back to paths; all else that rows say of files is dropped."""

    to_json = False

    def check(self) -> None:
        """See Conversion.check()."""
        self._refuse(row for page in self.column.pages() for row in page)

    def _refuse(self, rows: Iterable[Row]) -> None:
        """Raise ``ValueError`` for those of `rows` that can't be converted."""
        faults: dict[str, Named] = {}
        for row in rows:
            fault, shown = self._fault(row.old)
            if fault:
                faults.setdefault(fault, Named()).add(row, shown)
        if faults:
            told = " ".join(f"{fault}: {rows}." for fault, rows in faults.items())
            raise ValueError(f"{self.column.label} can't become a path again. {told}")

    def _fault(self, file: FileObject | None) -> tuple[str, str]:
        """Return what keeps a value from being a path, and what to show of it."""
        if file is None:
            return "", ""
        if not file.filename:
            return "The JSON is no file", ""
        limit = self.paths.max_length
        if limit is not None and len(file.filename) > limit:
            return f"The path is longer than max_length={limit}", repr(file.filename)
        if file.backend != self.alias:
            return (
                f"The FileField's storage is {self.alias!r}, and the file is elsewhere (move it)",
                f"{file.filename!r} on {file.backend!r}",
            )
        return "", ""

    def values(self, page: Sequence[Row]) -> list[tuple[Any, Any]]:
        """See Conversion.values()."""
        self._refuse(page)  # others may have written since
        empty = None if self.paths.null else ""
        paths = [(row, row.old.filename if row.old else empty) for row in page]
        return [(row.pk, path) for row, path in paths if row.new != path]
