"""``FileObject``: a file under an alias, sync and async."""

from __future__ import annotations

import asyncio
import copy
import posixpath
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.core.files.storage import Storage

from django_fsspec.core import flows
from django_fsspec.core.content_types import GENERIC_TYPES
from django_fsspec.core.flows import Emit, EmittingFlow, Flow, call
from django_fsspec.exceptions import NotSupported
from django_fsspec.storage.foreign import ForeignStorage, aperform, call_method, perform, wrap
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from . import pending_content
from .description import OF_BYTES, Described, alias_for

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat

T = TypeVar("T")
#: types that stand for none


class FileObject(Described):
    """A stored file, or one that waits to be stored: an alias, a name and what is known of it.

    To Django code it is what a ``FieldFile`` is; its JSON and constructor are advanced-alchemy's.
    `content` waits until ``save()``, which never replaces a file: `filename` is then the real
    name. `to_filename` is the path to store under where `filename` is what the user called it.
    What we know beyond the nine keys (`original_name`, `width`, `height`) lies in `metadata`.

    `size`, `content_type` and `url` cost no request. Every method that does I/O has an async twin
    with an ``a`` in front. Requests are those of S3. ``==`` and ``hash()`` go by backend and name,
    which ``save()`` may change.
    """

    # pickles name this, wherever the class is defined
    __module__ = "django_fsspec.objects"

    def _reach(self) -> FSSpecStorage | ForeignStorage:
        return wrap(self.storage)

    # drivers

    def _run(self, flow: Flow[T]) -> T:
        return flows.run(flow, perform)

    async def _arun(self, flow: Flow[T]) -> T:
        return await flows.arun(flow, aperform)

    def _asking(self, method: str, *args: Any, **kwargs: Any) -> Flow[Any]:
        """Call one method of the storage on this file."""
        kept = self._kept()
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
        """Store `content`, or what waits, and learn all about it: 1 request up to `chunk_size`.

        ``save()``, ``save(content=…)``, ``save(b"…")`` and ``save(name, content)`` as that of a
        ``FieldFile``: a file of a row saves the row as well, unless `save` is false. A failure
        changes nothing: what waited still waits.
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
        """See save(). Takes async iterables as well."""
        if self._row is not None:
            await self._row.asave(self, name, content, save)
            return self
        return await self._astore(name, content, max_length)

    def _store(self, name: Any = None, content: Any = None, max_length: int | None = None) -> Self:
        """Save the file, whichever row it is of."""
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
        given = content is not None
        content = pending_content.accepted(content) if given else self._pending
        if content is None:
            raise TypeError(f"{self!r} has nothing to save: give content.")
        target = self.filename if name is None else name
        told = self._told(content if given else None)
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
                content_type=told,
                checksum=self._algorithm,
            )
        finally:
            if source is not content:
                source.close()
            if isinstance(content, pending_content.AsyncOnce):
                content.detach()
        if given:
            called = pending_content.name_of(content) or posixpath.basename(target)
            self.metadata = {k: v for k, v in self.metadata.items() if k not in OF_BYTES}
            self.metadata["original_name"] = called
        self.checksum = None
        self._become(stat)
        self._pending = None
        self._drop()
        return self

    def _told(self, content: Any) -> str | None:
        """Return the content type to send; that of a file already stored is not that of others."""
        stored = content is not None and self.last_modified is not None
        return None if stored else self._content_type

    def _become(self, stat: Stat) -> None:
        self.filename = stat.name
        self._size = stat.size
        told = stat.content_type
        # what a backend says of files that it was told nothing about says nothing
        if told and (self._content_type is None or told not in GENERIC_TYPES):
            self._content_type = told
        modified = stat.last_modified
        self.last_modified = None if modified is None else modified.timestamp()
        self.etag, self.version_id = stat.etag, stat.version_id
        self.checksum = stat.checksum or self.checksum

    # reading

    def open(self, mode: str = "rb") -> Self:  # type: ignore[override]
        """Open the file, or content that waits, and return self: 1 request.

        What is written (``"wb"``) is stored at ``close()``, which then asks for its new size.
        """
        return self._run(self._opening(mode))

    async def aopen(self, mode: str = "rb") -> Self:
        """See open()."""
        return await self._arun(self._opening(mode))

    def _opening(self, mode: str) -> Flow[Self]:
        if not self.closed and mode == self.mode and "r" in mode:
            self._handle.seek(0)
            return self
        yield from self._closing()
        if self.has_pending_data:
            self._handle, self._ours = yield from call(pending_content.opened, self._pending, mode)
        else:
            self._handle, self._ours = (yield from self._asking("open", mode)), True
        self.mode = mode
        return self

    def read(self, size: int = -1) -> Any:
        """Return up to `size` bytes from where the last read ended; opens a closed file."""
        return self._run(self._reading(size))

    async def aread(self, size: int = -1) -> Any:
        """See read()."""
        return await self._arun(self._reading(size))

    def _reading(self, size: int) -> Flow[Any]:
        if self.closed:
            yield from self._opening("rb")
        return (yield from call_method(self._handle, "read", size))

    def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
        """Yield the content from the start in pieces of at most `chunk_size` bytes."""
        return flows.iterate(self._chunking(chunk_size), perform)

    def achunks(self, chunk_size: int | None = None) -> AsyncIterator[Any]:
        """See chunks()."""
        return flows.aiterate(self._chunking(chunk_size), aperform)

    def _chunking(self, chunk_size: int | None) -> EmittingFlow:
        yield from self._opening("rb" if self.closed else self.mode)
        while chunk := (yield from self._reading(chunk_size or self.DEFAULT_CHUNK_SIZE)):
            yield Emit(chunk)

    def get_content(self, start: int | None = None, end: int | None = None) -> bytes:
        """Return the bytes from `start` to `end`, as in a slice: 1 request."""
        return bytes(self._run(self._asking("get_content", start, end)))

    async def aget_content(self, start: int | None = None, end: int | None = None) -> bytes:
        """See get_content()."""
        return bytes(await self._arun(self._asking("get_content", start, end)))

    def stream(self, start: int | None = None, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end` in pieces: 1 request, flat memory."""
        kept = self._kept()
        return self._reach().stream(kept, start, end)

    def astream(self, start: int | None = None, end: int | None = None) -> AsyncIterator[bytes]:
        """See stream()."""
        kept = self._kept()
        return self._reach().astream(kept, start, end)

    # the open file

    @property
    def file(self) -> Any:  # type: ignore[override]
        """The open file; opens it."""
        if self.closed:
            self.open()
        return self._handle

    @property
    def closed(self) -> bool:
        """Whether there is no open file."""
        return self._handle is None or self._handle.closed

    def close(self) -> None:
        """Close what ``open()`` opened; a file that was given as content stays open."""
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
            yield from self._refreshing()

    def _drop(self) -> None:
        """Forget the open file; nothing of it is stored."""
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

    # looking

    def exists(self) -> bool:
        """Return whether the file is there: 1 request."""
        return bool(self._run(self._asking("exists")))

    async def aexists(self) -> bool:
        """See exists()."""
        return bool(await self._arun(self._asking("exists")))

    def refresh(self) -> Self:
        """Learn anew what the storage tells of the file: 1 request.

        Where the bytes are others, what is known of the former (checksum, width, height) goes.
        """
        return self._run(self._refreshing())

    async def arefresh(self) -> Self:
        """See refresh()."""
        return await self._arun(self._refreshing())

    def _refreshing(self) -> Flow[Self]:
        stat: Stat = yield from self._asking("stat")
        if self._differs(stat):
            self.checksum = None
            for key in OF_BYTES:
                self.metadata.pop(key, None)
        self._become(stat)
        return self

    def _differs(self, stat: Stat) -> bool:
        if None not in (stat.size, self._size) and stat.size != self._size:
            return True
        # one in quotes was made up by advanced-alchemy; backends' come without
        if stat.etag and self.etag and not self.etag.startswith('"'):
            return stat.etag != self.etag
        if stat.last_modified is None or self.last_modified is None:
            return False
        # some servers tell another second than they told the writer
        return abs(stat.last_modified.timestamp() - self.last_modified) > 2

    def verify(self) -> bool:
        """Read the file and return whether checksum and size are those known: 1 request.

        ``ValueError`` where no checksum is known, ``FileNotFoundError`` where there is no file.
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
        size, found = yield from self._asking("digest", algorithm)
        return found == self.checksum and self._size in (None, size)

    def sign(self, expires_in: int | None = None, for_upload: bool = False, **headers: Any) -> str:
        """Return a URL that reads the file, or with `for_upload` writes it by PUT: no request."""
        return str(self._run(self._asking("sign", expires_in, for_upload, **headers)))

    async def asign(
        self, expires_in: int | None = None, for_upload: bool = False, **headers: Any
    ) -> str:
        """See sign()."""
        return str(await self._arun(self._asking("sign", expires_in, for_upload, **headers)))

    # changing

    def delete(self, save: bool = True) -> None:
        """Delete the stored file: 1 request. A missing one is no error.

        A file of a row is taken out of it, and goes when that is committed; `save` as in
        ``save()``.
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
        """Copy the file to another storage, or to another name, and return the copy.

        Inside the backend where both are of one filesystem (3 requests), else piece by piece
        through here. Never replaces a file, unless the storage has `allow_overwrite`.
        """
        return self._run(self._copying(backend, name))

    async def acopy_to(self, backend: str | Storage, name: str | None = None) -> FileObject:
        """See copy_to()."""
        return await self._arun(self._copying(backend, name))

    def _copying(self, backend: str | Storage, name: str | None) -> Flow[FileObject]:
        kept = self._kept()
        target = kept if name is None else name
        made = copy.deepcopy(self)
        made.backend = alias_for(backend)
        made._raw = made._db = None
        made.metadata.setdefault("original_name", self.original_name)
        origin, goal = self._reach(), made._reach()
        copied = yield from self._copied_inside(origin, goal, target)
        if copied is not None:
            made.filename = copied
            made.etag = made.version_id = made.last_modified = None
            try:
                yield from made._refreshing()
            except FileNotFoundError:
                raise
            except OSError:
                pass  # the copy is there, and what matters of it is known
            return made
        # the thread that saves may wait for a stream, whichever storage it is of
        pieces = pending_content.Once(origin.stream(kept))
        pieces.size = self._size
        told = {"content_type": self._content_type}
        made.checksum = None
        made._become((yield from call_method(goal, "store", target, pieces, **told)))
        return made

    def _copied_inside(
        self,
        origin: FSSpecStorage | ForeignStorage,
        goal: FSSpecStorage | ForeignStorage,
        target: str,
    ) -> Flow[str | None]:
        """Let the backend copy; return the copy's name, None where it can't."""
        if isinstance(origin, ForeignStorage) or isinstance(goal, ForeignStorage):
            return None
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
