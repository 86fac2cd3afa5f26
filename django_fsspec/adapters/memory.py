"""fsspec's memory filesystem, one for the whole process: for tests."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from django_fsspec.core.stat import Stat

from .base import Dialect, Reader
from .blocking import BlockingAdapter, FileReader, file_only
from .errors import exists_already

if TYPE_CHECKING:
    from django_fsspec.core.source import Source

_creating = threading.Lock()


class MemoryReader(FileReader):
    """A stream of bytes in memory, which gives all of them without a copy."""

    def rest(self) -> bytes:
        return self.read(sys.maxsize)


class MemoryAdapter(BlockingAdapter):
    """Verbs on the memory filesystem.

    A lock of ours makes create() atomic: with fsspec's own mode several writers can succeed.
    """

    dialect: ClassVar[Dialect] = Dialect(atomic_create=True, rooted=True, max_segment_bytes=None)
    thread_safe: ClassVar[bool] = True

    def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._store(path, source, exclusive=True)

    def write(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return self._store(path, source, exclusive=False)

    def _store(self, path: str, source: Source, *, exclusive: bool) -> Stat:
        data = b"".join(source.chunks(self.limits.chunk_size))
        fs = self.pool.instance
        path = fs._strip_protocol(path)
        with _creating:
            if exclusive and (path in fs.store or path in fs.pseudo_dirs):
                raise exists_already(path)
            self._make_parent(fs, path)
            fs.pipe_file(path, data)
        return replace(self._info(fs, path), checksum=source.checksum)

    def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        fs = self.pool.instance
        stat = file_only(self._info(fs, path))
        file = self._open(fs, path)
        file.seek(start)
        return MemoryReader(file, stat, end=end)

    def _open(self, fs: Any, path: str) -> Any:
        # fs.open() gives all readers the same file object, with one position; these share bytes
        return io.BytesIO(fs.store[fs._strip_protocol(path)].getvalue())

    def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        fs = self.pool.instance
        with _creating:
            if exclusive and fs._strip_protocol(target) in fs.store:
                raise exists_already(target)
            self._make_parent(fs, target)
            fs.cp_file(source, target)
