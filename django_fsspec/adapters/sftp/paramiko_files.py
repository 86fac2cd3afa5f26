"""Remote files through paramiko: how they are described, streamed and given their names."""

from __future__ import annotations

import socket
import stat as stat_module
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import paramiko

from django_fsspec.adapters.errors import not_found
from django_fsspec.core.stat import Stat, is_special, utc

#: bytes of one step of a transfer, and of each of the concurrent requests in it
STEP = 1 << 20
_REQUEST = 1 << 15


def is_link(attrs: paramiko.SFTPAttributes) -> bool:
    """Return whether attributes that were read without following links are those of one."""
    return stat_module.S_ISLNK(attrs.st_mode or 0)


def stat_of(path: str, attrs: paramiko.SFTPAttributes) -> Stat:
    """Return `attrs` as a Stat.

    Raises ``FileNotFoundError`` for a FIFO, socket or device.
    """
    if is_special(attrs.st_mode):
        raise not_found(path)
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


def listed(fs: Any, name: str, attrs: paramiko.SFTPAttributes) -> Stat | None:
    """Describe an entry of a directory, None for what is no file and no directory."""
    linked = is_link(attrs)
    try:
        stat = stat_of(name, fs.ftp.stat(name) if linked else attrs)
    except FileNotFoundError:
        return None
    except OSError as error:
        # a link that leads nowhere, or to where we may not look
        if lost(error):
            raise
        return None
    return replace(stat, is_link=linked)


def is_dir(fs: Any, path: str) -> bool:
    """Return whether `path` is a directory.

    Raises ``FileNotFoundError`` when there is nothing.
    """
    return stat_module.S_ISDIR(fs.ftp.stat(path).st_mode or 0)


def exists(fs: Any, path: str) -> bool:
    """Return whether there is anything at `path`; a dangling link counts."""
    try:
        fs.ftp.lstat(path)
    except FileNotFoundError:
        return False
    return True


def lost(error: BaseException) -> bool:
    """Return whether `error` means that the connection is gone, or never came about."""
    if isinstance(error, paramiko.AuthenticationException):
        return False
    gone = (
        EOFError,
        ConnectionError,
        TimeoutError,
        socket.gaierror,
        paramiko.SSHException,
        paramiko.ssh_exception.NoValidConnectionsError,
    )
    return isinstance(error, gone) or str(error) == "Socket is closed"


class ParamikoNames:
    """The calls on names, as part files need them."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def refused(self, error: BaseException) -> bool:
        return isinstance(error, OSError) and not lost(error)

    def usable(self, error: BaseException) -> bool:
        return self.refused(error)

    def exists(self, path: str) -> bool:
        return exists(self._fs, path)

    def lock(self, path: str) -> None:
        self._fs.ftp.open(path, "wxb").close()

    def unlock(self, path: str) -> None:
        self._fs.ftp.remove(path)

    def rename(self, source: str, target: str) -> None:
        self._fs.ftp.rename(source, target)

    def replace(self, source: str, target: str) -> bool:
        try:
            self._fs.ftp.posix_rename(source, target)
        except OSError as error:
            if "nsupported" not in str(error):
                raise
            return False
        return True

    def remove(self, path: str) -> None:
        self._fs.ftp.remove(path)
