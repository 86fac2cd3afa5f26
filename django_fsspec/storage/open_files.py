"""Open files: reading streams from the service, writing uploads on a clean close."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO, TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

from django.core.files.base import File

from django_fsspec.adapters.base import STREAM_CHUNK
from django_fsspec.adapters.errors import changed_while_read
from django_fsspec.core.flows import Flow
from django_fsspec.core.stat import is_replaced
from django_fsspec.signals import file_stored

from .streams import Stream

if TYPE_CHECKING:
    from types import TracebackType

    from django.dispatch import Signal

    from django_fsspec.core.stat import Stat

    from .options import StorageOptions

T = TypeVar("T")


class FileFlows(Protocol):
    """What open files ask of the flows of their storage."""

    options: StorageOptions

    def run(self, flow: Flow[T], operation: str = "", name: str | None = None) -> T:
        """Drive `flow` for a sync caller."""

    async def arun(self, flow: Flow[T], operation: str = "", name: str | None = None) -> T:
        """See run()."""

    def change(self, signal: Signal, flow: Flow[T], operation: str, name: str | None = None) -> T:
        """Drive `flow`, which stores a file; send `signal`."""

    async def achange(
        self, signal: Signal, flow: Flow[T], operation: str, name: str | None = None
    ) -> T:
        """See change()."""

    def open(self, name: str, mode: str) -> Flow[Any]:
        """Open a file."""

    def stream(self, name: str, start: int | None = None, end: int | None = None) -> Flow[Stream]:
        """Open bytes `start` to `end` for reading in order."""

    def stat(self, name: str) -> Flow[Stat]:
        """Return what the filesystem tells about a file."""

    def save(
        self, name: str, content: Any, *, overwrite: bool, exact: bool, checksum: bool
    ) -> Flow[Stat]:
        """Write `content` and return what was stored."""


class _RawReader(io.RawIOBase):
    """The stream of a stored object as Python's I/O layers want it; seeking reopens it."""

    def __init__(self, flows: FileFlows, name: str, stream: Stream) -> None:
        self._flows, self.name = flows, name
        self._stream: Stream | None = stream
        self.stat = stream.stat
        self._packed, self._batch = stream.packed, stream.batch
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def _next(self, size: int) -> Flow[bytes]:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        try:
            if self._stream is None:
                chunk = yield from self._reopen(size)
            else:
                chunk = yield from self._stream.read(size)
        except BaseException:
            # the next read opens the file here again: bytes may be lost that this one had read
            self._drop()
            raise
        self._position += len(chunk)
        return chunk

    def _reopen(self, size: int) -> Flow[bytes]:
        """Open the bytes from the position on and read the first of them, up to `size`.

        Raises ``StorageError`` when they are of another version of the file than those before.
        """
        left = None if self._packed or self.stat.size is None else self.stat.size - self._position
        if left is not None and left <= 0:
            return b""
        self._stream = yield from self._flows.stream(self.name, self._position)
        chunk = yield from self._stream.read(size)
        # of a range past the end of a shorter file, no answer tells the version
        missing = left is not None and size > 0 and not chunk
        if missing or is_replaced(self.stat, self._stream.stat):
            raise changed_while_read(self.name)
        return chunk

    def readinto(self, buffer: Any) -> int:
        chunk = self._flows.run(self._next(len(buffer)), "read", self.name)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    @contextlib.contextmanager
    def whole_or_nothing(self) -> Iterator[None]:
        """Seek back where one of several reads fails: the pieces before it are lost."""
        start = self._position
        try:
            yield
        except BaseException:
            self.seek(start)
            raise

    def _rest(self) -> Flow[bytes]:
        pieces = []
        with self.whole_or_nothing():
            while piece := (yield from self._next(self._batch)):
                pieces.append(piece)
                if self._stream is not None and self._stream.at_end:
                    break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readall(self) -> bytes:
        # Python's own asks for 8 kB at a time
        return self._flows.run(self._rest(), "read", self.name)

    async def aread(self, size: int) -> bytes:
        return await self._flows.arun(self._next(size), "read", self.name)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            offset += self.size
        if offset < 0:
            raise ValueError(f"negative seek position {offset}")
        if offset != self._position:
            self._drop()
            self._position = offset
        return offset

    @property
    def size(self) -> int:
        if self._packed or self.stat.size is None:
            raise io.UnsupportedOperation("The size of this stream is not known before its end.")
        return self.stat.size

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def close(self) -> None:
        self._drop()
        super().close()


class StoredFile(File):  # type: ignore[type-arg]
    """What ``FSSpecStorage.open()`` returns: a Django ``File`` with async twins."""

    name: str
    mode: str
    file: Any

    async def __aenter__(self) -> StoredFile:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aread(self, size: int = -1) -> Any:
        """See read()."""
        return await asyncio.to_thread(self.file.read, size)

    async def aclose(self) -> None:
        """See close()."""
        self.close()


class _Reading(StoredFile):
    """What files open for reading have in common."""

    DEFAULT_CHUNK_SIZE = STREAM_CHUNK
    _flows: FileFlows

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> Self:
        """Rewind; a closed file is opened anew, in its own mode."""
        if mode not in (None, self.mode):
            raise ValueError(f"This file is open as {self.mode!r}: open {mode!r} by the storage.")
        if self.closed:
            # in place: Django's FieldFile goes on with this object, whatever open() returns
            fresh = self._flows.run(self._flows.open(self.name, self.mode), "open", self.name)
            self.__dict__ = fresh.__dict__
        else:
            self.seek(0)
        return self


