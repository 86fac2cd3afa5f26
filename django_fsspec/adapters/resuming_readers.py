"""Readers that adapters share: streams that are resumed where they broke, and ranged reads."""

from __future__ import annotations

import asyncio
import io
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from django_fsspec.core.flows import Flow, adirect, arun, call, direct, run

from .base import (
    STREAM_BATCH,
    STREAM_CHUNK,
    BlockingReader,
    PiecewiseReader,
    Reader,
    Verb,
    joined,
)
from .errors import CutShort, changed_while_read, cut_short, read_failed

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat

    from .connection_limit import ConnectionLimit


def byte_range(start: int, end: int | None) -> dict[str, str]:
    """Return the header that asks for bytes `start` to `end` (exclusive), if one is needed."""
    if not start and end is None:
        return {}
    return {"Range": f"bytes={start}-{'' if end is None else end - 1}"}


#: bytes; a file up to this size is read when it is opened: a connection buffers as many anyway
_AT_ONCE = 64 * 1024


class OpenedRange(NamedTuple):
    """What opening a range of a file gave."""

    stat: Stat
    #: the body, which has read(size) and close(); None when the range is empty
    stream: Any = None
    #: equal while the file is the same; None where nothing tells its versions apart
    version: Any = None
    #: bytes that come before the first one asked for, from a server that ignores ranges
    skip: int = 0


class ResumingReader(Reader):
    """A stream that resumes where its connection broke.

    Subclasses implement ``_open()`` and, where needed, ``_read()``. A stream is resumed at most
    `retries` times. A file that changed meanwhile raises ``StorageError``, and so does a read()
    after one that failed or was cancelled.
    """

    #: errors that mean that the connection broke
    broken: ClassVar[tuple[type[Exception], ...]] = (Exception,)

    def __init__(self, path: str, start: int, end: int | None, retries: int) -> None:
        self._path, self._position, self._end = path, start, end
        self._tries_left = retries
        self._stream: Any = None
        self._version: Any = None
        self._skip = 0
        self._closed = False
        #: whether its connection went to another before the end
        self._gave_up = False
        #: whether a read() failed or was cancelled: bytes may be missing from there on
        self._failed = False

    @abstractmethod
    def _open(self) -> Verb[OpenedRange]:
        """Open the bytes from the position to the end, as they are stored."""

    def _connect(self) -> Verb[OpenedRange]:
        """Open them when there is a connection."""
        return self._open()

    def _read(self, size: int) -> Verb[bytes]:
        """Return up to `size` bytes of the stream."""
        chunk: Verb[bytes] = self._stream.read(size)
        return chunk

    def _is_broken(self, error: Exception) -> bool:
        """Return whether `error` means that the connection broke."""
        return isinstance(error, self.broken)

    @property
    def _range(self) -> dict[str, str]:
        """The header that asks for what is left; none when that is everything."""
        return byte_range(self._position, self._end)

    def _begin(self, opened: OpenedRange) -> Self:
        self.stat, self._stream, self._version, self._skip = opened
        return self

    def _chunk(self, size: int) -> Flow[bytes]:
        """Return up to `size` bytes; b"" at the end.

        Raises what `_read()` and `_open()` raise, and ``StorageError`` ever after.
        """
        if self._failed and not self._closed:
            raise read_failed(self._path)
        try:
            return (yield from self._next(size))
        except BaseException:
            # or it would look as if the file ended here
            self._failed = True
            self._release()
            raise

    def _next(self, size: int) -> Flow[bytes]:
        if self._end is not None:
            # a server that ignores ranges goes on past the end
            size = min(size, self._end - self._position)
        if self._gave_up and not self._closed:
            yield from self._go_on()
        while size > 0 and self._stream is not None:
            try:
                chunk = yield from call(self._read, min(self._skip, STREAM_CHUNK) or size)
                if not (chunk or self._closed):
                    # first: asking for the size takes a connection of its own
                    self._release()
                    yield from self._check_end()
            except Exception as error:
                broken = isinstance(error, CutShort) or self._is_broken(error)
                if self._closed or self._tries_left <= 0 or not broken:
                    raise
                yield from self._resume(error)
                continue
            if not chunk:
                self._release()
            elif self._skip:
                self._skip -= len(chunk)
            else:
                self._position += len(chunk)
                return chunk
        return b""

    def _size(self) -> Flow[int | None]:
        """Return the bytes of the whole file, as told apart from the length of the body."""
        return self.stat.size
        yield  # a flow of no calls

    def _check_end(self) -> Flow[None]:
        """Raise ``CutShort`` when a body ended before the last byte that was asked for.

        Its own length is no proof: a proxy may have lowered that.
        """
        size = yield from self._size()
        if size is not None and self._end is not None:
            size = min(size, self._end)
        if size is not None and self._position < size:
            raise cut_short(self._path, self._position, size)

    def _resume(self, error: Exception) -> Flow[None]:
        """Open the rest of the same version; raise where that can't be had."""
        if self._version is None:
            raise error
        self._tries_left -= 1
        self._release()
        yield from self._reopen(error)

    def _go_on(self) -> Flow[None]:
        """Open the rest of a stream that gave up its connection."""
        size, end = self.stat.size, self._end
        last = min((bound for bound in (size, end) if bound is not None), default=None)
        if last is None or self._position < last:
            yield from self._reopen(None)
        else:
            yield from self._check_end()
        self._gave_up = False

    def _reopen(self, error: Exception | None) -> Flow[None]:
        """Open the rest of the same version; raise ``StorageError`` when it is another one."""
        opened = yield from call(self._connect)
        self._stream, self._skip = opened.stream, opened.skip
        if self._closed or opened.version != self._version:
            self._release()
            raise changed_while_read(self._path) from error

    def _release(self) -> None:
        # a body that was read to its end has given its connection back already
        stream, self._stream = self._stream, None
        if stream is not None:
            self._close(stream)

    def _close(self, stream: Any) -> None:
        stream.close()


