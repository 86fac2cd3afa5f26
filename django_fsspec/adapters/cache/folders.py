"""Folders that this user alone can change: opened, filled and emptied without following links.

Entries are addressed by the descriptor of their open folder (``dir_fd``). So nobody can put a link
or another folder in the way between the check of a folder and its use.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat as stat_module
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# without O_NONBLOCK, opening a FIFO waits for whoever writes to it
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: errors of opening a link, a socket, or a file in place of a directory
_OTHER_TYPE = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}
#: tries to remove a folder that another process may put something into meanwhile
_TRIES = 3
_OTHERS_WRITE = stat_module.S_IWGRP | stat_module.S_IWOTH


class NotOurs(OSError):
    """A file or folder of another user, or one that others can change; or a link, a FIFO."""


def check_ours(info: os.stat_result, mode: int) -> None:
    """Raise ``NotOurs`` for what another user owns or can change, unless `mode` lets others write.

    The superuser can change everything anyway, and may own a folder that is only read.
    """
    user = os.geteuid()
    if not mode & _OTHERS_WRITE and info.st_uid not in (0, user):
        raise NotOurs(
            errno.EPERM, f"it belongs to user {info.st_uid}, this process is user {user}"
        )
    if info.st_mode & _OTHERS_WRITE & ~mode:
        permissions = stat_module.S_IMODE(info.st_mode)
        raise NotOurs(errno.EPERM, f"other users can change it (mode {permissions:o})")


class Folder:
    """An open folder; a ``with`` block closes it. `mode` is that of new folders in it.

    Names are of entries directly in it. What is opened is checked by ``check_ours()``.
    """

    def __init__(self, descriptor: int, mode: int) -> None:
        self.descriptor, self._mode = descriptor, mode

    @classmethod
    def own(cls, path: str, mode: int, *, make: bool = False) -> Folder:
        """Open the folder of this user in the folder `path`; with `make`, make both.

        Users have a folder each, unless `mode` gives others access. Raises ``NotOurs``,
        ``FileNotFoundError``, and what the operating system raises.
        """
        name = "shared" if mode & 0o077 else f"user-{os.geteuid()}"
        if make:
            os.makedirs(path, mode, exist_ok=True)
        info = os.lstat(path)
        if stat_module.S_ISLNK(info.st_mode) and info.st_uid not in (0, os.geteuid()):
            raise NotOurs(errno.EPERM, f"it is a link of user {info.st_uid}")
        with cls(os.open(path, _DIRECTORY), mode) as outer:
            return outer.folder(name, make=make)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the folder; call it once."""
        os.close(self.descriptor)

    def folder(self, name: str, *, make: bool = False) -> Folder:
        """Open a folder; with `make`, make it where it is missing.

        Raises ``NotOurs``, ``FileNotFoundError``, and what the operating system raises.
        """
        try:
            return self._folder(name)
        except FileNotFoundError:
            if not make:
                raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, self._mode, dir_fd=self.descriptor)
        return self._folder(name)

    def replaced(self, name: str) -> Folder:
        """Open a folder in one that is ours, made where it is missing, or a link or a file.

        Raises what the operating system raises.
        """
        try:
            return self.folder(name, make=True)
        except NotOurs:
            self.remove(name)
            return self.folder(name, make=True)

    def _folder(self, name: str) -> Folder:
        folder = Folder(self._open(name, _DIRECTORY | os.O_NOFOLLOW), self._mode)
        try:
            check_ours(os.fstat(folder.descriptor), self._mode)
        except BaseException:
            folder.close()
            raise
        return folder

    def _open(self, name: str, flags: int, mode: int = 0) -> int:
        try:
            return os.open(name, flags, mode, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno in _OTHER_TYPE:
                raise NotOurs(errno.EPERM, "it is a link, or of another type") from error
            raise

    def open(self, name: str) -> IO[bytes]:
        """Open a regular file for reading.

        Raises ``NotOurs``, ``FileNotFoundError``, and what the operating system raises.
        """
        descriptor = self._open(name, _READ)
        try:
            check_ours(info := os.fstat(descriptor), self._mode)
        except BaseException:
            os.close(descriptor)
            raise
        if stat_module.S_ISREG(info.st_mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        raise NotOurs(errno.EPERM, "it is no regular file")

    def create(self, name: str) -> IO[bytes]:
        """Create a file; raises ``FileExistsError``, and what the operating system raises."""
        return os.fdopen(self._open(name, _CREATE, self._mode & 0o666), "w+b")

    def names(self) -> list[str]:
        """Return the names of all entries."""
        return os.listdir(self.descriptor)

    def move(self, name: str, target: Folder, new_name: str) -> None:
        """Rename an entry, a link itself, into another folder of the same disk."""
        os.rename(name, new_name, src_dir_fd=self.descriptor, dst_dir_fd=target.descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, a link itself, or a folder and all in it; a missing one is no error.

        Raises ``OSError`` when it is still there.
        """
        try:
            os.unlink(name, dir_fd=self.descriptor)
        except FileNotFoundError:
            return
        except OSError:
            for _ in range(_TRIES):
                # a folder; rmtree() follows no link either
                shutil.rmtree(name, ignore_errors=True, dir_fd=self.descriptor)
                try:
                    os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
                except FileNotFoundError:
                    return
            raise
