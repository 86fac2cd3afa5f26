"""The base adapter for fsspec's async filesystems: verbs are coroutines on their own loop."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import os
import selectors
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import fsspec.asyn

from django_fsspec.core.flows import in_thread, running_loop
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported

from .base import Adapter, Dialect, Page, Reader, exists_already, short_write
from .blocking import file_only, stat_from_info

if TYPE_CHECKING:
    from django_fsspec.core.source import Source

T = TypeVar("T")

#: seconds that a cancelled caller waits for its write to be undone
_PATIENCE = 2.0
#: the parent's instances that must not be closed here; dropping them would close them too
_inherited: list[Any] = []
_started: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()


def _after_fork() -> None:
    """Let a forked child start its own I/O thread and leave the parent's alone.

    The loop's thread did not survive the fork, but the loop believes that it runs: fsspec's
    finalizers would wait for it, about a second each.
    """
    # fsspec itself forgets its loop, but not the lock around making one
    if hasattr(fsspec.asyn, "reset_lock"):
        fsspec.asyn.reset_lock()
    for loop in _started:
        _cut_off(loop)
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        alive = finalizer.peek()
        # adlfs would wait for the dead loop for ever when this process ends
        if alive is not None and alive[1] is fsspec.asyn.sync and alive[2][0] in _started:
            _inherited.append(alive[0])
            finalizer.detach()


def _cut_off(loop: Any) -> None:
    """Take from a child's copy of the parent's loop whatever reaches the parent's connections.

    Both processes have one epoll: a connection that is freed here would be taken out of it there,
    and the answer to the parent's next request would never come. TLS would even say goodbye.
    """
    # asyncio has no public way to tell a loop that its thread is gone; other loops than asyncio's
    # (uvloop's) refuse new attributes, and are left as they are
    with contextlib.suppress(AttributeError):
        loop._thread_id = None
    loop.set_exception_handler(lambda loop, context: None)
    selector = getattr(loop, "_selector", None)
    if selector is None:
        return
    loop._selector = selectors.SelectSelector()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in {*selector.get_map(), *getattr(loop, "_transports", ())}:
        os.dup2(nothing, descriptor)
    os.close(nothing)
    selector.close()


os.register_at_fork(after_in_child=_after_fork)


def remember_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Have `loop` put to rest in forked children, where its thread does not exist."""
    _started.add(loop)


def on_own_loop(finalize: Callable[..., object], loop: Any, *args: Any) -> None:
    """Run a filesystem's finalizer, which closes its connections, on the loop they live on.

    s3fs and sshfs do so on whatever loop runs in the thread that frees them, where it fails or
    waits for ever.
    """
    running = running_loop()
    if running is None or running is loop or loop is None or not loop.is_running():
        finalize(loop, *args)
    else:
        loop.call_soon_threadsafe(finalize, loop, *args)


def finalized_on_own_loop(fs: Any, finalize: Callable[..., object]) -> None:
    """Replace the finalizer that `fs` registered when it was made; see on_own_loop()."""
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        alive = finalizer.peek()
        if alive is not None and alive[0] is fs and alive[1] is finalize:
            finalizer.detach()
            weakref.finalize(fs, on_own_loop, finalize, *alive[2])


_ending: set[asyncio.Task[None]] = set()


async def undoable(work: Coroutine[Any, Any, T], undo: Callable[[], Awaitable[object]]) -> T:
    """Await `work`, one request that can't be recalled: when cancelled, let it end and undo it.

    The cancelled caller waits for that a moment; where it takes longer it is done all the same.
    """
    task = asyncio.ensure_future(work)

    async def end() -> None:
        with contextlib.suppress(Exception):
            await task
            await undo()

    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.cancelled():
            ending = asyncio.ensure_future(end())
            _ending.add(ending)
            ending.add_done_callback(_ending.discard)
            await asyncio.wait({ending}, timeout=_PATIENCE)
        raise


