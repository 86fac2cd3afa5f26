"""The base adapter for blocking fsspec filesystems, and the adapter of those without their own."""

from __future__ import annotations

import builtins
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from django_fsspec.core.stat import Stat, unquoted, utc
from django_fsspec.exceptions import NotSupported

from .base import Adapter, BlockingReader, Dialect, Page, Reader
from .errors import exists_already, not_found, short_write

if TYPE_CHECKING:
    from django_fsspec.core.source import Source

#: Keys under which filesystems give the time of the last change, best first.
_MODIFIED = ("LastModified", "last_modified", "updated", "modified", "mtime", "modify", "created")
_CREATED = ("creation_time", "timeCreated", "created")
_TYPES = ("ContentType", "contentType", "content_type", "mimetype")


def first(info: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Return the first value that is not None under any of `keys`."""
    return next((info[key] for key in keys if info.get(key) is not None), None)


def stat_from_info(info: Mapping[str, Any], path: str | None = None) -> Stat:
    """Return a ``Stat`` for what an fsspec filesystem's ``info()`` or ``ls()`` gives."""
    etag = first(info, ("ETag", "etag"))
    size = info.get("size")
    return Stat(
        name=path if path is not None else str(info["name"]),
        size=int(size) if size is not None else None,
        is_dir=info.get("type") == "directory",
        last_modified=utc(first(info, _MODIFIED)),
        created=utc(first(info, _CREATED)),
        content_type=first(info, _TYPES),
        etag=unquoted(str(etag)) if etag else None,
        is_link=bool(info.get("islink")),
    )


def is_listed(info: Mapping[str, Any]) -> bool:
    """Return whether what fsspec's ``info()`` or ``ls()`` gives is a file or a directory."""
    # "other": a FIFO, socket or device
    return info.get("type") != "other"


def file_only(stat: Stat) -> Stat:
    """Return `stat`.

    Raises ``FileNotFoundError`` when it describes a directory: names are names of files.
    """
    if stat.is_dir:
        raise not_found(stat.name)
    return stat


class FileReader(BlockingReader):
    """A stream of an open file; close() calls `release` with the error that a read raised."""

    def __init__(
        self,
        file: Any,
        stat: Stat,
        *,
        end: int | None = None,
        release: Callable[[BaseException | None], None] = lambda error: None,
    ) -> None:
        self.stat = stat
        self._file = file
        self._left = None if end is None else max(0, end - file.tell())
        self._release = release
        self._closed = self._released = False
        self._error: BaseException | None = None
        self._reading = threading.Lock()

    def read(self, size: int) -> bytes:
        if self._left is not None:
            size = min(size, self._left)
        if size <= 0:
            return b""
        with self._reading:
            chunk = b"" if self._closed else self._read(size)
        if self._closed:
            self.close()
        return chunk

    def _read(self, size: int) -> bytes:
        try:
            chunk: bytes = self._file.read(size)
        except BaseException as error:
            self._error = error
            raise
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        # A cancelled caller does not stop the thread that reads for it. While that thread reads,
        # the file must not be released: the thread does so itself when it is done.
        self._closed = True
        if not self._reading.acquire(blocking=False):
            return
        try:
            if not self._released:
                self._released = True
                try:
                    self._file.close()
                finally:
                    self._release(self._error)
        finally:
            self._reading.release()


class DiskReader(FileReader):
    """A stream of an open, unbuffered file of this machine."""

    def __init__(self, file: Any, stat: Stat, *, end: int | None = None) -> None:
        super().__init__(file, stat, end=end)
        self.file = file


class BlockingAdapter(Adapter):
    """Verbs as plain functions over a filesystem instance that one thread uses at a time.

    Works with any filesystem that follows fsspec's interface. Whether such a filesystem creates
    files atomically is unknown, so ``atomic_create`` is off, and the storage adds a random part
    to every new name.
    """

    dialect: ClassVar[Dialect] = Dialect()

    def stat(self, path: str) -> Stat:
        with self.pool.lease() as fs:
            return file_only(self._info(fs, path))

    def exists(self, path: str) -> bool:
        try:
            self.stat(path)
        except Exception as error:
            if self.classify(error) is FileNotFoundError:
                return False
            raise
        return True

    def size(self, path: str) -> int | None:
        return self.stat(path).size

    def _info(self, fs: Any, path: str) -> Stat:
        # not exists(): that turns every exception into False
        info = fs.info(path)
        if not is_listed(info):
            raise not_found(path)
        return stat_from_info(info, path)

    def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        fs = self.pool.take()
        try:
            stat = file_only(self._info(fs, path))
            file = self._open(fs, path)
            if start:
                file.seek(min(start, stat.size) if stat.size is not None else start)
        except BaseException as error:
            self.pool.give_back(fs, error)
            raise
        return FileReader(
            file, stat, end=end, release=lambda error: self.pool.give_back(fs, error)
        )

    def _open(self, fs: Any, path: str) -> Any:
        return fs.open(path, "rb")

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        reader = self.reader(path, start, end)
        try:
            pieces = []
            while piece := reader.read(self.limits.chunk_size):
                pieces.append(piece)
            return b"".join(pieces)  # type: ignore[arg-type]
        finally:
            reader.close()

    def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        if self.exists(path):
            raise exists_already(path)
        return self._put(path, source, options)

    def write(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._put(path, source, options)

    def _put(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        with self.pool.lease() as fs:
            self._make_parent(fs, path)
            self._send(fs, path, source, self.native(options))
            return replace(self._written(fs, path, source), checksum=source.checksum)

    def _make_parent(self, fs: Any, path: str) -> None:
        parent = fs._parent(path)
        if parent and parent != fs.root_marker:
            fs.makedirs(parent, exist_ok=True)

    def _send(self, fs: Any, path: str, source: Source, native: Mapping[str, Any]) -> None:
        """Write the whole of `source` to `path`, or nothing."""
        file = fs.open(path, "wb", **native)
        try:
            for chunk in source.chunks(self.limits.chunk_size):
                file.write(chunk)
            file.close()
        except BaseException:
            discard(file)
            raise

    def _written(self, fs: Any, path: str, source: Source) -> Stat:
        """Check the stored size and return what is stored: a filesystem may swallow errors."""
        fs.invalidate_cache(fs._parent(path))
        stat = self._info(fs, path)
        if stat.size is not None and stat.size != source.size:
            raise short_write(path, source.size, stat.size)
        return stat

    def delete(self, path: str) -> None:
        with self.pool.lease() as fs:
            try:
                file_only(self._info(fs, path))
                self._delete(fs, path)
            except FileNotFoundError:
                return

    def _delete(self, fs: Any, path: str) -> None:
        # never rm(): it expands wildcards
        fs.rm_file(path)

    def delete_many(self, paths: Sequence[str]) -> dict[str, Exception]:
        failed: dict[str, Exception] = {}
        for path in paths:
            try:
                self.delete(path)
            except Exception as error:
                failed[path] = error
        return failed

    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        with self.pool.lease() as fs:
            fs.invalidate_cache()
            infos: builtins.list[Mapping[str, Any]] = fs.ls(path or fs.root_marker, detail=True)
        entries = map(self._entry, filter(is_listed, infos))
        return Page(entries=[entry for entry in entries if entry.name != path])

    def _entry(self, info: Mapping[str, Any]) -> Stat:
        stat = stat_from_info(info)
        return replace(stat, name=stat.name.rstrip("/"))

    def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        raise NotSupported("This filesystem has no copy that leaves an existing file alone.")


def discard(file: Any) -> None:
    """Drop an unfinished write: ``close()`` would store the truncated file."""
    with contextlib.suppress(Exception):
        file.discard()
    file.closed = True
