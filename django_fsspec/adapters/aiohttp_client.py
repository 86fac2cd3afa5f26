"""HTTP through aiohttp: statuses to retry, content of requests, and a resuming reader."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar, Self

import aiohttp

from django_fsspec.core.stat import Stat

from .resuming_readers import AsyncResumingReader, OpenedRange

#: statuses that mean "again later"
TRANSIENT = frozenset((408, 429, 500, 502, 503, 504))
#: bytes handed to a connection at a time
_PIECE = 256 * 1024


class RequestContent:
    """The content of a request, sent in pieces, each of which postpones the deadline.

    So an upload may take its time; a connection that moves no bytes for `timeout` seconds fails.
    aiohttp iterates again when a connection from its pool turns out to be closed.
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


class AioReader(AsyncResumingReader):
    """A body that aiohttp streams."""

    broken: ClassVar[tuple[type[Exception], ...]] = (aiohttp.ClientError, TimeoutError)

    async def _read(self, size: int) -> bytes:
        chunk: bytes = await self._stream.content.read(size)
        return chunk


def opened(stat: Stat, response: aiohttp.ClientResponse) -> OpenedRange:
    """Return what a GET of an object store gave."""
    version = (stat.etag, stat.version_id)
    return OpenedRange(stat, response, version if any(version) else None)
