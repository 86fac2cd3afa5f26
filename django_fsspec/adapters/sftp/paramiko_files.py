"""Remote files through paramiko: how they are described, streamed and given their names.

Names are given as ``sshfiles`` tells.
"""

from __future__ import annotations

import contextlib
import stat as stat_module
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import paramiko

from django_fsspec.adapters.errors import exists_already
from django_fsspec.adapters.part_files import lock_beside, partial_beside
from django_fsspec.core.stat import Stat, utc

#: bytes of one step of a transfer, and of the requests that fly together in it
STEP = 1 << 20
_REQUEST = 1 << 15


def stat_of(path: str, attrs: paramiko.SFTPAttributes) -> Stat:
    """Return `attrs` as our own description of a file."""
    return Stat(
        name=path,
        size=attrs.st_size,
        is_dir=stat_module.S_ISDIR(attrs.st_mode or 0),
        last_modified=utc(attrs.st_mtime),
        accessed=utc(attrs.st_atime),
    )


class ParamikoStream:
    """An open remote file; `release` gives its connection back when it is closed."""

    def __init__(
        self, file: Any, start: int, end: int, release: Callable[[BaseException | None], None]
    ) -> None:
        self._file, self._release = file, release
        self._position, self._end = start, end
        self._buffer = memoryview(b"")
        self._failed: BaseException | None = None
        self._closed = False

    def read(self, size: int) -> bytes:
        if not self._buffer:
            try:
                self._buffer = memoryview(self._step())
            except BaseException as error:
                self._failed = error
                raise
        chunk = bytes(self._buffer[:size])
        self._buffer = self._buffer[size:]
        return chunk

    def _step(self) -> bytes:
        stop = min(self._position + STEP, self._end)
        starts = range(self._position, stop, _REQUEST)
        data = b"".join(self._file.readv([(at, min(_REQUEST, stop - at)) for at in starts]))
        self._position += len(data)
        return data

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._failed is None:
                close_unasked(self._file)
            self._release(self._failed)


def close_unasked(file: Any) -> None:
    """Ask the server to close a file, and let the next request find the answer.

    paramiko has no public way to do so: ``close()`` waits for the answer.
    """
    try:
        file._close(async_=True)
    except (AttributeError, TypeError):
        file.close()


def followed(
    fs: Any, found: Iterable[tuple[str, paramiko.SFTPAttributes]]
) -> Iterator[tuple[str, paramiko.SFTPAttributes]]:
    """Yield entries with what links point to; a dangling link is no file."""
    for name, attrs in found:
        if stat_module.S_ISLNK(attrs.st_mode or 0):
            with contextlib.suppress(FileNotFoundError):
                yield name, fs.ftp.stat(name)
        else:
            yield name, attrs


def is_dir(fs: Any, path: str) -> bool:
    """Return whether `path` is a directory; it has to be there."""
    return stat_module.S_ISDIR(fs.ftp.stat(path).st_mode or 0)


def exists(fs: Any, path: str) -> bool:
    """Return whether anything, a dangling link included, has this name."""
    try:
        fs.ftp.lstat(path)
    except FileNotFoundError:
        return False
    return True


def create_locked(fs: Any, partial: str, path: str) -> None:
    """Name `partial` after `path` unless that exists, in turn with other writers of ours."""
    lock = lock_beside(path)
    try:
        fs.ftp.open(lock, "wxb").close()
    except FileNotFoundError:
        raise
    except OSError as error:
        if exists(fs, lock) or exists(fs, path):
            raise exists_already(path) from error
        raise
    try:
        if exists(fs, path):
            raise exists_already(path)
        replace_by(fs, partial, path)
    finally:
        with contextlib.suppress(OSError):
            fs.ftp.remove(lock)


def replace_by(fs: Any, partial: str, path: str) -> None:
    """Name `partial` after `path`, whatever is there."""
    try:
        fs.ftp.posix_rename(partial, path)
    except OSError as error:
        if "nsupported" not in str(error):
            raise
        _swap(fs, partial, path)


def _swap(fs: Any, partial: str, path: str) -> None:
    """Replace where the server can't in one step: for a moment there is no file."""
    aside = partial_beside(path)
    try:
        fs.ftp.rename(path, aside)
    except FileNotFoundError:
        fs.ftp.rename(partial, path)
        return
    try:
        fs.ftp.rename(partial, path)
    except BaseException:
        fs.ftp.rename(aside, path)
        raise
    fs.ftp.remove(aside)
