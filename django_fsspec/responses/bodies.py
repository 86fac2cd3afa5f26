"""Streaming response bodies for WSGI and ASGI, with flat memory."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, NoReturn, Protocol

from django.core.files.storage import Storage

from django_fsspec.adapters.base import STREAM_CHUNK
from django_fsspec.core import flows
from django_fsspec.core.flows import Call, Emit, EmittingFlow, Flow
from django_fsspec.core.log_fields import log_fields
from django_fsspec.core.stat import is_replaced
from django_fsspec.exceptions import StorageError
from django_fsspec.storage.foreign import wrap
from django_fsspec.storage.prefixes import pinned_storage

from .ranges import Span

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat

logger = logging.getLogger("django_fsspec")

#: bytes read from a stream at once at most: they wait in memory for a slow client
_BATCH = 2 * STREAM_CHUNK


class FileStream(Protocol):
    """An open stream of a file's bytes; `stat` comes from opening it."""

    stat: Stat
    packed: bool
    #: whether opening bytes in the middle means reading all before them
    sequential: bool
    #: bytes to read at once where all of them are wanted
    batch: int
    #: the unbuffered file of this machine whose bytes these are; None where there is none
    file: IO[bytes] | None

    def read(self, size: int) -> Flow[bytes]:
        """Return up to `size` bytes, b"" at the end. Raises ``OSError``."""

    def several(self, size: int) -> Flow[list[bytes]]:
        """Return up to `size` bytes in pieces, [] at the end. Raises ``OSError``."""

    def close(self) -> None:
        """Release the connection without waiting."""


class FileToServe:
    """A file in any Django storage, for streaming."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.name = name
        self._flows = wrap(pinned_storage(storage)).flows
        self.perform: Callable[[Call], Any] = self._flows.perform
        self.aperform: Callable[[Call], Coroutine[Any, Any, Any]] = self._flows.aperform

    def stat(self) -> Flow[Stat]:
        """Return the metadata: 1 request. Raises ``FileNotFoundError``, ``OSError``."""
        return self._flows.stat(self.name)

    def iterate(self, flow: EmittingFlow) -> Iterator[Any]:
        """Drive `flow` for a sync caller, yielding what it emits."""
        return self._flows.iterate(flow, "response", self.name)

    def aiterate(self, flow: EmittingFlow) -> AsyncIterator[Any]:
        """See iterate()."""
        return self._flows.aiterate(flow, "response", self.name)

    def open(self, start: int, end: int | None) -> Flow[FileStream]:
        """Open bytes `start` to `end` (exclusive): 1 request. Raises as `stat()` does."""
        opened: FileStream = yield from self._flows.stream(self.name, start, end)
        return opened


class FileBody:
    """The body of a streaming response. `opened` is the stream of the first span.

    If the file is shorter than announced, or changes between two spans, iterating raises
    ``StorageError``; the client notices, because it got the length. ``close()`` releases the
    storage's connection at once, and so does losing the last reference to the body.
    """

    def __init__(
        self, stored: FileToServe, pieces: Sequence[bytes | Span], opened: FileStream
    ) -> None:
        self._stored, self._pieces = stored, pieces
        self._stat = opened.stat
        self._opened: FileStream | None = opened
        #: where the open stream is
        self._position = next(piece.start for piece in pieces if isinstance(piece, Span))
        self._closed = False

    def close(self) -> None:
        """Release the storage's connection; may be called again."""
        self._closed = True
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def __del__(self) -> None:
        self.close()

    def _response(self) -> EmittingFlow:
        try:
            for piece in self._pieces:
                if isinstance(piece, bytes):
                    yield Emit(piece)
                else:
                    yield from self._span(piece)
        finally:
            self.close()

    def _span(self, span: Span) -> EmittingFlow:
        opened, left = (yield from self._at(span)), span.length
        # the first bytes come early
        size = STREAM_CHUNK
        while left is None or left > 0:
            chunks = yield from opened.several(size if left is None else min(left, size))
            if self._closed:
                return
            if not chunks:
                break
            left = None if left is None else left - sum(map(len, chunks))
            yield from flows.emit_all(chunks)
            size = min(opened.batch, _BATCH)
        if span.end is None or not opened.sequential:
            self._opened = None
            opened.close()
        else:
            self._position = span.end
        if left:
            _raise_too_short(self._stored.name, left)

    def _at(self, span: Span) -> Flow[FileStream]:
        """Return the stream at the start of `span`: opened there, or read on until there."""
        if self._opened is None:
            self._opened = yield from self._stored.open(*span)
            if is_replaced(self._stat, self._opened.stat):
                raise StorageError(f"{self._stored.name!r} changed while it was being sent.")
            return self._opened
        opened, gap = self._opened, span.start - self._position
        while gap > 0 and (chunk := (yield from opened.read(min(gap, STREAM_CHUNK)))):
            gap -= len(chunk)
        return opened


class SyncBody(FileBody):
    """The body under WSGI."""

    def __iter__(self) -> Iterator[bytes]:
        return self._stored.iterate(self._response())


class AsyncBody(FileBody):
    """The body under ASGI; the event loop never blocks on the storage."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stored.aiterate(self._response())


class WholeFile:
    """A whole file of this machine, for ``wsgi.file_wrapper``: a server may send it by itself.

    Servers use its descriptor (``sendfile()``), or ``read()``, which ends after `size` bytes.
    """

    def __init__(self, stored: FileToServe, opened: FileStream, size: int) -> None:
        assert opened.file is not None
        self._stored, self._opened, self._size = stored, opened, size
        self._file = opened.file
        # not __del__(): FileResponse is in a reference cycle, where the stream may be freed first
        weakref.finalize(self, opened.close)
        self.fileno, self.seek, self.tell = self._file.fileno, self._file.seek, self._file.tell

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes. Raises ``StorageError`` where the file became shorter."""
        left = self._size - self._file.tell()
        piece = self._file.read(left if size < 0 else min(size, left)) if left > 0 else b""
        if size != 0 and left > 0 and not piece:
            _raise_too_short(self._stored.name, left)
        return piece

    def check_whole(self) -> None:
        """Raise ``StorageError`` where the open file is shorter than what was announced."""
        if not self._file.closed:
            left = self._size - os.fstat(self._file.fileno()).st_size
            if left > 0:
                _raise_too_short(self._stored.name, left)

    def close(self) -> None:
        """Close the file; may be called again."""
        self._opened.close()


def _raise_too_short(name: str, left: int) -> NoReturn:
    """Log that `left` bytes of a file are missing, and raise ``StorageError``."""
    logger.error(
        "%r ended %d bytes too early.",
        name,
        left,
        extra=log_fields(name=name, operation="response"),
    )
    raise StorageError(f"{name!r} ended {left} bytes too early.")
