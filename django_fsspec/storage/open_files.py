"""Open files: reading streams from the service, writing uploads on a clean close."""

from __future__ import annotations

import asyncio
import functools
import io
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO, TYPE_CHECKING, Any, Self, cast

from django.core.files.base import File

from django_fsspec.adapters.base import STREAM_CHUNK
from django_fsspec.core.flows import Flow
from django_fsspec.signals import file_stored

from .raw_reader import FileFlows, RawReader

if TYPE_CHECKING:
    from types import TracebackType

    from django_fsspec.core.stat import Stat

    from .streams import Stream


#: batches that chunks() reads ahead at most: each call is a switch between threads
_AT_ONCE = 4


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
        self._reader = RawReader(flows, name, stream)
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
