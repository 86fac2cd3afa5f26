"""The local disk: a new file appears whole or not at all, and replaces no other."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat as stat_module
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, Any, ClassVar, TypeVar

from django_fsspec.core.flows import direct, run
from django_fsspec.core.names import PARTIAL_SUFFIX
from django_fsspec.core.source import Source
from django_fsspec.core.stat import Stat, is_special
from django_fsspec.exceptions import StorageError

from .base import Adapter, Dialect, Page, Reader
from .blocking import DiskReader
from .errors import AccessRefused, not_found
from .part_files import partial_beside, save

T = TypeVar("T")

#: bytes written at a time
_CHUNK = 1 << 20
_WRITE = os.O_WRONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
#: errors of a path that leads nowhere: through a file, or along links in a circle
_NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
#: errors of a disk that has no unnamed files or no hard links
_UNSUPPORTED = {
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.EISDIR,
    errno.EPERM,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EXDEV,
    errno.EMLINK,
}


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _link(partial: str, path: str) -> None:
    """Rename a file unless the name is taken, which os.rename() would replace."""
    os.link(partial, path)
    with contextlib.suppress(FileNotFoundError):  # NFS may repeat a call that succeeded
        os.unlink(partial)


def _regular(path: str) -> os.stat_result:
    """Return what ``os.stat()`` tells of a regular file.

    Raises ``FileNotFoundError`` when there is none, or a directory, FIFO, socket or device.
    """
    try:
        result = os.stat(path)
    except OSError as error:
        if error.errno not in _NOWHERE:
            raise
        raise not_found(path) from error
    if not stat_module.S_ISREG(result.st_mode):
        raise not_found(path)
    return result


def _opened(path: str) -> io.FileIO:
    """Open a regular file for reading, unbuffered. Raises as ``_regular()``.

    One that becomes a FIFO after the first look is found out by the second: opening a FIFO waits
    for a writer, but not with these flags.
    """
    _regular(path)
    file = io.FileIO(path, opener=lambda path, flags: os.open(path, flags | _NO_WAIT))
    if not stat_module.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise not_found(path)
    return file


class LocalAdapter(Adapter):
    """Verbs on ``os`` itself: fsspec's local filesystem overwrites files in place."""

    dialect: ClassVar[Dialect] = Dialect(atomic_create=True, rooted=True, max_key_bytes=4095)
    opens_files: ClassVar[bool] = True
    thread_safe: ClassVar[bool] = True
    loop = None
    #: whether the disk has files without a name (Linux, most filesystems)
    _unnamed = hasattr(os, "O_TMPFILE")

    def explained(self, error: Exception) -> OSError | None:
        if not isinstance(error, PermissionError):
            return None
        fault = f"{error.strerror} for {error.filename!r}"
        return AccessRefused(errno.EACCES, f"{fault}: give it to the user of this process")

    def stat(self, path: str) -> Stat:
        return self._stat(path, _regular(path))

    def exists(self, path: str) -> bool:
        try:
            _regular(path)
        except FileNotFoundError:
            return False
        return True

    def size(self, path: str) -> int:
        return _regular(path).st_size

    def is_link(self, path: str) -> bool:
        return os.path.islink(path)

    def _stat(self, path: str, result: os.stat_result, checksum: str | None = None) -> Stat:
        return Stat(
            name=path,
            size=result.st_size,
            checksum=checksum,
            last_modified=_time(result.st_mtime),
            created=_time(result.st_ctime),
            accessed=_time(result.st_atime),
        )

    def open_file(self, path: str) -> IO[bytes]:
        return io.BufferedReader(_opened(path))

    def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        file = _opened(path)
        if start:
            file.seek(start)
        stat = self._stat(path, os.fstat(file.fileno()))
        return DiskReader(file, stat, end=end)

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        with _opened(path) as file:
            if start:
                file.seek(start)
            if end is None:
                return file.readall()
            return b"".join(iter(lambda: file.read(max(0, end - file.tell())), b""))

    def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        linked = self._linked(path, source, _link)
        if linked is not None:
            return linked
        descriptor = self._open(path, self._open_unnamed)
        if descriptor is not None:
            try:
                result = self._fill(descriptor, source)
                # naming an open file fails when the name is taken, whoever took it
                # (the directory makes Python use linkat(), which alone follows the link)
                os.link(
                    f"/proc/self/fd/{descriptor}",
                    path,
                    src_dir_fd=descriptor,
                    follow_symlinks=True,
                )
                return self._written(path, source, result)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                self._unnamed = False
                source.rewind()
            finally:
                os.close(descriptor)
        return self._save(path, source, _link)

    def write(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._linked(path, source, os.replace) or self._save(path, source, os.replace)

    def _linked(
        self, path: str, source: Source, give_name: Callable[[str, str], None]
    ) -> Stat | None:
        """Make the temporary file of an upload the file at `path`, in place of a copy of it.

        The upload keeps its own name for it, which it deletes when it is closed. Returns None
        where that can't be: on another disk, or where the file has a second name already.
        """
        mode, temporary = self.limits.file_mode, source.temporary_path
        # temporary files are for their owner alone: without a mode, a copy gets that of new files
        if mode is None or temporary is None or os.stat(temporary).st_nlink != 1:
            return None
        partial = partial_beside(path)
        try:
            result = self._partial_linked(path, partial, temporary, mode)
            if result is None:
                return None
            if source.checksum is not None:
                for _ in source.chunks(_CHUNK):
                    pass
            give_name(partial, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)
            raise
        return self._written(path, source, result)

    def _partial_linked(
        self, path: str, partial: str, temporary: str, mode: int
    ) -> os.stat_result | None:
        """Make `partial` a name of a temporary file; None where that is refused."""
        try:
            # os.link() would link to a link itself
            self._open(path, lambda directory: os.link(os.path.realpath(temporary), partial))
            # refused for a file of another user
            os.chmod(partial, mode)
            # how old a stored file is counts from when it was stored
            os.utime(partial)
            return os.stat(partial)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            return None

    def _written(self, path: str, source: Source, result: os.stat_result) -> Stat:
        return self._stat(path, result, source.checksum)

    def _open(self, path: str, opener: Callable[[str], T]) -> T:
        """Open a file in the directory of `path`, which is made when it is missing."""
        directory = os.path.dirname(path)
        for _ in range(3):
            try:
                return opener(directory)
            except FileNotFoundError:
                self._make_directory(directory)
            except NotADirectoryError:
                raise StorageError("A folder in the name is a file.") from None
        return opener(directory)

    def _open_unnamed(self, directory: str) -> int | None:
        """Open a file without a name: nothing is left of it when the process is killed."""
        if not self._unnamed:
            return None
        try:
            return os.open(directory, _WRITE | os.O_TMPFILE, self._mode)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            self._unnamed = False
            return None

    def _save(self, path: str, source: Source, give_name: Callable[[str, str], None]) -> Stat:
        """Write a part file beside `path`, which `give_name` then renames."""

        def fill(partial: str) -> os.stat_result:
            flags = _WRITE | os.O_CREAT | os.O_EXCL
            descriptor = self._open(path, lambda directory: os.open(partial, flags, self._mode))
            try:
                return self._fill(descriptor, source)
            finally:
                os.close(descriptor)

        def discard(partial: str, error: BaseException) -> None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)

        result = run(save(path, fill, give_name, discard), direct)
        return self._written(path, source, result)

    @property
    def _mode(self) -> int:
        """The mode to create files with: nobody may read one who may not read it in the end."""
        return 0o666 if self.limits.file_mode is None else self.limits.file_mode & 0o777

    def _fill(self, descriptor: int, source: Source) -> os.stat_result:
        for chunk in source.chunks(_CHUNK):
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view) :]
        if self.limits.file_mode is not None:
            os.fchmod(descriptor, self.limits.file_mode)
        return os.fstat(descriptor)

    def _make_directory(self, directory: str) -> None:
        missing, mode = [], self.limits.directory_mode
        while directory and not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        for path in reversed(missing):
            try:
                os.mkdir(path, 0o777 if mode is None else mode)
            except FileNotFoundError:
                raise StorageError(f"The folder {path!r} can't be made.") from None
            except FileExistsError:
                if not os.path.isdir(path):
                    raise StorageError("A folder in the name is a file.") from None
                continue
            if mode is not None:
                os.chmod(path, mode)

    def delete(self, path: str) -> None:
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except (IsADirectoryError, PermissionError):
            if not os.path.isdir(path):
                raise
            # as Django's FileSystemStorage: an empty directory may go, a full one may not
            os.rmdir(path)

    def delete_many(self, paths: Sequence[str]) -> dict[str, Exception]:
        failed: dict[str, Exception] = {}
        for path in paths:
            try:
                self.delete(path)
            except OSError as error:
                failed[path] = error
        return failed

    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        entries = []
        try:
            scan = os.scandir(path)
        except NotADirectoryError as error:
            raise not_found(path) from error
        with scan:
            for entry in scan:
                if not entry.name.endswith(PARTIAL_SUFFIX):
                    stat = self._listed(entry)
                    if stat is not None:
                        entries.append(stat)
        return Page(entries=entries)

    def _listed(self, entry: os.DirEntry[str]) -> Stat | None:
        """Describe an entry of a directory, None for what is no file and no directory."""
        is_link = entry.is_symlink()
        if not is_link and entry.is_dir():
            return Stat(name=entry.path, is_dir=True)
        try:
            result = entry.stat()
        except FileNotFoundError:
            # deleted meanwhile, or a link to nothing
            return None
        except OSError:
            # a link in a circle, or to where we may not look, must not spoil the listing
            if is_link:
                return None
            raise
        if is_special(result.st_mode):
            return None
        if stat_module.S_ISDIR(result.st_mode):
            return Stat(name=entry.path, is_dir=True, is_link=True)
        return replace(self._stat(entry.path, result), is_link=is_link)

    def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        _regular(source)
        with open(source, "rb") as file:
            content = Source(file, limit=_CHUNK)
            (self.create if exclusive else self.write)(target, content, {})

    def local_path(self, path: str) -> str:
        return path
