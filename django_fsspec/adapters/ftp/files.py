"""FTP's data connections and calls on names."""

from __future__ import annotations

import ftplib
from collections.abc import Callable
from typing import Any

from django_fsspec.adapters.errors import is_directory

from .facts import answered, at, code_of, exists, is_dir


class FTPStream:
    """The data connection of one RETR; its control connection is taken until `release`."""

    def __init__(
        self,
        fs: Any,
        data: Any,
        length: int | None,
        release: Callable[[BaseException | None], None],
    ) -> None:
        self._fs, self._data, self._left = fs, data, length
        self._release: Callable[[BaseException | None], None] | None = release

    def read(self, size: int) -> bytes:
        if self._data is None:
            return b""
        wanted = size if self._left is None else min(size, self._left)
        try:
            chunk: bytes = self._data.recv(wanted)
            self._account(chunk)
        except BaseException as error:
            self._give_back(error)
            raise
        return chunk

    def _account(self, chunk: bytes) -> None:
        if chunk and self._left is not None:
            self._left -= len(chunk)
        if chunk and self._left != 0:
            return
        data, self._data = self._data, None
        data.close()
        broken = None
        try:
            self._fs.ftp.voidresp()
        except (ftplib.Error, EOFError, OSError) as error:
            # when we closed before the end, a refusal is expected, and whatever else it is does
            # not change the bytes; otherwise it counts
            if not chunk:
                raise
            if code_of(error)[:1] not in ("4", "5") or code_of(error) == "421":
                broken = error
        self._give_back(broken)

    def _give_back(self, error: BaseException | None = None) -> None:
        release, self._release = self._release, None
        if release is not None:
            release(error)

    def close(self) -> None:
        data, self._data = self._data, None
        if data is not None:
            data.close()
            self._give_back(EOFError("closed in the middle"))


class FTPNames:
    """The calls on names: the lock is a directory, as MKD alone is exclusive on any server."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def refused(self, error: BaseException) -> bool:
        return isinstance(error, ftplib.error_perm)

    def usable(self, error: BaseException) -> bool:
        return answered(error)

    def exists(self, path: str) -> bool:
        return exists(self._fs, path)

    def lock(self, path: str) -> None:
        self._fs.ftp.voidcmd(f"MKD {at(path)}")

    def unlock(self, path: str) -> None:
        self._fs.ftp.rmd(at(path))

    def rename(self, source: str, target: str) -> None:
        self._fs.ftp.rename(at(source), at(target))

    def replace(self, source: str, target: str) -> bool:
        try:
            self.rename(source, target)
        except ftplib.error_perm:
            if is_dir(self._fs, target):
                raise is_directory(target) from None
            return False
        return True

    def remove(self, path: str) -> None:
        self._fs.ftp.delete(at(path))
