"""Archives as read-only storages: ZIP, tar and what libarchive opens.

fsspec can write a ZIP, but writes its table of contents when the archive is closed: a process
that is killed before that leaves a broken archive, without files that were reported as saved.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from django.core.exceptions import SuspiciousFileOperation

from django_fsspec.core.names import MAX_DEPTH, check_name
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import StorageError

from .base import STREAM_CHUNK, Dialect, Page, Reader, ReadOnlyAdapter
from .blocking import BlockingAdapter, stat_from_info
from .errors import not_found


class ArchiveIndex:
    """The table of contents of an open archive: files and directories by name.

    Entries with unsafe names (``../evil``, absolute ones) are left out, and those in more than
    `MAX_DEPTH` folders. "./a" is "a".
    """

    def __init__(self, fs: Any) -> None:
        self.files: dict[str, tuple[Stat, str]] = {}
        self.directories: dict[str, dict[str, Stat]] = {"": {}}
        # fsspec's own calls itself once for each folder of the deepest name
        fs._all_dirnames = _directories_of
        fs._get_dirs()
        for original, info in fs.dir_cache.items():
            self._add(original, info)

    def _add(self, original: str, info: Mapping[str, Any]) -> None:
        if info["type"] == "directory" and len(info) == 3:
            # not in the archive: fsspec adds the directories of all names, unsafe ones, too
            return
        name = original.removeprefix("./").rstrip("/")
        try:
            check_name(name)
        except SuspiciousFileOperation:
            return
        if name.count("/") > MAX_DEPTH:
            return
        if info["type"] == "directory":
            self._directory(name)
            return
        # a ZIP names the time of change so
        stat = stat_from_info({"mtime": info.get("date_time"), **info}, name)
        self.files[name] = (stat, original)
        self._directory(name.rpartition("/")[0])[name] = stat

    def _directory(self, name: str) -> dict[str, Stat]:
        missing, above = [], name
        while above not in self.directories:
            missing.append(above)
            above = above.rpartition("/")[0]
        for directory in reversed(missing):
            self.directories[directory] = {}
            parent = self.directories[directory.rpartition("/")[0]]
            parent[directory] = Stat(name=directory, is_dir=True)
        return self.directories[name]


def _directories_of(paths: Collection[str]) -> set[str]:
    """Return the directories that `paths` lie in, but for paths that are too deep."""
    directories: set[str] = set()
    for path in paths:
        above = path.rstrip("/")
        while above.count("/") <= MAX_DEPTH and (above := above.rpartition("/")[0]):
            if above in directories:
                break
            directories.add(above)
    return directories


class MemberReader(Reader):
    """A stream of one file in an archive; no other reader gets the open archive until close()."""

    sequential = True

    def __init__(
        self,
        chunks: Iterator[bytes],
        stat: Stat,
        length: int | None,
        release: Callable[[BaseException | None], None],
    ) -> None:
        self.stat = stat
        self._chunks, self._left, self._release = chunks, length, release
        self._rest = b""
        self._error: BaseException | None = None
        self._open = True

    def read(self, size: int) -> bytes:
        if self._left is not None:
            size = min(size, self._left)
        if size <= 0:
            return b""
        try:
            if not self._rest:
                self._rest = next(self._chunks, b"")
        except BaseException as error:
            self._error = error
            raise
        chunk, self._rest = self._rest[:size], self._rest[size:]
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        if self._open:
            self._open = False
            try:
                self._chunks.close()  # type: ignore[attr-defined]
            except ValueError as error:
                # another thread is reading: this open archive can not be used again
                self._error = error
            self._release(self._error)


class ArchiveAdapter(ReadOnlyAdapter, BlockingAdapter):
    """Verbs over open archives, each of which serves one thread at a time.

    The table of contents is read when an archive is opened. An archive that was replaced is
    opened again: on the local disk at the next use, elsewhere when reading it fails.
    """

    label = "archive"
    dialect: ClassVar[Dialect] = Dialect(writable=False, max_segment_bytes=None)

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        fs.opened_version = _version(fs)
        fs.archive_index = ArchiveIndex(fs)

    def _take(self) -> Any:
        try:
            while True:
                fs = self.pool.take()
                if fs.opened_version == _version(fs):
                    return fs
        except FileNotFoundError as error:
            # not FileNotFoundError, not even as a cause: that means a file inside the archive
            raise StorageError(f"The archive itself is missing: {error}") from None

    def stat(self, path: str) -> Stat:
        fs = self._take()
        try:
            return replace(self._member(fs, path)[0], name=path)
        finally:
            self.pool.give_back(fs)

    def _member(self, fs: Any, path: str) -> tuple[Stat, str]:
        try:
            member: tuple[Stat, str] = fs.archive_index.files[path.strip("/")]
        except KeyError:
            raise not_found(path) from None
        return member

    def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        fs = self._take()
        try:
            stat, original = self._member(fs, path)
            if hasattr(fs, "_open_archive"):
                chunks = _unpacked(fs, original, start)
            else:
                chunks = _read(self._opened(fs, path, original), start, stat.size)
        except BaseException as error:
            self.pool.give_back(fs, error)
            raise
        length = None if end is None else max(0, end - start)
        return MemberReader(
            chunks, replace(stat, name=path), length, lambda error: self.pool.give_back(fs, error)
        )

    def _opened(self, fs: Any, path: str, original: str) -> Any:
        try:
            return fs._open(original, "rb")
        except (KeyError, AttributeError) as error:
            # a link that leads nowhere, a device
            raise not_found(path) from error

    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        fs = self._take()
        try:
            return Page(entries=[*fs.archive_index.directories[path.strip("/")].values()])
        except KeyError:
            raise not_found(path) from None
        finally:
            self.pool.give_back(fs)


def _version(fs: Any) -> tuple[int, ...] | None:
    """Return what differs when the archive was replaced on a local disk; None elsewhere."""
    file = fs.fo
    try:
        result = os.fstat(getattr(file, "f", file).fileno())
    except (AttributeError, OSError):
        return None
    return (result.st_nlink, result.st_size, result.st_mtime_ns)


def _read(file: Any, start: int, size: int | None) -> Iterator[bytes]:
    """Yield what an open member of `size` bytes holds from `start` on."""
    with file:
        if start:
            file.seek(start if size is None else min(start, size))
        while chunk := file.read(STREAM_CHUNK):
            yield chunk


def _unpacked(fs: Any, original: str, start: int) -> Iterator[bytes]:
    """Yield the content of a file that libarchive unpacks, from byte `start` on.

    fsspec's own way keeps the whole file in memory.
    """
    with fs._open_archive() as archive:
        for entry in archive:
            if entry.pathname == original:
                for block in entry.get_blocks(STREAM_CHUNK):
                    if start < len(block):
                        yield bytes(block[start:])
                    start = max(0, start - len(block))
                return
