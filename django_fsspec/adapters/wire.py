"""What adapters that speak HTTP through aiohttp share: tries, bodies, downloads."""

from __future__ import annotations

import asyncio
import contextlib
import random
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple, Self, TypeVar

import aiohttp

from django_fsspec.exceptions import StorageError
from django_fsspec.stat import Stat

from .base import Reader

T = TypeVar("T")

#: statuses that mean "again later"
TRANSIENT = frozenset((408, 429, 500, 502, 503, 504))
#: bytes handed to a connection at a time
_PIECE = 256 * 1024


async def tried(
    attempt: Callable[[], Awaitable[T]], retries: int, transient: Callable[[Exception], bool]
) -> T:
    """Await `attempt()` up to ``retries + 1`` times, with a growing pause between."""
    for number in range(retries):
        try:
            return await attempt()
        except Exception as error:
            if not transient(error):
                raise
        await asyncio.sleep(min(2.0, 0.1 * 2**number) * (0.5 + random.random()))  # noqa: S311
    return await attempt()


class Body:
    """What is sent, in pieces, each of which puts off the deadline: only silence is an error.

    Can be iterated again: aiohttp does so when a kept connection turns out to be closed.
    """

    def __init__(self, parts: Sequence[bytes], deadline: asyncio.Timeout, timeout: float) -> None:
        self._parts, self._deadline, self._timeout = parts, deadline, timeout

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __deepcopy__(self, memo: object) -> Self:
        # azure-core keeps a deep copy of every request that failed
        return self

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        now = asyncio.get_running_loop().time
        for data in self._parts:
            part = memoryview(data)
            for start in range(0, len(part), _PIECE):
                # suppressed: the answer may come before all was sent
                with contextlib.suppress(RuntimeError):
                    self._deadline.reschedule(now() + self._timeout)
                yield part[start : start + _PIECE]


class Opened(NamedTuple):
    """What a GET gave: None instead of a response for a range past the end."""

    stat: Stat
    response: aiohttp.ClientResponse | None


class Download(Reader):
    """One GET streamed; resumed from where it broke, of the same version only."""

    def __init__(self, path: str, start: int, end: int | None, retries: int) -> None:
        self._path, self._position, self._end = path, start, end
        self._left = retries
        self._loop = asyncio.get_running_loop()
        self._response: aiohttp.ClientResponse | None = None

    @abstractmethod
    async def _get(self) -> Opened:
        """Ask for the bytes from the present position on, as they are stored."""

    @property
    def _range(self) -> dict[str, str]:
        """The header that asks for what is left; none when that is everything."""
        if not self._position and self._end is None:
            return {}
        last = "" if self._end is None else self._end - 1
        return {"Range": f"bytes={self._position}-{last}"}

    @property
    def _empty(self) -> bool:
        # a server takes a range that ends before it begins for none, and gives everything
        return self._end is not None and self._end <= self._position

    async def open(self) -> Self:
        self.stat, self._response = await self._get()
        return self

    async def _resume(self) -> None:
        self._left -= 1
        self._release()
        stat, self._response = await self._get()
        if (stat.etag, stat.version_id) != (self.stat.etag, self.stat.version_id):
            self._release()
            raise StorageError(f"{self._path!r} was replaced while it was being read.")

    async def read(self, size: int) -> bytes:
        parts, wanted = [], size
        while wanted and (chunk := await self._some(wanted)):
            parts.append(chunk)
            wanted -= len(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _some(self, size: int) -> bytes:
        while self._response is not None:
            try:
                chunk = await self._response.content.read(size)
            except (aiohttp.ClientError, TimeoutError):
                if self._left <= 0 or not (self.stat.etag or self.stat.version_id):
                    raise
                await self._resume()
                continue
            self._position += len(chunk)
            if not chunk:
                self._release()
            return chunk
        return b""

    def _release(self) -> None:
        # a response read to its end has given its connection back already
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def close(self) -> None:
        if self._response is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._release)
