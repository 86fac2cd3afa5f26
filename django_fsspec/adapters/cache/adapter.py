"""fsspec's caching filesystems: reads come from this machine's disk, all else goes below.

The cache is kept by us under the filesystem's ``cache_storage``, with its ``check_files``,
``expiry_time`` and ``cache_storage_mode``; ``same_names`` and ``cache_mapper`` have no meaning.
fsspec's own files can be seen while they are being downloaded: of eight threads that read a file
for the first time, half got it truncated. Its blockcache can mix two versions of a file.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, ClassVar

from django_fsspec.adapters.base import Adapter, Limits, Reader
from django_fsspec.adapters.blocking import FileReader
from django_fsspec.core.flows import Call, perform
from django_fsspec.core.stat import Stat

from .files import Filling, Kept, KeptFiles, version_of

if TYPE_CHECKING:
    from django_fsspec.adapters.pool import Pool

#: bytes taken from the filesystem below at a time
_PIECE = 1 << 20
#: how often a file may change under our hands before we give up
_ATTEMPTS = 4


class ChangedMeanwhile(OSError):
    """The file changed again and again while it was being read."""


def _below(name: str) -> Any:
    """Return an attribute that is the adapter's below, coroutine function or not."""
    return property(lambda self: getattr(self.below, name))


def _forgetting(name: str) -> Any:
    """Return a verb of the adapter below that drops what was kept of the paths it changes."""

    def verb(self: CacheAdapter) -> Callable[..., Any]:
        below = getattr(self.below, name)

        def forget(args: Sequence[Any]) -> None:
            for path in args[0] if name == "delete_many" else args[:2]:
                if isinstance(path, str):
                    self.files.forget(path)

        def plain(*args: Any, **kwargs: Any) -> Any:
            try:
                return below(*args, **kwargs)
            finally:
                forget(args)

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            try:
                return await below(*args, **kwargs)
            finally:
                await asyncio.to_thread(forget, args)

        return coroutine if inspect.iscoroutinefunction(below) else plain

    return property(verb)