class BlockingResumingReader(ResumingReader, BlockingReader):
    """A resuming reader whose `_open` and `_read` are plain functions."""

    def open(self) -> Self:
        """Open the stream; raises what `_open` raises."""
        return self._begin(self._open())  # type: ignore[arg-type]

    def read(self, size: int) -> bytes:
        return run(self._chunk(size), direct)

    def close(self) -> None:
        self._closed = True
        self._release()


class AsyncResumingReader(ResumingReader, PiecewiseReader):
    """A resuming reader whose `_open` and `_read` are coroutines on the filesystem's loop.

    With a `limit` it keeps one of its connections while it is open. It can give that up where the
    server tells versions apart and serves ranges; else the limit does not count it. ``_open()``
    has a connection already, and must not wait for another.
    """

    fills = True

    def __init__(
        self,
        path: str,
        start: int,
        end: int | None,
        retries: int,
        limit: ConnectionLimit | None = None,
    ) -> None:
        super().__init__(path, start, end, retries)
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        #: since when it keeps a connection of the limit
        self._since: float | None = None
        #: what was read when it was opened
        self._first = b""

    async def open(self) -> Self:
        """Open the stream, and read a small file whole.

        Raises what `_open` raises, and for a small file what `read()` does.
        """
        self._begin(await self._connect())
        if self._is_small():
            self._first = await self.read(_AT_ONCE + 1)
            if len(self._first) <= _AT_ONCE:
                # the end of a range is not read
                self._release()
        else:
            self._unread()
        return self

    def _is_small(self) -> bool:
        """Whether what is left is read at once: each read of a sync caller waits for the loop."""
        size = self.stat.size
        if size is None or self._skip:
            return False
        end = size if self._end is None else min(size, self._end)
        return end - self._position <= _AT_ONCE

    def at_hand(self, size: int) -> bytes | None:
        # the stream first: the loop's thread sets the flags before it removes the stream
        if self._stream is not None or self._gave_up or self._failed:
            return None
        return b"" if self._closed else self._take_first(size)

    def _take_first(self, size: int) -> bytes:
        chunk, self._first = self._first[:size], self._first[size:]
        return chunk

    async def _connect(self) -> OpenedRange:
        if self._limit is None:
            return await self._open()  # type: ignore[misc, no-any-return]
        await self._limit.take()
        counted = False
        try:
            opened: OpenedRange = await self._open()  # type: ignore[misc]
            counted = opened.stream is not None and opened.version is not None and not opened.skip
        finally:
            if not counted:
                self._limit.release()
        if counted:
            self._since = self._loop.time()
        return opened

    async def read(self, size: int) -> bytes:
        pieces = await self.pieces(size)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pieces(self, size: int) -> list[bytes]:
        """Return up to `size` bytes as they arrive; fewer at the end only.

        All at once, since each call of a sync caller is a switch between threads.
        """
        if self._limit is not None:
            self._limit.read(self)
        first = b"" if self._closed else self._take_first(size)
        pieces, wanted = [first] if first else list[bytes](), size - len(first)
        try:
            while wanted > 0:
                piece = await arun(self._chunk(min(wanted, STREAM_CHUNK)), adirect)
                if not piece:
                    break
                pieces.append(piece)
                wanted -= len(piece)
        finally:
            self._unread()
        return pieces

    async def rest(self) -> bytes:
        first = await self.pieces(STREAM_BATCH)
        more = await self.pieces(STREAM_BATCH)
        if not more:
            return joined(first)
        whole = io.BytesIO()
        whole.writelines(first)
        del first
        while more:
            # not in a list of all: that would take the memory twice
            whole.writelines(more)
            del more
            more = await self.pieces(STREAM_BATCH)
        return whole.getvalue()

    def _unread(self) -> None:
        """Let the connection be given up from now on."""
        if self._limit is not None and self._since is not None:
            self._limit.unread(self, self._since)

    def give_up(self) -> None:
        """Close the connection and release it, until the next read()."""
        self._gave_up = True
        self._release()

    def _release(self) -> None:
        super()._release()
        since, self._since = self._since, None
        if self._limit is not None and since is not None:
            self._limit.read(self)
            self._limit.release()

    def close(self) -> None:
        self._closed = True
        if self._stream is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._release)

    def __del__(self) -> None:
        # one that nobody closed must not keep a connection of the limit
        self.close()


