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
from typing import TYPE_CHECKING, Any

import asyncssh

from django_fsspec.adapters.errors import exists_already
from django_fsspec.adapters.part_files import lock_beside, partial_beside
from django_fsspec.adapters.readers import BlockReader
from django_fsspec.core.stat import Stat, utc

from .asyncssh_connection import LOST, closed

if TYPE_CHECKING:
    from .asyncssh_adapter import SSHFSAdapter

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


class SFTPReader(BlockReader):
    """An open remote file, read a step ahead; opened again when the connection was lost."""

    def __init__(self, adapter: SSHFSAdapter, file: Any, stat: Stat, start: int, end: int) -> None:
        super().__init__(self._step, stat, start, end, min(STEP, adapter.limits.chunk_size))
        self._adapter, self._file = adapter, file
        self._released = False

    async def _step(self, first: int, last: int) -> bytes:
        for left in range(self._adapter.limits.retries, -1, -1):
            try:
                read = self._file.read(last - first, first)
                data: bytes = await asyncio.wait_for(read, self._adapter.limits.timeout)
                return data
            except LOST:
                if not left:
                    raise
                self._file, stat = await self._adapter.open(self.stat.name)
                if (stat.size, stat.last_modified) != (self.stat.size, self.stat.last_modified):
                    raise
        return b""

    def close(self) -> None:
        super().close()
        if not self._released:
            self._released = True
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
