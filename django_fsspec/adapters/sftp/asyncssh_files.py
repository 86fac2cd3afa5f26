"""Remote files through asyncssh: how they are described, streamed and given their names."""

from __future__ import annotations

import asyncio
import contextlib
import stat as stat_module
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncssh

from django_fsspec.adapters.errors import not_found
from django_fsspec.adapters.resuming_readers import AsyncResumingReader, BlockReader, OpenedRange
from django_fsspec.core.stat import Stat, is_special, utc

from .asyncssh_connection import LOST, closed

if TYPE_CHECKING:
    from django_fsspec.adapters.base import Limits

#: bytes of one step of a transfer; asyncssh splits it into concurrent requests
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


class SFTPReader(AsyncResumingReader):
    """A stream of a remote file, read one step ahead; `open_file` opens and describes it."""

    broken = LOST

    def __init__(
        self,
        open_file: Callable[[str], Awaitable[tuple[Any, Stat]]],
        limits: Limits,
        path: str,
        start: int,
        end: int | None,
    ) -> None:
        super().__init__(path, start, end, limits.retries)
        self._open_file, self._limits = open_file, limits
        self._file: Any = None

    async def _open(self) -> OpenedRange:
        self._file, stat = await self._open_file(self._path)
        size = stat.size or 0
        end = size if self._end is None else min(self._end, size)
        step = min(STEP, self._limits.chunk_size)
        blocks = BlockReader(self._step, stat, self._position, end, step)
        return OpenedRange(stat, blocks, version=(stat.size, stat.last_modified))

    async def _step(self, first: int, last: int) -> bytes:
        read = self._file.read(last - first, first)
        data: bytes = await asyncio.wait_for(read, self._limits.timeout)
        return data

    def _close(self, stream: Any) -> None:
        stream.close()
        asyncio.run_coroutine_threadsafe(closed(self._file), self._loop)


class SFTPNames:
    """The calls on names, as part files need them."""

    def __init__(self, sftp: Any) -> None:
        self._sftp = sftp

    def refused(self, error: Exception) -> bool:
        return isinstance(error, asyncssh.SFTPError) and not isinstance(error, LOST)

    async def exists(self, path: str) -> bool:
        there: bool = await self._sftp.lexists(path)
        return there

    async def lock(self, path: str) -> None:
        await (await self._sftp.open(path, "xb")).close()

    async def unlock(self, path: str) -> None:
        with contextlib.suppress(asyncssh.SFTPError):
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