class BlockReader(Reader):
    """Streams an object by ranged reads of a block each, the next one fetched ahead.

    For filesystems that can not stream a response.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], Awaitable[bytes]],
        stat: Stat,
        start: int,
        end: int,
        block: int,
    ) -> None:
        self.stat = stat
        self._fetch = fetch
        self._position, self._end, self._block = start, end, block
        self._buffer = memoryview(b"")
        self._ahead: asyncio.Task[bytes] | None = None
        self._loop = asyncio.get_running_loop()

    def _start_next(self) -> None:
        stop = min(self._position + self._block, self._end)
        if self._position < stop:
            self._ahead = asyncio.ensure_future(self._fetch(self._position, stop))
            self._position = stop

    async def read(self, size: int) -> bytes:
        if not self._buffer:
            if self._ahead is None:
                self._start_next()
            if self._ahead is None:
                return b""
            ahead, self._ahead = self._ahead, None
            self._buffer = memoryview(await ahead)
            self._start_next()
        chunk = bytes(self._buffer[:size])
        self._buffer = self._buffer[size:]
        return chunk

    def close(self) -> None:
        self._end = 0
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._loop.call_soon_threadsafe(ahead.cancel)


class LoopedAdapter(Adapter):
    """Verbs as coroutines over one instance of an ``AsyncFileSystem``.

    This class itself serves async filesystems that are in no table, through the underscore
    coroutines of fsspec's interface; families override what they can do better.
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

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        # listings are cached for ever by default: other processes' files would not exist
        dircache = getattr(fs, "dircache", None)
        if dircache is not None and hasattr(dircache, "use_listings_cache"):
            dircache.use_listings_cache = False

    async def _timed(self, work: Awaitable[Any]) -> Any:
        return await asyncio.wait_for(work, self.limits.timeout * (self.limits.retries + 1))

    async def stat(self, path: str) -> Stat:
        return file_only(stat_from_info(await self._timed(self.fs._info(path)), path))

    async def exists(self, path: str) -> bool:
        try:
            await self.stat(path)
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
            return b"".join([piece async for piece in pieces(reader, self.limits.chunk_size)])
        finally:
            reader.close()

    async def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Stat:
        put = self._put(path, source, options, exclusive=True)
        return await (undoable(put, lambda: self.delete(path)) if source.small else put)

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
        """Send content through a local temporary file: whole before the first byte leaves."""
        import tempfile

        with tempfile.NamedTemporaryFile() as local:
            async for chunk in source_chunks(source, self.limits.chunk_size):
                await asyncio.to_thread(local.write, chunk)
            await asyncio.to_thread(local.flush)
            await self.fs._put_file(local.name, path, **native)

    async def delete(self, path: str) -> None:
        try:
            # a directory would go with all it holds on some filesystems
            await self.stat(path)
            await self._timed(self.fs._rm_file(path))
        except FileNotFoundError:
            return

    async def delete_many(self, paths: Sequence[str]) -> dict[str, Exception]:
        async def one(path: str) -> None:
            await self.delete(path)

        return await self._each(one, paths)

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
        found: builtins.list[Mapping[str, Any]] = await self._timed(
            self.fs._ls(path or self.fs.root_marker, detail=True)
        )
        entries = [stat_from_info(info) for info in found]
        entries = [replace(entry, name=entry.name.rstrip("/")) for entry in entries]
        return Page(entries=[entry for entry in entries if entry.name != path])

    async def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        if exclusive:
            raise NotSupported("This filesystem has no copy that leaves an existing file alone.")
        await self._timed(self.fs._cp_file(source, target))


async def pieces(reader: Reader, size: int) -> AsyncIterator[bytes]:
    """Yield what `reader` has left."""
    while chunk := await reader.read(size):  # type: ignore[misc]
        yield chunk


async def source_chunks(source: Source, size: int) -> AsyncIterator[bytes]:
    """Yield the content in pieces of `size` bytes, read in a thread: the caller's file blocks."""
    while chunk := await in_thread(source.read, size):
        yield chunk
