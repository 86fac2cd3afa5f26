"""Remote files through asyncssh: how they are described, streamed and given their names."""

from __future__ import annotations

import asyncio
import stat as stat_module
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh

from django_fsspec.adapters.errors import not_found
from django_fsspec.adapters.resuming_readers import AsyncResumingReader, BlockReader, OpenedRange
from django_fsspec.core.stat import Stat, is_special, utc

from .asyncssh_connection import closed
from .asyncssh_sessions import LOST

if TYPE_CHECKING:
    from django_fsspec.adapters.base import Limits

T = TypeVar("T")

#: bytes of one step of a transfer, which is split into concurrent requests
STEP = 1 << 20
MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)


def is_link(attrs: asyncssh.SFTPAttrs) -> bool:
    """Return whether attributes that were read without following links are those of one."""
    return stat_module.S_ISLNK(attrs.permissions or 0)


def stat_of(path: str, attrs: asyncssh.SFTPAttrs) -> Stat:
    """Return `attrs` as a Stat.

    Raises ``FileNotFoundError`` for a FIFO, socket or device.
    """
    if is_special(attrs.permissions):
        raise not_found(path)
    return Stat(
        name=path,
        size=attrs.size,
        is_dir=stat_module.S_ISDIR(attrs.permissions or 0),
        last_modified=utc(attrs.mtime),
        accessed=utc(attrs.atime),
    )


class RemoteFile:
    """An open remote file, read and written in concurrent requests of what the server takes.

    asyncssh can split too, by tasks that it forgets when a read is cancelled or the connection is
    cut: asyncio then logs "Task exception was never retrieved" for each. So the file must be
    opened with ``block_size=0``, which makes each call one request.
    """

    def __init__(self, file: Any, limits: asyncssh.SFTPLimits) -> None:
        self.file = file
        self._most_read = limits.max_read_len or STEP
        self._most_written = limits.max_write_len or STEP

    async def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`; fewer at the end of the file."""
        starts = range(start, end, self._most_read)
        blocks = await _all(
            self._read_block(first, min(first + self._most_read, end)) for first in starts
        )
        return b"".join(blocks)

    async def _read_block(self, start: int, end: int) -> bytes:
        pieces: list[bytes] = []
        # a server may answer with fewer bytes than asked for
        while start < end and (piece := await self.file.read(end - start, start)):
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)

    async def write(self, data: bytes, offset: int) -> None:
        """Write `data` at `offset`."""
        starts = range(0, len(data), self._most_written)
        await _all(
            self.file.write(data[first : first + self._most_written], offset + first)
            for first in starts
        )


async def _all(works: Iterable[Awaitable[T]]) -> list[T]:
    """Await all `works` at once, and each to its end; raise the first error."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value]


class SFTPReader(AsyncResumingReader):
    """A stream of a remote file, read one step ahead; `open_file` opens and describes it."""

    broken = LOST

    def __init__(
        self,
        open_file: Callable[[str], Awaitable[tuple[RemoteFile, Stat]]],
        limits: Limits,
        path: str,
        start: int,
        end: int | None,
    ) -> None:
        super().__init__(path, start, end, limits.retries)
        self._open_file, self._limits = open_file, limits
        self._remote: RemoteFile | None = None

    async def _open(self) -> OpenedRange:
        self._remote, stat = await self._open_file(self._path)
        size = stat.size or 0
        end = size if self._end is None else min(self._end, size)
        step = min(STEP, self._limits.chunk_size)
        blocks = BlockReader(self._step, stat, self._position, end, step)
        return OpenedRange(stat, blocks, version=(stat.size, stat.last_modified))

    async def _step(self, first: int, last: int) -> bytes:
        assert self._remote is not None
        return await asyncio.wait_for(self._remote.read(first, last), self._limits.timeout)

    def _close(self, stream: Any) -> None:
        stream.close()
        if self._remote is not None:
            asyncio.run_coroutine_threadsafe(closed(self._remote.file), self._loop)


class SFTPNames:
    """The calls on names, as part files need them."""

    def __init__(self, sftp: Any) -> None:
        self._sftp = sftp

    def refused(self, error: BaseException) -> bool:
        return isinstance(error, asyncssh.SFTPError) and not isinstance(error, LOST)

    def usable(self, error: BaseException) -> bool:
        return isinstance(error, Exception) and not isinstance(error, LOST)

    async def exists(self, path: str) -> bool:
        there: bool = await self._sftp.lexists(path)
        return there

    async def lock(self, path: str) -> None:
        await (await self._sftp.open(path, "xb")).close()

    async def unlock(self, path: str) -> None:
        await asyncio.shield(self._sftp.remove(path))

    async def rename(self, source: str, target: str) -> None:
        await asyncio.shield(self._sftp.rename(source, target))

    async def replace(self, source: str, target: str) -> bool:
        try:
            await self._sftp.posix_rename(source, target)
        except asyncssh.SFTPOpUnsupported:
            return False
        return True

    async def remove(self, path: str) -> None:
        await self._sftp.remove(path)
