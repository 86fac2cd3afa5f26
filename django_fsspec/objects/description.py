"""FileDescription: the nine keys that describe a file, as a value for rows, JSON and pickles."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from django.core.files.base import File
from django.core.files.storage import InvalidStorageError, Storage, storages
from django.utils.functional import LazyObject, empty

from django_fsspec.core.content_types import guess_type
from django_fsspec.storage.aliases import alias_of
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from . import pending_content

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

_TEXT = (str, type(None))
#: the keys of the JSON, and the types their values have
_KEYS: dict[str, tuple[type, ...]] = {
    "filename": (str,),
    "content_type": _TEXT,
    "size": (int, type(None)),
    "last_modified": (int, float, type(None)),
    "checksum": _TEXT,
    "etag": _TEXT,
    "version_id": _TEXT,
    "metadata": (dict, type(None)),
    "backend": (str,),
}
#: keys of `metadata` that describe the bytes: dropped when the bytes change
_OF_BYTES = ("width", "height")
#: key of `metadata` for keys and values of the JSON that no attribute can hold
EXTRA = "_extra"


def alias_for(backend: object) -> str:
    """Return the alias of a storage; an alias is returned as it is.

    Raises ``TypeError`` for anything else, and ``ValueError`` for a storage without an alias.
    """
    if isinstance(backend, str):
        return backend
    if isinstance(backend, LazyObject) and isinstance(backend, Storage):
        if backend._wrapped is empty:
            backend._setup()
        backend = backend._wrapped
    alias = None
    if isinstance(backend, FSSpecStorage):
        alias = backend.alias
    elif isinstance(backend, Storage):
        alias = alias_of(backend, _options_of(backend))
    else:
        raise TypeError(f"backend must be an alias of STORAGES, not {type(backend).__name__}.")
    if alias is None:
        raise ValueError(
            f"This {type(backend).__name__} is not in STORAGES, and so has no alias. Configure it "
            "there, and give its alias."
        )
    return alias


def _options_of(storage: Any) -> Mapping[str, Any]:
    """Return the OPTIONS that `storage` was made with; what no alias has where that is unknown."""
    unknown = {"": None}
    try:
        _, positional, options = storage.deconstruct()
    except (AttributeError, ValueError):
        return unknown
    return unknown if positional else options


def _copied(data: Any) -> Any:
    """Return a copy of JSON: ``deepcopy()`` takes ten times as long."""
    if data is None or isinstance(data, str | int | float):
        return data
    if type(data) is dict:
        return {key: _copied(value) for key, value in data.items()}
    if type(data) is list:
        return [_copied(value) for value in data]
    return copy.deepcopy(data)


#: value of `_foreign` for JSON that describes a file
_NO_JSON: Any = object()


class FileOwner(Protocol):
    """A field of a row that owns a file: saving and deleting the file go through it."""

    def save(self, file: Any, name: Any, content: Any, save: bool) -> None:
        """Store the file, and with `save` the row."""

    async def asave(self, file: Any, name: Any, content: Any, save: bool) -> None:
        """See save()."""

    def delete(self, file: Any, save: bool) -> None:
        """Remove the file from the row, and with `save` store the row."""

    async def adelete(self, file: Any, save: bool) -> None:
        """See delete()."""


class FileDescription(File):  # type: ignore[type-arg]
    """The part of ``FileObject`` that makes no request."""

    _handle: Any = None
    _ours = False
    mode = "rb"
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
    #: JSON that is no object, and so describes no file; kept to write it back
    _foreign: Any = _NO_JSON

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

    # value

    def to_dict(self) -> dict[str, Any]:
        """Return the nine keys of the JSON. They are those of advanced-alchemy."""
        return {name: _copied(getattr(self, name)) for name in _KEYS}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the file that a mapping with the nine keys describes; nothing of it is lost.

        Unknown keys and values of a wrong type go to ``metadata["_extra"]``, because
        advanced-alchemy can't read a tenth key. A file without a filename is falsy, and raises
        ``ValueError`` when it is used. Raises ``TypeError`` for `data` that is no mapping.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"from_dict() needs a dict, not {type(data).__name__}.")
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for key, value in data.items():
            fits = isinstance(value, _KEYS.get(key, ())) and not isinstance(value, bool)
            fits = fits and not (key == "size" and (value or 0) < 0)
            (values if fits else extra)[key] = value
        filename = values.pop("filename", "")
        file = cls(values.pop("backend", ""), filename or "-", **_copied(values))
        file.filename = filename
        if extra:
            file.metadata[EXTRA] = {**file.metadata.get(EXTRA, {}), **_copied(extra)}
        return file

    def _to_json(self) -> Any:
        """Return the JSON for a column: the nine keys, or invalid JSON as it was read."""
        return self.to_dict() if self._foreign is _NO_JSON else _copied(self._foreign)

    @classmethod
    def _from_json(cls, data: Any) -> Self:
        """Return the file that a column's JSON describes. Never raises, and loses nothing.

        JSON that is no object becomes a file without a name, which is falsy and raises when used.
        """
        if isinstance(data, Mapping):
            return cls.from_dict(data)
        file = cls.from_dict({})
        file._foreign = data
        return file

    def _replace_content(self, content: Any, name: str | None = None) -> None:
        """Take other content to save, called `name`, and drop the description of the old."""
        self._pending = pending_content.accepted(content)
        original = name or self.original_name
        original = pending_content.name_of(content) or posixpath.basename(original)
        self._describe_anew()
        self.metadata["original_name"] = original

    def _describe_anew(self) -> None:
        """Drop the description of bytes that are no longer this file's."""
        self._size = self._content_type = self._raw = self._db = None
        self.last_modified = self.checksum = self.etag = self.version_id = None
        self._drop_dimensions()

    def _drop_dimensions(self) -> None:
        """Drop what `metadata` says about bytes that have changed."""
        self.metadata = {k: v for k, v in self.metadata.items() if k not in _OF_BYTES}

    def _adopt(self, other: FileDescription) -> None:
        """Take the description of `other`; the file stays in the same row."""
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
        return bool(self.filename)

    def __str__(self) -> str:
        return self.filename

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
        own = ("_handle", "_ours", "mode", "_row")
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
        """The content type as stored; of unsaved content as given, or guessed from the name."""
        return self._content_type or guess_type(self.filename, self._pending)

    @content_type.setter
    def content_type(self, content_type: str | None) -> None:
        self._content_type = content_type

    @property
    def original_name(self) -> str:
        """The name that the user gave the file."""
        return str(self.metadata.get("original_name") or posixpath.basename(self.filename))

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
    def storage(self) -> Storage:
        """The storage with the alias `backend`.

        Raises ``InvalidStorageError`` for an alias that is not in STORAGES, or can't be built.
        """
        try:
            return storages[self.backend]
        except InvalidStorageError as error:
            if self.backend in storages.backends:
                raise  # the alias is there, but the storage can't be built
            aliases = ", ".join(map(repr, storages.backends))
            raise InvalidStorageError(
                f"{self!r}: {self.backend!r} is not in STORAGES, which has {aliases}. Add it, or "
                "correct the backend."
            ) from error

    @property
    def url(self) -> str:
        """A URL to read the file: no request.

        Raises ``ValueError`` for unsaved content and for invalid JSON, and what the storage's
        ``url()`` raises.
        """
        kept = self._kept()
        return self.storage.url(kept)

    @property
    def path(self) -> str:
        """The path of the file on the local disk.

        Raises ``NotImplementedError`` for other storages, and ``ValueError`` as `url` does.
        """
        kept = self._kept()
        return self.storage.path(kept)

    def _kept(self) -> str:
        """Return the name of the stored file; raise ``ValueError`` where there is none.

        The name of unsaved content may be that of another file.
        """
        if self.has_pending_data:
            raise ValueError(f"{self!r} has unsaved content: save() it first.")
        if not self.filename:
            holds = (
                "has no 'filename'"
                if self._foreign is _NO_JSON
                else f"is {type(self._foreign).__name__}, not an object with the nine keys"
            )
            where = "This file" if self._row is None else str(self._row)
            raise ValueError(f"{where} has no name: its JSON {holds}.")
        return self.filename
