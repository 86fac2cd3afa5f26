"""Remote files through asyncssh: how they are described, streamed and given their names.

A new file is written under a partial name and then renamed. OpenSSH's plain rename refuses a
name that is taken (it links, then unlinks), so one writer wins; where the disk behind OpenSSH
has no hard links it looks first and renames then, which leaves a moment to somebody else. Other
servers replace what is there: for them a lock file, opened exclusively, decides between writers
of ours. A killed process may leave it behind, which costs that one name.
"""

from __future__ import annotations

import asyncio
import contextlib
import stat as stat_module
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncssh

from django_fsspec.adapters.errors import exists_already
from django_fsspec.adapters.part_files import lock_beside, partial_beside
from django_fsspec.adapters.readers import AsyncResumingReader, BlockReader, Opened
from django_fsspec.core.stat import Stat, utc

from .asyncssh_connection import LOST, closed

if TYPE_CHECKING:
    from django_fsspec.adapters.base import Limits

#: bytes of one step of a transfer; asyncssh cuts it into requests that fly together
STEP = 1 << 20
MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)


def stat_of(path: str, attrs: asyncssh.SFTPAttrs) -> Stat:
    """Return `attrs` as our own description of a file."""
    return Stat(
        name=path,
        size=attrs.size,
        is_dir=stat_module.S_ISDIR(attrs.permissions or 0),
        last_modified=utc(attrs.mtime),
        accessed=utc(attrs.atime),
    )


class SFTPReader(AsyncResumingReader):
    """An open remote file, read a step ahead; `open_file` opens it and tells what it is."""

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

    async def _open(self) -> Opened:
        self._file, stat = await self._open_file(self._path)
        size = stat.size or 0
        end = size if self._end is None else min(self._end, size)
        step = min(STEP, self._limits.chunk_size)
        blocks = BlockReader(self._step, stat, self._position, end, step)
        return Opened(stat, blocks, version=(stat.size, stat.last_modified))

    async def _step(self, first: int, last: int) -> bytes:
        read = self._file.read(last - first, first)
        data: bytes = await asyncio.wait_for(read, self._limits.timeout)
        return data

    def _close(self, stream: Any) -> None:
        stream.close()
        asyncio.run_coroutine_threadsafe(closed(self._file), self._loop)


async def create_locked(sftp: Any, partial: str, path: str) -> None:
    """Name `partial` after `path` unless that exists, in turn with other writers of ours."""
    lock = lock_beside(path)
    try:
        await (await sftp.open(lock, "xb")).close()
    except asyncssh.SFTPFailure as error:
        if await sftp.lexists(lock) or await sftp.lexists(path):
            raise exists_already(path) from error
        raise
    try:
        if await sftp.lexists(path):
            raise exists_already(path)
        await replace_by(sftp, partial, path)
    finally:
        with contextlib.suppress(asyncssh.SFTPError):
            await asyncio.shield(sftp.remove(lock))


async def replace_by(sftp: Any, partial: str, path: str) -> None:
    """Name `partial` after `path`, whatever is there."""
    try:
        await sftp.posix_rename(partial, path)
    except asyncssh.SFTPOpUnsupported:
        await _swap(sftp, partial, path)


async def _swap(sftp: Any, partial: str, path: str) -> None:
    """Replace where the server can't in one step: for a moment there is no file."""
    aside = partial_beside(path)
    try:
        await sftp.rename(path, aside)
    except MISSING:
        await sftp.rename(partial, path)
        return
    try:
        await sftp.rename(partial, path)
    except BaseException:
        await asyncio.shield(sftp.rename(aside, path))
        raise
    await sftp.remove(aside)
