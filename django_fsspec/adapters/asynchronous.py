"""The base adapter for async fsspec filesystems, and the adapter of those without their own."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django_fsspec.core.flows import in_thread
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported

from .base import Adapter, Dialect, Page, Reader
from .blocking import file_only, is_listed, stat_from_info
from .cancellation import undoable
from .errors import exists_already, not_found, short_write
from .loops import remember_loop
from .resuming_readers import AsyncResumingReader, BlockReader

if TYPE_CHECKING:
    from django_fsspec.core.source import Source

    from .connection_limit import ConnectionLimit

T = TypeVar("T")

#: connections of an aiohttp session that is made without a number
AIOHTTP_LIMIT = 100


class LoopedAdapter(Adapter):
    """Verbs as coroutines over one instance of an ``AsyncFileSystem``, on its own event loop.

    They call the underscore coroutines of fsspec's interface (``_info``, ``_cat_file``, …).
    """

    dialect: ClassVar[Dialect] = Dialect()
    thread_safe: ClassVar[bool] = True

    @property
    def fs(self) -> Any:
        return self.pool.instance

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self.fs.loop
        remember_loop(loop)
        return loop

    @property
    def connection_limit(self) -> ConnectionLimit:
        """The limit on connections of this process; all storages of one client share it."""
        return self.pool.connection_limit(min(self.limits.max_connections, self.client_limit))

    @property
    def client_limit(self) -> int:
        """The most connections that the client library opens: beyond them it waits, for ever."""
        return AIOHTTP_LIMIT

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        # cached listings never expire by default: files of other processes would stay invisible
        dircache = getattr(fs, "dircache", None)
        if dircache is not None and hasattr(dircache, "use_listings_cache"):
            dircache.use_listings_cache = False

    async def _timed(self, work: Awaitable[Any]) -> Any:
        return await asyncio.wait_for(work, self.limits.timeout * (self.limits.retries + 1))

    async def stat(self, path: str) -> Stat:
        info = await self._timed(self.fs._info(path))
        if not is_listed(info):
            raise not_found(path)
        return file_only(stat_from_info(info, path))

    async def _look(self, path: str) -> object:
        """Raise what stat() does; what it returns is not used."""
        return await self.stat(path)

    async def exists(self, path: str) -> bool:
        try:
            await self._look(path)
        except Exception as error:
            if self.classify(error) is FileNotFoundError:
                return False
            raise
        return True

    async def size(self, path: str) -> int | None:
        return (await self.stat(path)).size

    async def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        stat = await self.stat(path)
        if stat.size is None:
            raise NotSupported("This filesystem does not tell a file's size, so it can't stream.")

        async def fetch(first: int, last: int) -> bytes:
            data: bytes = await self.fs._cat_file(path, start=first, end=last)
            return data

        stop = stat.size if end is None else min(end, stat.size)
        return BlockReader(fetch, stat, start, stop, self.limits.chunk_size)

    async def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        if end is not None and end <= start:
            return b""
        reader = await self.reader(path, start, end)
        try:
            if isinstance(reader, AsyncResumingReader):
                return await reader.rest()
            return b"".join([piece async for piece in pieces(reader, self.limits.chunk_size)])
        finally:
            reader.close()

    async def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        put = self._put(path, source, options, exclusive=True)
        # a large upload is not let end: its adapter undoes the request that completes it
        return await (self._made(path, put) if source.small else put)

    async def _made(self, path: str, work: Coroutine[Any, Any, T], *, new: bool = True) -> T:
        """Await `work`, a request that makes the object at `path`.

        When cancelled, the object is deleted, if it is a `new` one and replaced none.
        """
        return await (undoable(work, lambda _: self.delete(path), path) if new else work)

    async def write(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        return await self._put(path, source, options, exclusive=False)

    async def _put(
        self, path: str, source: Source, options: Mapping[str, Any], *, exclusive: bool
    ) -> Stat:
        if exclusive and await self.exists(path):
            raise exists_already(path)
        native = self.native(options)
        if source.data is not None:
            await self.fs._pipe_file(path, source.data, **native)
        else:
            await self._put_large(path, source, native)
        stat = stat_from_info(await self.fs._info(path), path)
        if stat.size is not None and stat.size != source.size:
            raise short_write(path, source.size, stat.size)
        return replace(stat, checksum=source.checksum)

    async def _put_large(self, path: str, source: Source, native: Mapping[str, Any]) -> None:
        """Upload by way of a local temporary file, which is complete before the upload begins."""
        import tempfile

        with tempfile.NamedTemporaryFile() as local:
            async for chunk in source_chunks(source, self.limits.chunk_size):
                await asyncio.to_thread(local.write, chunk)
            await asyncio.to_thread(local.flush)
            await self.fs._put_file(local.name, path, **native)

    async def delete(self, path: str) -> None:
        try:
            # some filesystems would delete a directory with all that is in it
            await self.stat(path)
            await self._timed(self.fs._rm_file(path))
        except FileNotFoundError:
            return

    async def delete_many(self, paths: Sequence[str]) -> dict[str, Exception]:
        return await self._each(self.delete, paths)

    async def _each(
        self, work: Callable[[str], Awaitable[Any]], paths: Sequence[str]
    ) -> dict[str, Exception]:
        """Run `work` on each path, `max_concurrency` at a time; return what failed."""
        failed: dict[str, Exception] = {}
        waiting = iter(paths)

        async def worker() -> None:
            for path in waiting:
                try:
                    await work(path)
                except Exception as error:
                    failed[path] = error

        await asyncio.gather(*(worker() for _ in range(self.limits.max_concurrency)))
        return failed

    async def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        infos: builtins.list[Mapping[str, Any]] = await self._timed(
            self.fs._ls(path or self.fs.root_marker, detail=True)
        )
        entries = [stat_from_info(info) for info in infos if is_listed(info)]
        entries = [replace(entry, name=entry.name.rstrip("/")) for entry in entries]
        return Page(entries=[entry for entry in entries if entry.name != path])

    async def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        if exclusive:
            raise NotSupported("This filesystem has no copy that leaves an existing file alone.")
        await self._timed(self.fs._cp_file(source, target))


async def pieces(reader: Reader, size: int) -> AsyncIterator[bytes]:
    """Yield the rest of a reader's bytes, up to `size` at a time."""
    while chunk := await reader.read(size):  # type: ignore[misc]
        yield chunk


async def source_chunks(source: Source, size: int) -> AsyncIterator[bytes]:
    """Yield content in pieces of `size` bytes, read in a thread, as a caller's file blocks."""
    while chunk := await in_thread(source.read, size):
        yield chunk
