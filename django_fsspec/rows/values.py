"""Values of a StoredObjectField: the JSON of the column, and the FileObjects made of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    Protocol,
    Self,
    SupportsIndex,
    TypeAlias,
    overload,
)

from django_fsspec.objects.file_object import FileObject

if TYPE_CHECKING:
    from django.db.models import Model


class DjangoFile(Protocol):
    """A Django ``File``, to a type checker that may not know Django."""

    def chunks(self, chunk_size: int | None = None) -> Any:
        """Yield the content."""

    def multiple_chunks(self, chunk_size: int | None = None) -> Any:
        """Return whether the content has more than one chunk."""


if TYPE_CHECKING:
    #: what a field takes for one file, where it is not empty: a ``FileObject`` is a ``File``
    FileInput: TypeAlias = DjangoFile | Mapping[str, Any]


class Ref(NamedTuple):
    """A stored file: the alias of its storage, and its name there."""

    backend: str
    name: str


class ListOwner(Protocol):
    """A field of a row, which turns values into files."""

    @property
    def instance(self) -> Model:
        """The row."""

    @property
    def field(self) -> object:
        """The field."""

    def accept(self, value: Any) -> FileObject | None:
        """Return `value` as a file of the row. Raises ``TypeError`` for other values."""


class FileList(list[FileObject]):
    """The files of a field with ``multiple=True``: a list that accepts files and uploads.

    Saving the row compares the list with the database. Methods that add raise ``TypeError`` for a
    value that is no file.
    """

    # pickles name this, wherever the class is defined
    __module__ = "django_fsspec.fields"

    #: the JSON as the database gave it
    _raw: str | None = None
    _row: ListOwner | None = None

    def bind(self, row: ListOwner) -> Self:
        """Return the list of `row`: this one, or a copy if another field or row may have it."""
        bound = self._row
        if bound is not None and bound.instance is row.instance and bound.field is row.field:
            return self
        # copies of a row share what was read
        is_shared = bound is not None or self._raw is not None
        files = copy.deepcopy(self) if is_shared else self
        files._row = row
        files[:] = files
        return files

    def _accepted(self, value: Any) -> FileObject:
        file = value if self._row is None else self._row.accept(value)
        if file is None:
            where = "" if self._row is None else f"{self._row.field}: "
            raise TypeError(f"{where}None is not a file; a list can't hold it. Leave it out.")
        return file

    def append(self, value: FileInput) -> None:
        """Add a file at the end."""
        super().append(self._accepted(value))

    def extend(self, values: Iterable[FileInput]) -> None:
        """Add files at the end."""
        super().extend(list(map(self._accepted, values)))

    def insert(self, index: SupportsIndex, value: FileInput) -> None:
        """Add a file before `index`."""
        super().insert(index, self._accepted(value))

    def __iadd__(self, values: Iterable[FileInput]) -> Self:  # type: ignore[override, misc]
        self.extend(values)
        return self

    @overload
    def __setitem__(self, index: SupportsIndex, value: FileInput) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[FileInput]) -> None: ...
    def __setitem__(self, index: Any, value: Any) -> None:
        several = isinstance(index, slice)
        accepted: Any = map(self._accepted, value) if several else self._accepted(value)
        super().__setitem__(index, accepted)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        files = type(self)(copy.deepcopy(file, memo) for file in self)
        files._raw = self._raw
        return files

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),), {"_raw": self._raw}


def files_of(value: Any) -> list[FileObject]:
    """Return the files in a value of a field."""
    if isinstance(value, FileObject):
        return [value]
    # an expression is no iterable
    items = value if isinstance(value, Iterable) else ()
    return [file for file in items if isinstance(file, FileObject)]


def refs_of(value: Any) -> set[Ref]:
    """Return the references of the stored files in a value of a field."""
    return {
        Ref(file.backend, file.filename)
        for file in files_of(value)
        if file.filename and file.backend and not file.has_pending_data
    }


def has_pending(value: Any) -> bool:
    """Return whether a value of a field has unsaved content."""
    return any(file.has_pending_data for file in files_of(value))


def as_text(value: Any) -> str | None:
    """Return the text that the column holds for a value of a field; None for NULL."""
    return None if value is None else json.dumps(to_json(value))


def to_json(value: Any) -> Any:
    """Return what the column holds for a value of a field."""
    if isinstance(value, FileObject):
        return value._to_json()
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def same_json(value: Any, other: Any) -> bool:
    """Return whether the column holds the same for two values: for Python 1 is True."""
    value, other = to_json(value), to_json(other)
    if value != other:
        return False
    text, other_text = (json.dumps(each, sort_keys=True) for each in (value, other))
    return text == other_text


def merge(value: Any, before: Any, current: Any) -> list[FileObject] | None:
    """Change a list as other processes changed the row's; return what it was if that differs."""
    was, now = refs_of(before), refs_of(current)
    # once: per file it would make the work of long lists quadratic
    removed, new = was - now, now - was - refs_of(value)
    if not removed and not new:
        return None
    former = list(value)
    value[:] = [file for file in value if not refs_of(file) & removed]
    value.extend(file for file in files_of(current) if refs_of(file) & new)
    return former


def unmerge(value: list[FileObject], former: list[FileObject], merged: list[FileObject]) -> None:
    """Take back a merge of `former` into `merged`, in a list that may have been changed since."""
    if list(map(id, value)) == list(map(id, merged)):
        value[:] = former
        return
    were, are = set(map(id, former)), set(map(id, merged))
    removed = [file for file in former if id(file) not in are]
    value[:] = [file for file in value if id(file) in were or id(file) not in are] + removed


def from_json(data: Any, *, multiple: bool) -> FileObject | FileList | None:
    """Return the value of a field for what its column holds. Never raises.

    Invalid JSON is kept as it is: such a file is falsy, and raises when it is used.
    """
    if not multiple:
        return None if data is None else FileObject._from_json(data)
    if data is None:
        return FileList()
    items = data if isinstance(data, list) else [data]
    return FileList(FileObject._from_json(item) for item in items)


def parsed(text: Any) -> Any:
    """Return the JSON of a column, or `text` itself where it can't be read. Never raises.

    That is text that is no JSON, a number of more than 4300 digits, or nesting that is too deep.
    """
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return text


def from_column(raw: Any, *, multiple: bool, db: str | None) -> FileObject | FileList | None:
    """Return the value of a field for the text of its column. Never raises."""
    if raw is None:
        return from_json(None, multiple=multiple)
    value = from_json(parsed(raw), multiple=multiple)
    if value is not None:
        value._raw = raw
    for file in files_of(value):
        file._db = db
    return value
