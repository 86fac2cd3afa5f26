"""Open files: reading streams from the service, writing uploads on a clean close."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO, TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

from django.core.files.base import File

from django_fsspec.adapters.base import STREAM_CHUNK, joined
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


#: batches that chunks() reads ahead at most: each call is a switch between threads
_AT_ONCE = 4


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
        #: what was read and not taken yet, the next piece last
        self._ahead: list[bytes] = []
        #: bytes to read ahead
        self._size = STREAM_CHUNK

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def _next(self, size: int) -> Flow[bytes]:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if self._ahead:
            return self.at_hand(size)
        with self._dropped_on_failure():
            if self._stream is None:
                chunk = yield from self._reopen(size)
            else:
                chunk = yield from self._stream.read(size)
        self._position += len(chunk)
        return chunk

    @contextlib.contextmanager
    def _dropped_on_failure(self) -> Iterator[None]:
        """Have the next read open the file here again: bytes may be lost that this one had."""
        try:
            yield
        except BaseException:
            self._drop()
            raise

    def _several(self, size: int) -> Flow[list[bytes]]:
        """Read up to `size` bytes in pieces as they arrive; [] at the end. Moves nothing."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        with self._dropped_on_failure():
            if self._stream is not None:
                return (yield from self._stream.several(size))
            chunk = yield from self._reopen(size)
            return [chunk] if chunk else []

    def piece(self, most: int = 1) -> Flow[bytes]:
        """Return the next piece as it arrived, b"" at the end.

        The first pieces come early; then up to `most` batches are read at once.
        """
        self._ahead = (yield from self._several(self._size))[::-1]
        self._size = min(2 * self._size, most * self._batch)
        return self.at_hand()

    def at_hand(self, size: int = sys.maxsize) -> bytes:
        """Return up to `size` bytes of the next piece that was read ahead; b"" without one."""
        piece = self._ahead.pop() if self._ahead else b""
        if len(piece) > size:
            self._ahead.append(piece[size:])
            piece = piece[:size]
        self._position += len(piece)
        return piece

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
        with self.whole_or_nothing(), self._dropped_on_failure():
            if self._stream is None:
                self._ahead = yield from self._several(self._batch)
            pieces = [self.at_hand() for _ in list(self._ahead)]
            if self._stream is not None and not self._stream.at_end:
                pieces.append((yield from self._stream.rest()))
                self._position += len(pieces[-1])
            return joined(pieces)

    def readall(self) -> bytes:
        # Python's own asks for 8 kB at a time
        return self._flows.run(self._rest(), "read", self.name)

    async def aread(self, size: int) -> bytes:
        flow = self._next(size) if size >= 0 else self._rest()
        return await self._flows.arun(flow, "read", self.name)

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
        self._ahead.clear()
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
        data = await self._reader.aread(size) if size < 0 else await self._aread(size)
        self._rebuffer()
        return data

    async def _aread(self, size: int) -> bytes:
        pieces: list[bytes] = []
        with self._reader.whole_or_nothing():
            while size > 0 and (piece := await self._reader.aread(min(size, STREAM_CHUNK))):
                pieces.append(piece)
                size -= len(piece)
        return b"".join(pieces)

    def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
        """Yield the file from its beginning in pieces of `chunk_size` bytes, or characters.

        By default in pieces of up to 256 kB as they arrive, which are not copied.
        """
        if chunk_size or self._text:
            yield from super().chunks(chunk_size)
            return
        self.seek(0)
        reader = self._reader
        while piece := self._at_hand() or self._flows.run(
            reader.piece(_AT_ONCE), "read", self.name
        ):
            self._rebuffer()
            yield piece

    async def achunks(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """See chunks(). Always bytes."""
        self._unbuffer()
        reader = self._reader
        reader.seek(0)
        while piece := (
            await reader.aread(chunk_size)
            if chunk_size
            else self._at_hand() or await self._flows.arun(reader.piece(), "read", self.name)
        ):
            self._rebuffer()
            yield piece

    def _at_hand(self) -> bytes:
        """Return the next piece where it was read already, else b""."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if self._text or self.file.tell() == self._reader.tell():
            return self._reader.at_hand()
        buffered: bytes = self.file.read1(STREAM_CHUNK)
        return buffered

    def _rebuffer(self) -> None:
        """Have sync reads continue where others stopped: the buffer remembers where it was."""
        if not self._text:
            self.file.seek(self._reader.tell())

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
