"""FileObject: a file in a storage, with sync and async methods."""

from __future__ import annotations

import asyncio
import copy
import posixpath
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.core.files.storage import Storage

from django_fsspec.core import flows
from django_fsspec.core.content_types import GENERIC_TYPES
from django_fsspec.core.flows import Emit, EmittingFlow, Flow, call
from django_fsspec.exceptions import NotSupported
from django_fsspec.storage.foreign import ForeignStorage, aperform, call_method, perform, wrap
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.prefixes import bound

from . import pending_content
from .description import FileDescription, alias_for

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat

T = TypeVar("T")


class FileObject(FileDescription):
    """A file in a storage, stored or about to be: its alias, name, size, type and checksum.

    Example::

        file = FileObject("default", "notes/may.txt", content=b"all is well")
        file.save()
        assert (file.get_content(), file.size) == (b"all is well", 11)

    It can be used like a ``FieldFile``; its JSON and constructor are those of advanced-alchemy.
    `content` is stored by ``save()``, which never replaces a file: afterwards `filename` is the
    name that was free. Where `filename` is the name that the user gave the file, `to_filename` is
    the path to store it under. `metadata` holds what the nine keys have no place for
    (`original_name`, `width`, `height`).

    `size`, `content_type` and `url` make no request. Every method that does I/O has an async
    version with an ``a`` in front. Numbers of requests are those on S3. ``==`` and ``hash()`` use
    alias and name, which ``save()`` may change.

    Raises ``TypeError`` for a `backend`, name or content of a wrong type, and ``ValueError`` for
    an empty name, a negative size, content given twice, and a storage without an alias. Methods
    that do I/O raise ``FileNotFoundError`` for a missing file, ``StorageError`` and other
    ``OSError`` for what the storage answers, ``SuspiciousFileOperation`` for a name outside of
    the storage, and ``ValueError`` for unsaved content that must be stored first.
    """

    # pickles name this, wherever the class is defined
    __module__ = "django_fsspec.objects"

    def _reach(self) -> FSSpecStorage | ForeignStorage:
        return wrap(self.storage)

    def _reach_now(self) -> FSSpecStorage | ForeignStorage:
        """Reach the storage under the prefix of now, for what goes on elsewhere."""
        return wrap(bound(self.storage))

    # drivers

    def _run(self, flow: Flow[T]) -> T:
        return flows.run(flow, perform)

    async def _arun(self, flow: Flow[T]) -> T:
        return await flows.arun(flow, aperform)

    def _asking(self, method: str, *args: Any, **kwargs: Any) -> Flow[Any]:
        """Call a method of the storage on this file."""
        kept = self._kept()
        with self._naming_row():
            return (yield from call_method(self._reach(), method, kept, *args, **kwargs))

    # saving

    def save(
        self,
        name: Any = None,
        content: Any = None,
        save: bool = True,
        *,
        max_length: int | None = None,
    ) -> Self:
        """Store `content`, or the unsaved content, and set size, etag and checksum.

        1 request for content up to the storage's `chunk_size`. Called as ``save()``,
        ``save(content=…)``, ``save(b"…")``, or ``save(name, content)`` like that of a
        ``FieldFile``. A file of a row saves the row as well, unless `save` is false. `max_length`
        is of the name, in characters. After a failure the file is what it was.

        Raises ``TypeError`` where there is no content, or content that is no file,
        ``SuspiciousFileOperation`` for a name that the storage can't store, ``StorageError`` and
        other ``OSError`` for what the storage answers.
        """
        if self._row is not None:
            self._row.save(self, name, content, save)
            return self
        return self._store(name, content, max_length)

    async def asave(
        self,
        name: Any = None,
        content: Any = None,
        save: bool = True,
        *,
        max_length: int | None = None,
    ) -> Self:
        """See save(). Accepts async iterables too."""
        if self._row is not None:
            await self._row.asave(self, name, content, save)
            return self
        return await self._astore(name, content, max_length)

    def _store(self, name: Any = None, content: Any = None, max_length: int | None = None) -> Self:
        """Save the file alone, without its row."""
        return self._run(self._saving(name, content, max_length, None))

    async def _astore(
        self, name: Any = None, content: Any = None, max_length: int | None = None
    ) -> Self:
        """See _store()."""
        loop = asyncio.get_running_loop()
        return await self._arun(self._saving(name, content, max_length, loop))

    def _saving(
        self,
        name: Any,
        content: Any,
        max_length: int | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> Flow[Self]:
        if content is None and name is not None and not isinstance(name, str):
            name, content = None, name
        is_new = content is not None
        content = pending_content.accepted(content) if is_new else self._pending
        if content is None:
            raise TypeError(f"{self!r} has nothing to save: give save() the content.")
        target = self.filename if name is None else name
        content_type = self._type_to_send(content if is_new else None)
        source = content
        if isinstance(content, Path):
            source = yield from call(content.open, "rb")
        try:
            if isinstance(content, pending_content.AsyncOnce):
                content.attach(loop)
            stat: Stat = yield from call_method(
                self._reach(),
                "store",
                target,
                source,
                max_length=max_length or self._max_length,
                content_type=content_type,
                checksum=self._algorithm,
            )
        finally:
            if source is not content:
                source.close()
            if isinstance(content, pending_content.AsyncOnce):
                content.detach()
        if is_new:
            original = pending_content.name_of(content) or posixpath.basename(target)
            self._drop_dimensions()
            self.metadata["original_name"] = original
        self.checksum = None
        self._become(stat)
        self._pending = None
        self._drop()
        return self

    def _type_to_send(self, content: Any) -> str | None:
        """Return the content type to send: new content does not keep that of the stored file."""
        stored = content is not None and self.last_modified is not None
        return None if stored else self._content_type

    def _become(self, stat: Stat) -> None:
        self.filename = stat.name
        self._size = stat.size
        content_type = stat.content_type
        # services answer with a generic type for files that were stored without a type
        if content_type and (self._content_type is None or content_type not in GENERIC_TYPES):
            self._content_type = content_type
        modified = stat.last_modified
        self.last_modified = None if modified is None else modified.timestamp()
        self.etag, self.version_id = stat.etag, stat.version_id
        self.checksum = stat.checksum or self.checksum

    # reading

    def open(self, mode: str = "rb") -> Self:  # type: ignore[override]
        """Open the file, or its unsaved content, and return self: 1 request.

        What is written (``"wb"``) is stored by ``close()``, which also reads the new size. Raises
        ``FileNotFoundError``, ``StorageError``, and ``ValueError`` for a wrong mode.
        """
        return self._run(self._opening(mode))

    async def aopen(self, mode: str = "rb") -> Self:
        """See open()."""
        return await self._arun(self._opening(mode))

    def _opening(
        self, mode: str, place: FSSpecStorage | ForeignStorage | None = None
    ) -> Flow[Self]:
        if not self.closed and mode == self.mode and "r" in mode:
            self._handle.seek(0)
            return self
        yield from self._closing()
        if self.has_pending_data:
            self._handle, self._ours = yield from call(pending_content.opened, self._pending, mode)
        else:
            kept = self._kept()
            self._opened_in = place or self._reach_now()
            with self._naming_row():
                self._handle = yield from call_method(self._opened_in, "open", kept, mode)
            self._ours = True
        self.mode = mode
        return self

    def read(self, size: int = -1) -> Any:
        """Return the next bytes, up to `size`; -1 for all. Opens a closed file."""
        return self._run(self._reading(size))

    async def aread(self, size: int = -1) -> Any:
        """See read()."""
        return await self._arun(self._reading(size))

    def _reading(self, size: int) -> Flow[Any]:
        if self.closed:
            yield from self._opening("rb")
        return (yield from call_method(self._handle, "read", size))

    def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
        """Yield the content from its start, in pieces of up to `chunk_size` bytes (64 KiB)."""
        return flows.iterate(self._chunking(chunk_size, self._place_to_read()), perform)

    def achunks(self, chunk_size: int | None = None) -> AsyncIterator[Any]:
        """See chunks()."""
        return flows.aiterate(self._chunking(chunk_size, self._place_to_read()), aperform)

    def _place_to_read(self) -> FSSpecStorage | ForeignStorage | None:
        """Return the storage of now, from which chunks are read once somebody asks for them."""
        if self.has_pending_data or not self.closed:
            return None
        self._kept()
        return self._reach_now()

    def _chunking(
        self, chunk_size: int | None, place: FSSpecStorage | ForeignStorage | None
    ) -> EmittingFlow:
        yield from self._opening("rb" if self.closed else self.mode, place)
        while chunk := (yield from self._reading(chunk_size or self.DEFAULT_CHUNK_SIZE)):
            yield Emit(chunk)

    def get_content(self, start: int | None = None, end: int | None = None) -> bytes:
        """Return the bytes from `start` up to `end`, as a slice does: 1 request.

        Raises ``FileNotFoundError``, ``StorageError``, and ``ValueError`` for unsaved content.
        """
        return bytes(self._run(self._asking("get_content", start, end)))

    async def aget_content(self, start: int | None = None, end: int | None = None) -> bytes:
        """See get_content()."""
        return bytes(await self._arun(self._asking("get_content", start, end)))

    def stream(self, start: int | None = None, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `end` in pieces: 1 request, flat memory.

        Raises as ``get_content()`` does.
        """
        kept = self._kept()
        return self._reach_now().stream(kept, start, end)

    def astream(self, start: int | None = None, end: int | None = None) -> AsyncIterator[bytes]:
        """See stream()."""
        kept = self._kept()
        return self._reach_now().astream(kept, start, end)

    # the open file

    @property
    def file(self) -> Any:  # type: ignore[override]
        """The open file. Reading this opens a closed file."""
        if self.closed:
            self.open()
        return self._handle

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._handle is None or self._handle.closed

    def close(self) -> None:
        """Close the file. A file that was given as content stays open.

        After writing, this stores the content: raises ``StorageError`` and other ``OSError``.
        """
        self._run(self._closing())

    async def aclose(self) -> None:
        """See close()."""
        await self._arun(self._closing())

    def _closing(self) -> Flow[None]:
        handle, ours = self._handle, self._ours
        self._handle = None
        if handle is None or handle.closed or not ours:
            return
        yield from call_method(handle, "close")
        if self.mode.strip("bt") != "r":
            self.checksum = None
            yield from self._refreshing(self._opened_in)

    def _drop(self) -> None:
        """Close the open file without storing what was written."""
        handle, self._handle = self._handle, None
        if handle is not None and self._ours:
            getattr(handle, "discard", handle.close)()

    def __exit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        if exc_type is not None:
            self._drop()
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        if exc_type is not None:
            self._drop()
        await self.aclose()

    # metadata

    def exists(self) -> bool:
        """Return whether the file exists in the storage: 1 request."""
        return bool(self._run(self._asking("exists")))

    async def aexists(self) -> bool:
        """See exists()."""
        return bool(await self._arun(self._asking("exists")))

    def refresh(self) -> Self:
        """Read size, content type, time, etag and version from the storage: 1 request.

        If the bytes changed, checksum, width and height are dropped. Raises
        ``FileNotFoundError``, ``StorageError``, and ``ValueError`` for unsaved content.
        """
        return self._run(self._refreshing())

    async def arefresh(self) -> Self:
        """See refresh()."""
        return await self._arun(self._refreshing())

    def _refreshing(self, place: FSSpecStorage | ForeignStorage | None = None) -> Flow[Self]:
        kept = self._kept()
        with self._naming_row():
            stat: Stat = yield from call_method(place or self._reach(), "stat", kept)
        if self._differs(stat):
            self.checksum = None
            self._drop_dimensions()
        self._become(stat)
        return self

    def _differs(self, stat: Stat) -> bool:
        if None not in (stat.size, self._size) and stat.size != self._size:
            return True
        # an etag in quotes was computed by advanced-alchemy; ours have none
        if stat.etag and self.etag and not self.etag.startswith('"'):
            return stat.etag != self.etag
        if stat.last_modified is None or self.last_modified is None:
            return False
        # some services answer with another second than they did to the upload
        return abs(stat.last_modified.timestamp() - self.last_modified) > 2

    def verify(self) -> bool:
        """Read the whole file; return whether its checksum and size match: 1 request.

        Raises ``ValueError`` where no checksum is known, ``FileNotFoundError`` and
        ``StorageError``.
        """
        return self._run(self._verifying())

    async def averify(self) -> bool:
        """See verify()."""
        return await self._arun(self._verifying())

    def _verifying(self) -> Flow[bool]:
        algorithm, colon, _ = (self.checksum or "").partition(":")
        if not colon:
            raise ValueError(
                f"{self!r} can't be verified: its checksum is {self.checksum!r}, "
                "not '<algorithm>:<hex>'."
            )
        size, checksum = yield from self._asking("digest", algorithm)
        return checksum == self.checksum and self._size in (None, size)

    def sign(self, expires_in: int | None = None, for_upload: bool = False, **headers: Any) -> str:
        """Return a presigned URL to read the file, or with `for_upload` to PUT it: no request.

        `expires_in` is in seconds. `headers` are those that the PUT must send. Raises
        ``NotImplementedError`` where the storage can't sign, ``ValueError`` for unsaved content.
        """
        return str(self._run(self._signing(expires_in, for_upload, headers)))

    async def asign(
        self, expires_in: int | None = None, for_upload: bool = False, **headers: Any
    ) -> str:
        """See sign()."""
        return str(await self._arun(self._signing(expires_in, for_upload, headers)))

    def _signing(
        self, expires_in: int | None, for_upload: bool, headers: Mapping[str, Any]
    ) -> Flow[Any]:
        if self.scan_state and not for_upload:
            return self._guarded_url(expires_in)
        if not (for_upload or headers.keys() & {"content_disposition", "content_type"}):
            headers = {**self._answered(), **headers}
        return (yield from self._asking("sign", expires_in, for_upload, **headers))

    # deleting and copying

    def delete(self, save: bool = True) -> None:
        """Delete the stored file: 1 request. A missing file is no error.

        A file of a row is removed from the row, and deleted when that is committed; `save` is as
        in ``save()``. Raises ``StorageError``, and ``ValueError`` for unsaved content.
        """
        if self._row is not None:
            self._row.delete(self, save)
        else:
            self._run(self._deleting())

    async def adelete(self, save: bool = True) -> None:
        """See delete()."""
        if self._row is not None:
            await self._row.adelete(self, save)
        else:
            await self._arun(self._deleting())

    def _deleting(self) -> Flow[None]:
        self._kept()
        self._drop()
        yield from self._asking("delete")

    def copy_to(self, backend: str | Storage, name: str | None = None) -> FileObject:
        """Copy the file to the alias `backend`, as `name`, and return the copy.

        The service copies where both storages are on one filesystem (3 requests); otherwise this
        process downloads and uploads. Never replaces a file, unless the storage has
        `allow_overwrite`. Raises ``FileNotFoundError``, ``StorageError``, and ``ValueError`` for
        unsaved content.
        """
        return self._run(self._copying(backend, name))

    async def acopy_to(self, backend: str | Storage, name: str | None = None) -> FileObject:
        """See copy_to()."""
        return await self._arun(self._copying(backend, name))

    def _copying(self, backend: str | Storage, name: str | None) -> Flow[FileObject]:
        kept = self._kept()
        target = kept if name is None else name
        copied = copy.deepcopy(self)
        copied.backend = alias_for(backend)
        copied._raw = copied._db = None
        copied.metadata.setdefault("original_name", self.original_name)
        origin, goal = self._reach(), copied._reach()
        new_name = yield from self._copied_inside(origin, goal, target)
        if new_name is not None:
            copied.filename = new_name
            copied.etag = copied.version_id = copied.last_modified = None
            try:
                yield from copied._refreshing()
            except FileNotFoundError:
                raise
            except OSError:
                pass  # the copy exists, and its size and type are known
            return copied
        # any storage may save this: a thread may wait for a stream
        pieces = pending_content.Once(origin.stream(kept))
        pieces.size = self._size
        options = {"content_type": self._content_type}
        copied.checksum = None
        copied._become((yield from call_method(goal, "store", target, pieces, **options)))
        return copied

    def _copied_inside(
        self,
        origin: FSSpecStorage | ForeignStorage,
        goal: FSSpecStorage | ForeignStorage,
        target: str,
    ) -> Flow[str | None]:
        """Let the service copy; return the name of the copy, None where it can't copy."""
        if isinstance(origin, ForeignStorage) or isinstance(goal, ForeignStorage):
            return None
        if self._has_malformed_type:
            return None  # the service would copy the type
        try:
            name: str = yield from call_method(goal, "copy", self.filename, target, origin=origin)
        except NotSupported:
            return None
        return name

    #: advanced-alchemy's names
    save_async = asave
    get_content_async = aget_content
    sign_async = asign
    delete_async = adelete
