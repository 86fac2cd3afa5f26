"""fsspec's caching filesystems: reads come from a cache on the local disk.

The cache is our own, in the filesystem's ``cache_storage`` and with its ``check_files``,
``expiry_time`` and ``cache_storage_mode``; ``same_names`` and ``cache_mapper`` have no effect.
With fsspec's own cache, readers see files that are still being downloaded (of eight threads that
read a file for the first time, four got it truncated), and blockcache can mix two versions.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, ClassVar

from fsspec.implementations.cached import SimpleCacheFileSystem

from django_fsspec.adapters.base import Adapter, Limits, Reader
from django_fsspec.adapters.blocking import DiskReader
from django_fsspec.core.flows import Call, perform
from django_fsspec.core.stat import Stat

from .files import CachedFile, FileCache, version_of
from .parts import Fetch, Unwritable
from .servers import server_of

if TYPE_CHECKING:
    from django_fsspec.adapters.pool import Pool

#: seconds, fsspec's default
_WEEK = 7 * 24 * 3600
#: bytes taken from the filesystem below at a time
_PIECE = 1 << 20
#: tries to read a file that changes meanwhile
_ATTEMPTS = 4


class ChangedMeanwhile(OSError):
    """A file changed while it was being read."""

    def __init__(self, path: str, how: str = "changed while it was being read") -> None:
        super().__init__(f"{path!r} {how}.")


class _ArchiveFile(io.FileIO):
    """A file that is closed when it is freed: fsspec's archives don't close theirs."""

    def __del__(self) -> None:
        self.close()


class CacheFileSystem:
    """The options of a cache: it stands where fsspec's own caching filesystem would.

    That one reads and writes files of its own in ``cache_storage``, whoever owns it.
    """

    protocol: ClassVar[str | tuple[str, ...]]
    #: whether whole files are cached
    local_file: ClassVar[bool]
    #: whether ``check_files`` and ``expiry_time`` have an effect
    checks: ClassVar[bool]
    storage_args = ()

    def __init__(
        self,
        fs: Any,
        cache_storage: str | Sequence[str] = "TMP",
        check_files: bool = True,
        expiry_time: float | None = _WEEK,
        cache_storage_mode: int | None = None,
        **others: Any,
    ) -> None:
        self.fs = fs
        self.storage_options = {"cache_storage": cache_storage, "fs": fs}
        single = isinstance(cache_storage, str | os.PathLike)
        self.storage = [cache_storage] if single else cache_storage
        self.check_files = self.checks and check_files
        self.expiry = expiry_time if self.checks else None
        self.cache_storage_mode = cache_storage_mode


def _below(name: str) -> Any:
    """Return a property that is an attribute of the adapter below."""
    return property(lambda self: getattr(self.below, name))


def _forgetting(name: str) -> Any:
    """Return a verb of the adapter below that also drops the changed paths from the cache."""

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

    At every read one request asks the filesystem below whether the cached version is current.
    With ``check_files=False``, and with simplecache, nothing is asked: a file is served as it was
    first read until this process changes it, as fsspec defines it. Only replaced versions and
    those older than ``expiry_time`` leave the cache. Where the disk takes nothing more, files are
    read without the cache.
    """

    thread_safe: ClassVar[bool] = True
    chains_over: ClassVar[str] = "fs"

    def __init__(self, pool: Pool, limits: Limits, inner: Adapter | None = None) -> None:
        super().__init__(pool, limits, inner)
        if inner is None:
            raise TypeError("A cache needs a filesystem to cache: set target_protocol.")
        self.below = inner
        self.dialect = inner.dialect  # type: ignore[misc]

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        if options.get("compression"):
            raise ValueError("'compression' would make sizes and ranges wrong: leave it out")
        return {"check_files": True, **options}

    @classmethod
    def further_options(cls) -> Collection[str]:
        # fsspec's own caches have it since 2026.7
        return ("cache_storage_mode",)

    @classmethod
    def filesystem_class(cls, fs_class: type[Any], options: Mapping[str, Any]) -> type[Any]:
        return type(
            fs_class.__name__,
            (CacheFileSystem,),
            {
                "protocol": fs_class.protocol,
                "local_file": getattr(fs_class, "local_file", False),
                "checks": not issubclass(fs_class, SimpleCacheFileSystem),
            },
        )

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        # the second argument by position, of a filesystem given ready
        given = fs.storage_options.get("cache_storage", "TMP") != "TMP" or fs.storage_args[1:]
        fs.file_cache = FileCache(
            fs.storage if given else None,
            server=server_of(fs.fs),
            # an option of fsspec 2026.7 and later
            mode=getattr(fs, "cache_storage_mode", None),
            expiry=fs.expiry or None,
        )

    key_of = _below("key_of")
    stat = _below("stat")
    exists = _below("exists")
    size = _below("size")
    list = _below("list")
    is_link = _below("is_link")
    sign = _below("sign")
    sign_at_once = _below("sign_at_once")
    signature_life = _below("signature_life")
    loop = _below("loop")
    classify = _below("classify")
    explained = _below("explained")
    local_path = _below("local_path")
    create = _forgetting("create")
    write = _forgetting("write")
    delete = _forgetting("delete")
    delete_many = _forgetting("delete_many")
    copy = _forgetting("copy")

    @property
    def files(self) -> FileCache:
        cache: FileCache = self.pool.instance.file_cache
        return cache

    def _ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a verb of the adapter below from this thread."""
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
                # nothing tells versions apart: nothing can be cached
                return self.uncached(path, start, end)
            try:
                reader = (self._whole if whole else self._blocks)(path, stat, start, end)
            except Unwritable:
                return self.uncached(path, start, end)
            if reader is not None:
                return reader
            self.files.forget(path)
        raise ChangedMeanwhile(path, "changes faster than it can be read")

    def uncached(self, path: str, start: int, end: int | None) -> Reader:
        """Open a file of the filesystem below."""
        reader: Reader = self._ask(self.below.reader, path, start, end)
        return reader

    def _current(self, path: str) -> Stat:
        """Describe the file as the filesystem below does now."""
        try:
            stat: Stat = self._ask(self.below.stat, path)
        except FileNotFoundError:
            self.files.forget(path)
            raise
        return stat

    def open_seekable(self, path: str) -> IO[bytes]:
        """Open the cached file; where blocks are cached, that of the filesystem below."""
        fs = self.pool.instance
        if fs.local_file:
            stat = self._current(path) if fs.check_files else None
            with contextlib.suppress(Unwritable):
                if cached := self._cached(path, stat):
                    with cached[0] as file:
                        return _ArchiveFile(os.dup(file.fileno()))
        return self.below.open_seekable(path)

    def _cached(self, path: str, stat: Stat | None) -> tuple[IO[bytes], Stat] | None:
        """Open the whole file, fetched first when it is not cached; None when it changed."""
        cached = self._find(path, stat)
        if cached is None:
            with self.files.fetch(path) as fetch:
                # another thread may have fetched it while we waited
                cached = self._find(path, stat) or self._fetch(path, stat, fetch)
        return cached

    def _whole(self, path: str, stat: Stat | None, start: int, end: int | None) -> Reader | None:
        """Read from the whole file; None when it changed."""
        cached = self._cached(path, stat)
        if cached is None:
            return None
        file, cached_stat = cached
        raw = file.detach()  # type: ignore[attr-defined]
        raw.seek(start)
        return DiskReader(raw, replace(cached_stat, name=path), end=end)

    def _find(self, path: str, stat: Stat | None) -> tuple[IO[bytes], Stat] | None:
        cached = self.files.find(path, version_of(stat) if stat else None, whole=True)
        return (cached.file, cached.stat) if cached and cached.file else None

    def _fetch(self, path: str, stat: Stat | None, fetch: Fetch) -> tuple[IO[bytes], Stat] | None:
        with self.files.part(fetch) as part:
            reader: Reader = self._ask(self.below.reader, path)
            try:
                wanted = stat or reader.stat
                if not _same(wanted, reader.stat):
                    return None
                while chunk := self._ask(reader.read, _PIECE):
                    part.write(chunk)
            finally:
                reader.close()
            if wanted.size is not None and part.size != wanted.size:
                return None
            file = part.finish()
            with contextlib.suppress(Unwritable):
                self.files.keep(path, wanted, part)
            return file, wanted

    def _blocks(self, path: str, stat: Stat | None, start: int, end: int | None) -> Reader | None:
        """Read block by block; None when the file is no longer the cached version."""
        cached = self.files.find(path, version_of(stat) if stat else None)
        if cached is None:
            stat = stat or self._current(path)
            if stat.size is None:
                return self.uncached(path, start, end)
            cached = self.files.keep(path, stat)
        reader = CachedBlockReader(self, path, cached, start, end)
        try:
            # fetching the first block shows whether the file is still the same
            reader.advance()
        except ChangedMeanwhile:
            return None
        return reader

    def fetch_block(
        self, path: str, cached: CachedFile, name: str, start: int, end: int
    ) -> IO[bytes]:
        """Return bytes `start` to `end` as an open file, cached as the block `name`."""
        with self.files.fetch(path, name) as fetch:
            file = self.files.open(cached, name, end - start)
            if file is not None:
                return file
            with self.files.part(fetch) as part:
                reader: Reader = self._ask(self.below.reader, path, start, end)
                try:
                    same = _same(cached.stat, reader.stat)
                    while same and (chunk := self._ask(reader.read, _PIECE)):
                        part.write(chunk)
                finally:
                    reader.close()
                if part.size != end - start:
                    raise ChangedMeanwhile(path)
                file = part.finish()
                self.files.keep_block(cached, name, part)
                return file


class CachedBlockReader(Reader):
    """A stream of cached blocks; a block that is not cached is fetched first.

    Where the disk takes no more blocks, the rest is read without the cache.
    """

    def __init__(
        self, adapter: CacheAdapter, path: str, cached: CachedFile, start: int, end: int | None
    ) -> None:
        self.stat = replace(cached.stat, name=path)
        size = cached.stat.size or 0
        self._adapter, self._path, self._cached = adapter, path, cached
        self._position, self._end = start, size if end is None else min(end, size)
        self._file: IO[bytes] | None = None
        self._rest: Reader | None = None

    def advance(self) -> None:
        """Open the block that holds the position, or the rest of the file.

        Raises ``ChangedMeanwhile`` when the file is another one by now.
        """
        self.close()
        if self._position >= self._end:
            return
        size = self._adapter.limits.chunk_size
        number = self._position // size
        start, end = number * size, min((number + 1) * size, self._cached.stat.size or 0)
        name = f"{size}-{number}"
        try:
            self._file = self._adapter.files.open(
                self._cached, name, end - start
            ) or self._adapter.fetch_block(self._path, self._cached, name, start, end)
        except Unwritable:
            self._rest = self._adapter.uncached(self._path, self._position, self._end)
            if not _same(self._cached.stat, self._rest.stat):
                raise ChangedMeanwhile(self._path) from None
            return
        self._file.seek(self._position - start)

    def read(self, size: int) -> bytes:
        if self._file is None and self._rest is None:
            self.advance()
        size = min(size, self._end - self._position)
        if size <= 0:
            return b""
        if self._rest is not None:
            chunk: bytes = self._adapter._ask(self._rest.read, size)
        else:
            chunk = self._file.read(size) if self._file is not None else b""
        self._position += len(chunk)
        if self._file is not None and self._position % self._adapter.limits.chunk_size == 0:
            self.close()
        return chunk

    def close(self) -> None:
        file, self._file = self._file, None
        rest, self._rest = self._rest, None
        for opened in (file, rest):
            if opened is not None:
                opened.close()


def _same(stat: Stat, other: Stat) -> bool:
    """Return whether both may describe one version of a file: no different ETags."""
    return not (stat.etag and other.etag and stat.etag != other.etag)