class BytesReader(Reader):
    """A stream over bytes in memory, which the response to a metadata request contained."""

    def __init__(self, data: bytes, stat: Stat) -> None:
        self.stat = stat
        self._data = memoryview(data)

    def read(self, size: int) -> bytes:
        chunk = bytes(self._data[:size])
        self._data = self._data[size:]
        return chunk

    at_hand = read

    def close(self) -> None:
        return None


class BlockReader(Reader):
    """Streams an object by ranged reads of a block each, the next one fetched ahead.

    For filesystems that can not stream a response.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], Awaitable[bytes]],
        stat: Stat,
        start: int,
        end: int,
        block: int,
    ) -> None:
        self.stat = stat
        self._fetch = fetch
        self._position, self._end, self._block = start, end, block
        self._buffer = memoryview(b"")
        self._ahead: asyncio.Task[bytes] | None = None
        self._loop = asyncio.get_running_loop()

    def _start_next(self) -> None:
        stop = min(self._position + self._block, self._end)
        if self._position < stop:
            self._ahead = asyncio.ensure_future(self._block_of(self._position, stop))
            self._position = stop

    async def read(self, size: int) -> bytes:
        if not self._buffer:
            if self._ahead is None:
                self._start_next()
            if self._ahead is None:
                return b""
            ahead, self._ahead = self._ahead, None
            self._buffer = memoryview(await ahead)
            self._start_next()
        chunk = bytes(self._buffer[:size])
        self._buffer = self._buffer[size:]
        return chunk

    async def _block_of(self, start: int, stop: int) -> bytes:
        data = await self._fetch(start, stop)
        if len(data) != stop - start:
            raise cut_short(self.stat.name, start + len(data), stop)
        return data

    def close(self) -> None:
        self._end = 0
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._loop.call_soon_threadsafe(ahead.cancel)
