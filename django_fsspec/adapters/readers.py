"""A GET streamed on the filesystem's loop and taken up again where it broke."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from .base import Reader

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat


class Download(Reader):
    """The body of one GET, held until it is read to its end or closed.

    A family says how its body is read, and how the rest is asked for.
    """

    #: errors that mean that the connection broke
    broken: ClassVar[tuple[type[Exception], ...]] = (Exception,)

    def __init__(self, path: str, start: int, end: int | None, retries: int) -> None:
        self._path, self._position, self._end = path, start, end
        self._left = retries
        self._loop = asyncio.get_running_loop()
        self._body: Any = None

    @abstractmethod
    async def _piece(self, size: int) -> bytes:
        """Return up to `size` bytes of the body."""

    @abstractmethod
    async def _resume(self, error: Exception) -> None:
        """Ask for the rest, of the same version only; raise where that can't be had."""

    @property
    def _range(self) -> dict[str, str]:
        """The header that asks for what is left; none when that is everything."""
        if not self._position and self._end is None:
            return {}
        last = "" if self._end is None else self._end - 1
        return {"Range": f"bytes={self._position}-{last}"}

    async def read(self, size: int) -> bytes:
        parts, wanted = [], size
        while wanted > 0 and (chunk := await self._some(wanted)):
            parts.append(chunk)
            wanted -= len(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _some(self, size: int) -> bytes:
        while self._body is not None:
            try:
                chunk = await self._piece(size)
            except self.broken as error:
                if self._left <= 0:
                    raise
                self._left -= 1
                await self._resume(error)
                continue
            self._position += len(chunk)
            if not chunk:
                self._release()
            return chunk
        return b""

    def _release(self) -> None:
        # a body read to its end has given its connection back already
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def close(self) -> None:
        if self._body is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._release)


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
            self._ahead = asyncio.ensure_future(self._fetch(self._position, stop))
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

    def close(self) -> None:
        self._end = 0
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._loop.call_soon_threadsafe(ahead.cancel)
