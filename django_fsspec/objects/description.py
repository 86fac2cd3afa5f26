"""What is known of a stored file: a value that goes into a row, a message, a pickle."""

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
#: what `metadata` says of the bytes, and no longer holds for others
OF_BYTES = ("width", "height")
#: key of `metadata` that holds what was read from JSON and has no place of its own
EXTRA = "_extra"


def alias_for(backend: object) -> str:
    """Return the alias of `backend`: itself, or that of a storage configured under one."""
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
            f"This {type(backend).__name__} was made by hand: configure it in STORAGES, and give "
            "the alias."
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


#: where JSON described a file
_NO_JSON: Any = object()


class Row(Protocol):
    """What holds a file and has a say when it is saved or deleted."""

    def save(self, file: Any, name: Any, content: Any, save: bool) -> None:
        """Store the file, and with `save` the row."""

    async def asave(self, file: Any, name: Any, content: Any, save: bool) -> None:
        """See save()."""

    def delete(self, file: Any, save: bool) -> None:
        """Take the file out of the row, and with `save` store the row."""

    async def adelete(self, file: Any, save: bool) -> None:
        """See delete()."""


class Described(File):  # type: ignore[type-arg]
    """The part of ``FileObject`` that makes no request."""

    _handle: Any = None
    _ours = False
    mode = "rb"
    #: the row it is of, which knows how to save it and to delete it
    _row: Row | None = None
    #: bounds the name; how to compute the checksum: True is as the storage says
    _max_length: int | None = None
    _algorithm: bool | str = True
    #: whether the name is what the user calls it, of which a field is to make a path
    _draft = False
    #: the JSON of a column as read, and from which database
    _raw: str | None = None
    _db: str | None = None
    #: JSON that is no object, and so describes no file
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
            raise ValueError("A FileObject needs a filename.")
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
            called = None if to_filename else pending_content.name_of(content)
            self.metadata.setdefault("original_name", called or posixpath.basename(filename))

    # value

    def to_dict(self) -> dict[str, Any]:
        """Return the nine keys of the JSON, which are advanced-alchemy's."""
        return {name: _copied(getattr(self, name)) for name in _KEYS}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the file that JSON describes. Any mapping will do, and nothing of it is lost.

        An unknown key, or a value of the wrong type, goes to ``metadata["_extra"]``, because
        advanced-alchemy can't read a tenth key. Without a filename or a backend the object is
        there, false in a condition, and says what is missing when it is used.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"A FileObject is made of a dict, not of {type(data).__name__}.")
        known: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for key, value in data.items():
            fits = isinstance(value, _KEYS.get(key, ())) and not isinstance(value, bool)
            fits = fits and not (key == "size" and (value or 0) < 0)
            (known if fits else extra)[key] = value
        filename = known.pop("filename", "")
        made = cls(known.pop("backend", ""), filename or "-", **_copied(known))
        made.filename = filename
        if extra:
            made.metadata[EXTRA] = {**made.metadata.get(EXTRA, {}), **_copied(extra)}
        return made

    def _to_json(self) -> Any:
        """Return what a column holds: the nine keys, or JSON that was no file as it was."""
        return self.to_dict() if self._foreign is _NO_JSON else _copied(self._foreign)

    @classmethod
    def _from_json(cls, data: Any) -> Self:
        """Return the file that a column's JSON describes. Never raises, and loses nothing.

        What is no object is a file without a name, false in a condition, that says so when used.
        """
        if isinstance(data, Mapping):
            return cls.from_dict(data)
        made = cls.from_dict({})
        made._foreign = data
        return made

    def _replace_content(self, content: Any, name: str | None = None) -> None:
        """Have other content wait to be saved, called `name`; what the file was is forgotten."""
        self._pending = pending_content.accepted(content)
        called = pending_content.name_of(content) or posixpath.basename(name or self.original_name)
        self._describe_anew()
        self.metadata["original_name"] = called

    def _describe_anew(self) -> None:
        """Forget what is known of bytes that are no longer this file's."""
        self._size = self._content_type = self._raw = self._db = None
        self.last_modified = self.checksum = self.etag = self.version_id = None
        self.metadata = {k: v for k, v in self.metadata.items() if k not in OF_BYTES}

    def _adopt(self, other: Described) -> None:
        """Become the file that `other` is; of the same row as before."""
        self.__dict__.update(other._state())

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from .pydantic_schema import nine_keys

        return nine_keys(cls)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Described):
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
        made = object.__new__(type(self))
        made.__dict__.update(self._state())
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # content is shared: files can't be copied, and nothing here changes them
        made = self.__copy__()
        made.metadata = copy.deepcopy(self.metadata, memo)
        return made

    def _state(self) -> dict[str, Any]:
        own = ("_handle", "_ours", "mode", "_row")
        return {key: value for key, value in self.__dict__.items() if key not in own}

    # what is known without a request

    @property
    def name(self) -> str:
        """The path inside the storage; the same as `filename`."""
        return self.filename

    @name.setter
    def name(self, name: str) -> None:
        self.filename = name

    @property  # type: ignore[override]
    def size(self) -> int | None:
        """Bytes as stored, or of the content that waits; None when not known."""
        if self._size is None and self._pending is not None:
            return pending_content.size_of(self._pending)
        return self._size

    @size.setter
    def size(self, size: int | None) -> None:
        self._size = size

    @property
    def content_type(self) -> str:
        """As stored; before that as given, else by the name, else by the content."""
        return self._content_type or guess_type(self.filename, self._pending)

    @content_type.setter
    def content_type(self, content_type: str | None) -> None:
        self._content_type = content_type

    @property
    def original_name(self) -> str:
        """What the file was called by who gave it."""
        return str(self.metadata.get("original_name") or posixpath.basename(self.filename))

    @property
    def width(self) -> int | None:
        """Of an image, in pixels, where it was measured."""
        return self.metadata.get("width")

    @property
    def height(self) -> int | None:
        """Of an image, in pixels, where it was measured."""
        return self.metadata.get("height")

    @property
    def has_pending_data(self) -> bool:
        """Whether content waits to be saved."""
        return self._pending is not None

    @property
    def storage(self) -> Storage:
        """The storage that `backend` is the alias of."""
        try:
            return storages[self.backend]
        except InvalidStorageError as error:
            if self.backend in storages.backends:
                raise  # it is there, and can't be built
            known = ", ".join(map(repr, storages.backends))
            raise InvalidStorageError(
                f"{self!r}: {self.backend!r} is not in STORAGES, which has {known}. Add it, or "
                "correct the backend."
            ) from error

    @property
    def url(self) -> str:
        """A URL for reading."""
        kept = self._kept()
        return self.storage.url(kept)

    @property
    def path(self) -> str:
        """Where the file lies on this machine's disk; ``NotImplementedError`` elsewhere."""
        kept = self._kept()
        return self.storage.path(kept)

    def _kept(self) -> str:
        """Return the name of what is stored.

        Of content that waits, the name may be somebody else's file.
        """
        if self.has_pending_data:
            raise ValueError(f"{self!r} has content that was not saved yet: save() it first.")
        if not self.filename:
            holds = (
                "has no 'filename'"
                if self._foreign is _NO_JSON
                else f"is {type(self._foreign).__name__}, not an object with the nine keys"
            )
            where = "This file" if self._row is None else str(self._row)
            raise ValueError(f"{where} has no name: its JSON {holds}.")
        return self.filename