class ReadFile(_Reading):
    """A stored object open for reading: one GET, however much of it is read in order.

    Memory is bounded by the buffer. `size` is as of opening. Use either the sync or the async
    methods at a time.
    """

    def __init__(self, flows: FileFlows, name: str, mode: str, stream: Stream) -> None:
        self._flows = flows
        self._reader = _RawReader(flows, name, stream)
        self._text = "b" not in mode
        super().__init__(self._layered(), name)
        self.mode = mode

    def _layered(self) -> Any:
        buffered = io.BufferedReader(self._reader, STREAM_CHUNK)
        return io.TextIOWrapper(buffered, encoding="utf-8") if self._text else buffered

    @property
    def stat(self) -> Stat:
        """What the response to opening said about the file."""
        return self._reader.stat

    @property
    def size(self) -> int:
        """Bytes, as of opening. Raises ``io.UnsupportedOperation`` where they are not known."""
        return self._reader.size

    async def aread(self, size: int = -1) -> Any:
        """See read()."""
        if self._text:
            # characters do not end where pieces of bytes do: the text layer joins them
            return await asyncio.to_thread(self.file.read, size)
        self._unbuffer()
        pieces: list[bytes] = []
        left = size if size >= 0 else None
        with self._reader.whole_or_nothing():
            while left is None or left > 0:
                piece = await self._reader.aread(
                    STREAM_CHUNK if left is None else min(left, STREAM_CHUNK)
                )
                if not piece:
                    break
                pieces.append(piece)
                left = None if left is None else left - len(piece)
        return b"".join(pieces)

    async def achunks(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """See chunks(). Always bytes."""
        self._unbuffer()
        self._reader.seek(0)
        while chunk := await self._reader.aread(chunk_size or STREAM_CHUNK):
            yield chunk

    def _unbuffer(self) -> None:
        """Continue where sync reads stopped, without what they read ahead."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if not self._text and self.file.tell() != self._reader.tell():
            position = self.file.tell()
            self.file.detach()
            self._reader.seek(position)
            self.file = self._layered()


class DiskFile(_Reading):
    """A file of this machine, open for reading: the operating system's own, as Django's."""

    def __init__(self, flows: FileFlows, name: str, mode: str, file: IO[bytes]) -> None:
        self._flows = flows
        text = "b" not in mode
        super().__init__(io.TextIOWrapper(file, encoding="utf-8") if text else file, name)
        self.mode = mode

    @property
    def stat(self) -> Stat:
        """What the filesystem says about the file now."""
        return self._flows.run(self._flows.stat(self.name), "stat", self.name)

    @functools.cached_property
    def size(self) -> int:
        """Bytes, as of the first time this is asked."""
        return os.fstat(self.file.fileno()).st_size

    async def achunks(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """See chunks(). Always bytes."""
        self.seek(0)
        file = self.file.buffer if "b" not in self.mode else self.file
        while chunk := await asyncio.to_thread(file.read, chunk_size or STREAM_CHUNK):
            yield chunk


class WriteFile(StoredFile):
    """A file open for writing: kept in a temporary file, stored when it is closed.

    An exception inside ``with`` discards it, as does forgetting to close it: nothing is stored
    and what was there stays. Memory is bounded by the storage's ``chunk_size``.
    """

    def __init__(self, flows: FileFlows, name: str, mode: str) -> None:
        self._flows = flows
        self._spool = tempfile.SpooledTemporaryFile(max_size=flows.options.chunk_size)  # noqa: SIM115
        text = "b" not in mode
        file: Any = (
            io.TextIOWrapper(cast(Any, self._spool), encoding="utf-8") if text else self._spool
        )
        super().__init__(file, name)
        self.mode = mode

    @property
    def spooled(self) -> Any:
        """What was written, as a binary file at its beginning."""
        self.file.flush()
        self._spool.seek(0)
        return self._spool

    def fill(self, chunk: bytes) -> None:
        """Add bytes that the object already has."""
        self._spool.write(chunk)

    def start(self, *, at_end: bool) -> None:
        """Place the write position after the object's present bytes were filled in."""
        self.file.seek(0, io.SEEK_END if at_end else io.SEEK_SET)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        self.file.flush()
        position = self._spool.tell()
        size = self._spool.seek(0, io.SEEK_END)
        self._spool.seek(position)
        return size

    def __exit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        if exc_type is not None:
            self.discard()
        else:
            self.close()

    async def __aexit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        if exc_type is not None:
            self.discard()
        else:
            await self.aclose()

    def discard(self) -> None:
        """Forget what was written."""
        self.file.close()

    def _committing(self) -> Flow[Stat | None]:
        if self.closed:
            return None
        spooled = self.spooled
        try:
            exclusive = "x" in self.mode
            return (
                yield from self._flows.save(
                    self.name, spooled, overwrite=not exclusive, exact=True, checksum=False
                )
            )
        finally:
            self.file.close()

    def close(self) -> None:
        """Store what was written under the exact name: 1 request up to ``chunk_size``.

        Raises ``FileExistsError`` in mode "x" when the name was taken meanwhile, and what
        ``FSSpecStorage.store()`` raises.
        """
        self._flows.change(file_stored, self._committing(), "save", self.name)

    async def aclose(self) -> None:
        """See close()."""
        await self._flows.achange(file_stored, self._committing(), "save", self.name)
