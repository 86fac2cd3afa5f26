"""The unbuffered stream below an open file, as Python's I/O layers want it."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from django_fsspec.adapters.base import STREAM_CHUNK, joined
from django_fsspec.adapters.errors import changed_while_read
from django_fsspec.core.flows import Flow
from django_fsspec.core.stat import is_replaced

from .streams import Stream

if TYPE_CHECKING:
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


class RawReader(io.RawIOBase):
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
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True: the stream is opened again where that is asked for."""
        return True

    def tell(self) -> int:
        """Return how many bytes lie before the next one."""
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
        """Read into `buffer` and return how many bytes; 0 at the end."""
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
        """Return all that is left."""
        # Python's own asks for 8 kB at a time
        return self._flows.run(self._rest(), "read", self.name)

    async def aread(self, size: int) -> bytes:
        """Return up to `size` bytes, or all that is left for a negative one."""
        flow = self._next(size) if size >= 0 else self._rest()
        return await self._flows.arun(flow, "read", self.name)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to another byte, without a request, and return where that is."""
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
        """Bytes. Raises ``io.UnsupportedOperation`` where they are not known."""
        if self._packed or self.stat.size is None:
            raise io.UnsupportedOperation("The size of this stream is not known before its end.")
        return self.stat.size

    def _drop(self) -> None:
        self._ahead.clear()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def close(self) -> None:
        """Release the connection; never waits."""
        self._drop()
        super().close()