class CacheAdapter(Adapter):
    """filecache, simplecache (whole files), blockcache and cached (blocks of ``chunk_size``).

    Whether a kept file is still the stored one is asked of the filesystem below at every read
    (one request, no bytes), except with ``check_files=False`` and with simplecache, which never
    asks, by fsspec's definition: it serves a file as first read until this process changes it.
    Nothing is ever evicted but replaced versions and what ``expiry_time`` says.
    """

    thread_safe: ClassVar[bool] = True
    chains_over: ClassVar[str] = "fs"

    def __init__(self, pool: Pool, limits: Limits, inner: Adapter | None = None) -> None:
        super().__init__(pool, limits, inner)
        if inner is None:
            raise TypeError("A cache stands on another filesystem.")
        self.below = inner
        self.dialect = inner.dialect  # type: ignore[misc]

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        if options.get("compression"):
            raise ValueError("'compression' would make sizes and ranges lie: leave it out")
        return {"check_files": True, **options}

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        # an option of fsspec 2026.7 and later
        mode = getattr(fs, "cache_storage_mode", None)
        fs.kept_files = KeptFiles(fs.storage, mode=mode, expiry=fs.expiry or None)

    stat = _below("stat")
    exists = _below("exists")
    size = _below("size")
    list = _below("list")
    create = _below("create")
    sign = _below("sign")
    loop = _below("loop")
    classify = _below("classify")
    local_path = _below("local_path")
    write = _forgetting("write")
    delete = _forgetting("delete")
    delete_many = _forgetting("delete_many")
    copy = _forgetting("copy")

    @property
    def files(self) -> KeptFiles:
        found: KeptFiles = self.pool.instance.kept_files
        return found

    def _ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a verb below from this thread."""
        return perform(Call(function, args, {}), self.below.loop)

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        reader = self.reader(path, start, end)
        try:
            pieces = []
            while piece := self._ask(reader.read, _PIECE):
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            reader.close()

    def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        fs = self.pool.instance
        whole = getattr(type(fs), "local_file", False)
        for _ in range(_ATTEMPTS):
            stat = self._current(path) if fs.check_files else None
            if stat is not None and version_of(stat) is None:
                # nothing tells versions apart: nothing can be kept
                passing: Reader = self._ask(self.below.reader, path, start, end)
                return passing
            reader = (self._whole if whole else self._blocks)(path, stat, start, end)
            if reader is not None:
                return reader
            self.files.forget(path)
        raise ChangedMeanwhile(f"{path!r} changes faster than it can be read.")

    def _current(self, path: str) -> Stat:
        """Ask below what the file is now."""
        try:
            stat: Stat = self._ask(self.below.stat, path)
        except FileNotFoundError:
            self.files.forget(path)
            raise
        return stat

    def _whole(self, path: str, stat: Stat | None, start: int, end: int | None) -> Reader | None:
        """Read from the kept file, fetched first where it is missing; None when it changed."""
        found = self._find(path, stat)
        if found is None:
            with self.files.filling(path) as filling:
                # another thread may have fetched it while we waited
                found = self._find(path, stat) or self._fetch(path, stat, filling)
        if found is None:
            return None
        file, told = found
        file.seek(start)
        return FileReader(file, replace(told, name=path), end=end)

    def _find(self, path: str, stat: Stat | None) -> tuple[IO[bytes], Stat] | None:
        kept = self.files.find(path, version_of(stat) if stat else None)
        file = kept.open() if kept else None
        return (file, kept.stat) if kept and file else None

    def _fetch(
        self, path: str, stat: Stat | None, filling: Filling
    ) -> tuple[IO[bytes], Stat] | None:
        with self.files.part(filling) as part:
            reader: Reader = self._ask(self.below.reader, path)
            try:
                told = stat or reader.stat
                if not _same(told, reader.stat):
                    part.discard()
                    return None
                while chunk := self._ask(reader.read, _PIECE):
                    part.write(chunk)
            finally:
                reader.close()
            if told.size is not None and part.size != told.size:
                part.discard()
                return None
            file = part.finish()
            if not part.stale:
                self.files.keep(path, told, part)
            return file, told

    def _blocks(self, path: str, stat: Stat | None, start: int, end: int | None) -> Reader | None:
        """Read block by block; None when the file is no longer what was kept."""
        kept = self.files.find(path, version_of(stat) if stat else None)
        if kept is None:
            stat = stat or self._current(path)
            if stat.size is None:
                passing: Reader = self._ask(self.below.reader, path, start, end)
                return passing
            kept = self.files.keep(path, stat)
        reader = CachedBlockReader(self, path, kept, start, end)
        try:
            # with the first block at hand it is known that the file is still the same
            reader.advance()
        except ChangedMeanwhile:
            return None
        return reader

    def fetch_block(self, path: str, kept: Kept, name: str, start: int, end: int) -> IO[bytes]:
        """Return bytes `start` to `end` as an open file, kept as the block `name`."""
        with self.files.filling(path, name) as filling:
            file = kept.open(name)
            if file is not None:
                return file
            with self.files.part(filling) as part:
                reader: Reader = self._ask(self.below.reader, path, start, end)
                try:
                    same = _same(kept.stat, reader.stat)
                    while same and (chunk := self._ask(reader.read, _PIECE)):
                        part.write(chunk)
                finally:
                    reader.close()
                if part.size != end - start:
                    raise ChangedMeanwhile(f"{path!r} changed while it was being read.")
                file = part.finish()
                if not part.stale:
                    self.files.keep_block(kept, name, part)
                return file


class CachedBlockReader(Reader):
    """Reads a file block by block, each fetched when it is not kept yet."""

    def __init__(
        self, adapter: CacheAdapter, path: str, kept: Kept, start: int, end: int | None
    ) -> None:
        self.stat = replace(kept.stat, name=path)
        size = kept.stat.size or 0
        self._adapter, self._path, self._kept = adapter, path, kept
        self._position, self._end = start, size if end is None else min(end, size)
        self._file: IO[bytes] | None = None

    def advance(self) -> None:
        """Open the block that holds the position."""
        self.close()
        if self._position >= self._end:
            return
        size = self._adapter.limits.chunk_size
        number = self._position // size
        name = f"{size}-{number}"
        self._file = self._kept.open(name) or self._adapter.fetch_block(
            self._path,
            self._kept,
            name,
            number * size,
            min((number + 1) * size, self._kept.stat.size or 0),
        )
        self._file.seek(self._position - number * size)

    def read(self, size: int) -> bytes:
        if self._file is None:
            self.advance()
        size = min(size, self._end - self._position)
        if self._file is None or size <= 0:
            return b""
        chunk = self._file.read(size)
        self._position += len(chunk)
        if self._position % self._adapter.limits.chunk_size == 0:
            self.close()
        return chunk

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _same(one: Stat, other: Stat) -> bool:
    """Return whether nothing speaks against both being of one version of a file."""
    return not (one.etag and other.etag and one.etag != other.etag)
