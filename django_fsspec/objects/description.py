"""FileDescription: the nine keys that describe a file, as a value for rows, JSON and pickles."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from django.core.files.base import File
from django.core.files.storage import Storage

from django_fsspec.core.content_types import GENERIC_TYPES, UNKNOWN_TYPE, guess_type, safe_type

from . import pending_content
from .aliases import alias_for
from .validity import fault_of, fault_within, is_valid

if TYPE_CHECKING:
    from django.db.models import Model
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from .owner import FileOwner

#: states of a file that a scanner has not passed, in `metadata`
PENDING, REFUSED = "pending", "refused"
#: the keys of the JSON
_KEYS = (
    "filename",
    "content_type",
    "size",
    "last_modified",
    "checksum",
    "etag",
    "version_id",
    "metadata",
    "backend",
)
#: keys of `metadata` that describe the bytes: dropped when the bytes change
_OF_BYTES = ("width", "height")
#: key of `metadata` for keys and values of the JSON that no attribute can hold
EXTRA = "_extra"


def _copied(data: Any) -> Any:
    """Return a copy of JSON: ``deepcopy()`` takes ten times as long."""
    if data is None or isinstance(data, str | int | float):
        return data
    if type(data) is dict:
        return {key: _copied(value) for key, value in data.items()}
    if type(data) is list:
        return [_copied(value) for value in data]
    return copy.deepcopy(data)


class FileDescription(File):  # type: ignore[type-arg]
    """The part of ``FileObject`` that asks no storage: the nine keys, and content to save."""

    #: the field of a row that the file belongs to
    _row: FileOwner | None = None
    #: longest name in characters; algorithm of the checksum, True for that of the storage
    _max_length: int | None = None
    _algorithm: bool | str = True
    #: whether the name is the user's, and the field makes a path of it on save
    _draft = False
    #: the JSON of the column as it was read, and the alias of the database
    _raw: str | None = None
    _db: str | None = None
    #: whether it comes from the receipt of a direct upload, which is for one row
    _of_receipt = False
    #: what the upload holds until a row has the file: see rows/slots.py
    _slot = ""
    #: what is wrong with the JSON of the row, which then describes no file that can be used
    _fault: str | None = None
    #: such JSON as it was read; kept to write it back
    _foreign: Any = None

    def __init__(
        self,
        backend: str | Storage,
        filename: str,
        to_filename: str | None = None,
        content_type: str | None = None,
        size: int | None = None,
        last_modified: float | None = None,
        checksum: str | None = None,
        etag: str | None = None,
        version_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        source_path: str | PathLike[str] | None = None,
        content: Any = None,
    ) -> None:
        for label, name in (("filename", filename), ("to_filename", to_filename or filename)):
            if not isinstance(name, str):
                raise TypeError(f"{label} must be a str, not {type(name).__name__}.")
        if not filename:
            raise ValueError("filename is empty: a FileObject needs one.")
        if size is not None and size < 0:
            raise ValueError(f"size must be 0 or more, not {size}.")
        if content is not None and source_path is not None:
            raise ValueError("Give either content or source_path, not both.")
        self.backend = alias_for(backend)
        self.filename = to_filename or filename
        self.last_modified = last_modified
        self.checksum, self.etag, self.version_id = checksum, etag, version_id
        self.metadata: dict[str, Any] = dict(metadata or {})
        self._content_type, self._size = content_type, size
        if source_path is not None:
            content = Path(source_path)
        self._pending = None if content is None else pending_content.accepted(content)
        if self._pending is not None or to_filename:
            original = None if to_filename else pending_content.name_of(content)
            self.metadata.setdefault("original_name", original or posixpath.basename(filename))
        self._take_scan_state(content)

    # value

    def to_dict(self) -> dict[str, Any]:
        """Return the nine keys of the JSON. They are those of advanced-alchemy.

        Raises ``ValueError`` for unsaved content, whose name may be that of another file.
        """
        self._require_saved()
        return self._nine_keys()

    def _require_saved(self) -> None:
        if self.has_pending_data:
            raise ValueError(f"{self!r} has unsaved content: save() it first.")

    def _nine_keys(self) -> dict[str, Any]:
        return {name: _copied(getattr(self, name)) for name in _KEYS}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the file that a mapping with the nine keys describes; nothing of it is lost.

        Unknown keys and values of a wrong type go to ``metadata["_extra"]``, because
        advanced-alchemy can't read a tenth key. Invalid JSON makes a file that is falsy, tells its
        `error`, and raises ``ValueError`` when it is used: without a filename, with a lone
        surrogate, with a time outside of the years 1 to 9999, or nested too deeply. Raises
        ``TypeError`` for `data` that is no mapping.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"from_dict() needs a dict, not {type(data).__name__}.")
        file = cls._from_json(dict(data))
        file.metadata = _copied(file.metadata)
        return file

    def _to_json(self) -> Any:
        """Return the JSON for a column: the nine keys, or invalid JSON as it was read."""
        return self._nine_keys() if self._fault is None else self._foreign

    @classmethod
    def _from_json(cls, data: Any) -> Self:
        """Return the file that a column's JSON describes. Never raises, and loses nothing.

        What is valid in invalid JSON can be read: other rows may refer to the same file. The file
        shares nested values with `data`.
        """
        fault = fault_of(data)
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for key, value in data.items() if isinstance(data, dict) else ():
            fits = is_valid(key, value) and (fault is None or fault_within(value) is None)
            (values if fits else extra)[key] = value
        filename = values.pop("filename", "")
        file = cls(values.pop("backend", ""), filename or "-", **values)
        file.filename = filename
        if extra and (fault is None or fault_within(extra) is None):
            others = file.metadata.get(EXTRA)
            others = others if isinstance(others, dict) else {}
            file.metadata[EXTRA] = {**others, **extra}
        if fault is not None:
            file._fault, file._foreign = fault, data
        return file

    def _replace_content(self, content: Any, name: str | None = None) -> None:
        """Take other content to save, called `name`, and drop the description of the old."""
        self._pending = pending_content.accepted(content)
        original = name or self.original_name
        original = pending_content.name_of(content) or posixpath.basename(original)
        self._describe_anew()
        self.metadata["original_name"] = original
        self.metadata.pop("scan_state", None)
        self._take_scan_state(content)

    def _take_scan_state(self, content: Any) -> None:
        """Have a copy of a file that no scanner has passed wait, too."""
        if (state := getattr(content, "scan_state", "")) in (PENDING, REFUSED):
            self.metadata["scan_state"] = state

    def _describe_anew(self) -> None:
        """Drop the description of bytes that are no longer this file's."""
        self._fault = self._foreign = None
        self._size = self._content_type = self._raw = self._db = None
        self.last_modified = self.checksum = self.etag = self.version_id = None
        self._drop_dimensions()

    def _drop_dimensions(self) -> None:
        """Drop what `metadata` says about bytes that have changed."""
        self.metadata = {k: v for k, v in self.metadata.items() if k not in _OF_BYTES}

    def _adopt(self, other: FileDescription) -> None:
        """Take the description of `other`; the file stays in the same row."""
        self._fault, self._foreign = other._fault, other._foreign
        self.__dict__.update(other._state())

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from .pydantic_schema import nine_keys

        return nine_keys(cls)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FileDescription):
            return NotImplemented
        return (self.backend, self.filename) == (other.backend, other.filename)

    def __hash__(self) -> int:
        return hash((self.backend, self.filename))

    def __bool__(self) -> bool:
        return self._fault is None and bool(self.filename)

    def __str__(self) -> str:
        return self.filename if self._fault is None else f"(invalid JSON: it {self._fault})"

    def __repr__(self) -> str:
        waits = " (not saved)" if self.has_pending_data else ""
        return f"<{type(self).__name__} {self.filename!r} on {self.backend!r}{waits}>"

    def __getstate__(self) -> dict[str, Any]:
        pending_content.check_picklable(self._pending)
        return self._state()

    def __copy__(self) -> Self:
        copied = object.__new__(type(self))
        copied.__dict__.update(self._state())
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # both share the content: open files can't be copied
        copied = self.__copy__()
        copied.metadata = copy.deepcopy(self.metadata, memo)
        return copied

    def _state(self) -> dict[str, Any]:
        own = ("_handle", "_ours", "_opened_in", "mode", "_row")
        return {key: value for key, value in self.__dict__.items() if key not in own}

    # attributes that cost no request

    @property
    def name(self) -> str:
        """The path in the storage; the same as `filename`."""
        return self.filename

    @name.setter
    def name(self, name: str) -> None:
        self.filename = name

    @property  # type: ignore[override]
    def size(self) -> int | None:
        """The size in bytes, of unsaved content too; None where it is not known."""
        if self._size is None and self._pending is not None:
            return pending_content.size_of(self._pending)
        return self._size

    @size.setter
    def size(self, size: int | None) -> None:
        self._size = size

    @property
    def content_type(self) -> str:
        """The content type as stored; of unsaved content as given, or guessed from the name.

        Built anew by ``safe_type()``: a malformed one of a row or a caller is unknown.
        """
        if self._content_type:
            return safe_type(self._content_type)
        return guess_type(self.filename, self._pending)

    @content_type.setter
    def content_type(self, content_type: str | None) -> None:
        self._content_type = content_type

    @property
    def _has_malformed_type(self) -> bool:
        """Whether the row has a content type that can't be sent; its object may have it too."""
        return self._content_type not in (None, "", *GENERIC_TYPES) and (
            safe_type(self._content_type) == UNKNOWN_TYPE
        )

    @property
    def original_name(self) -> str:
        """The name that the user gave the file."""
        return str(self.metadata.get("original_name") or posixpath.basename(self.filename))

    @property
    def scan_state(self) -> str:
        """ "pending" or "refused" where a scanner has not passed the file, else "".

        Until it passed, no URL of the file answers: see docs/how-to/direct-uploads.md.
        """
        state = self.metadata.get("scan_state")
        return str(state) if state in (PENDING, REFUSED) else ""

    @property
    def width(self) -> int | None:
        """The width in pixels of an image as it is shown; None where it was not measured."""
        return self.metadata.get("width")

    @property
    def height(self) -> int | None:
        """The height in pixels of an image as it is shown; None where it was not measured."""
        return self.metadata.get("height")

    @property
    def has_pending_data(self) -> bool:
        """Whether there is unsaved content."""
        return self._pending is not None

    @property
    def instance(self) -> Model | None:
        """The row that the file is an attribute of, as of a ``FieldFile``; None without one."""
        return None if self._row is None else self._row.instance

    @property
    def field(self) -> Any:
        """The field of the row, as of a ``FieldFile``; None without one."""
        return None if self._row is None else self._row.field
