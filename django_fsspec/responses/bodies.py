"""Streaming response bodies for WSGI and ASGI, with flat memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from django.core.files.storage import Storage

from django_fsspec.adapters.base import STREAM_CHUNK
from django_fsspec.core import flows
from django_fsspec.core.flows import Call, Emit, EmittingFlow, Flow
from django_fsspec.core.stat import is_replaced
from django_fsspec.exceptions import StorageError
from django_fsspec.storage.foreign import wrap

from .ranges import Span

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat

logger = logging.getLogger("django_fsspec")


class FileStream(Protocol):
    """An open stream of a file's bytes; `stat` comes from opening it."""

    stat: Stat
    packed: bool
    #: whether opening bytes in the middle means reading all before them
    sequential: bool

    def read(self, size: int) -> Flow[bytes]:
        """Return up to `size` bytes, b"" at the end. Raises ``OSError``."""

    def close(self) -> None:
        """Release the connection without waiting."""


class FileToServe:
    """A file in any Django storage, for streaming."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.name = name
        self._flows = wrap(storage).flows
        self.perform: Callable[[Call], Any] = self._flows.perform
        self.aperform: Callable[[Call], Coroutine[Any, Any, Any]] = self._flows.aperform

    def stat(self) -> Flow[Stat]:
        """Return the metadata: 1 request. Raises ``FileNotFoundError``, ``OSError``."""
        return self._flows.stat(self.name)

    def open(self, start: int, end: int | None) -> Flow[FileStream]:
        """Open bytes `start` to `end` (exclusive): 1 request. Raises as `stat()` does."""
        return (yield from self._flows.stream(self.name, start, end))


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

    def _flow(self) -> EmittingFlow:
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
        while left is None or left > 0:
            size = STREAM_CHUNK if left is None else min(left, STREAM_CHUNK)
            chunk = yield from opened.read(size)
            if self._closed:
                return
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            yield Emit(chunk)
        if span.end is None or not opened.sequential:
            self._opened = None
            opened.close()
        else:
            self._position = span.end
        if left:
            logger.error("%r ended %d bytes too early.", self._stored.name, left)
            raise StorageError(f"{self._stored.name!r} ended {left} bytes too early.")

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
        return flows.iterate(self._flow(), self._stored.perform)


class AsyncBody(FileBody):
    """The body under ASGI; the event loop never blocks on the storage."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return flows.aiterate(self._flow(), self._stored.aperform)
