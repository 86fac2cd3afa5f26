"""Many files at once: stored side by side, all of them or none.

One coroutine on fsspec's I/O loop drives the saves, for sync and async callers alike. Files on
async filesystems are stored by coroutines there, all others in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import logging
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import fsspec.asyn
from django.core.files.storage import InMemoryStorage, storages

from django_fsspec.adapters.loops import remember_loop
from django_fsspec.core import flows, names
from django_fsspec.exceptions import StorageError
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from .file_object import FileObject
from .pending_content import AsyncOnce

T = TypeVar("T")
F = TypeVar("F", bound=FileObject)
#: an alias and a name
Ref = tuple[str, str]
#: attributes of a file that are not its own state
_KEPT = frozenset(("_row",))

logger = logging.getLogger("django_fsspec")


def save_files(file_objects: Iterable[F], *, concurrency: int = 32) -> list[F]:
    """Store what waits in `file_objects`; return them all in their order: 1 request a small file.

    At most `concurrency` saves are under way at once. When one fails, or the call is interrupted,
    what it stored is deleted, every file is what it was before, and the first error is raised,
    with a note that names its file.
    """
    work = _Work(file_objects, concurrency, None)
    if not work.waiting:
        return work.files
    if flows.running_loop() is work.loop:
        raise RuntimeError(
            "save_files() was called on fsspec's own I/O loop: await asave_files()."
        )
    try:
        # begun in here: an interrupt may come before there is anything to wait for
        error = work.begin(work.run()).result()
    except BaseException:
        work.begin(work.abandon()).result()
        raise
    if error is not None:
        try:
            raise error
        finally:
            del error  # it knows this frame: all contents would stay for a while
    return work.files


async def asave_files(file_objects: Iterable[F], *, concurrency: int = 32) -> list[F]:
    """See save_files(). Takes content that is an async iterable as well."""
    work = _Work(file_objects, concurrency, asyncio.get_running_loop())
    if not work.waiting:
        return work.files
    try:
        error = await asyncio.shield(asyncio.wrap_future(work.begin(work.run())))
    except BaseException:
        await asyncio.shield(asyncio.wrap_future(work.begin(work.abandon())))
        raise
    if error is not None:
        try:
            raise error
        finally:
            del error  # it knows this frame: all contents would stay for a while
    return work.files


# the way back


def state_of(file: FileObject) -> dict[str, Any]:
    """Return what ``restore()`` needs to make `file` again what it is now."""
    state = {key: value for key, value in vars(file).items() if key not in _KEPT}
    return {**state, "metadata": copy.deepcopy(file.metadata)}


def restore(file: FileObject, state: Mapping[str, Any]) -> None:
    """Make `file` what it was at ``state_of()``: its content waits again. Nothing is deleted."""
    if file._handle is not state.get("_handle"):
        file._drop()
    attributes = vars(file)
    for key in attributes.keys() - state.keys() - _KEPT:
        del attributes[key]
    attributes.update({**state, "metadata": copy.deepcopy(state["metadata"])})


def discard(stored: Iterable[FileObject | Ref]) -> list[Ref]:
    """Delete stored files, given themselves or as (alias, name): 1 request a thousand.

    Never raises: what could not be deleted is logged and returned.
    """
    by_alias: defaultdict[str, list[str]] = defaultdict(list)
    for one in stored:
        alias, name = (one.backend, one.filename) if isinstance(one, FileObject) else one
        by_alias[alias].append(name)
    return [(alias, name) for alias, given in by_alias.items() for name in _left_of(alias, given)]


async def adiscard(stored: Iterable[FileObject | Ref]) -> list[Ref]:
    """See discard()."""
    return await asyncio.to_thread(discard, stored)


def _left_of(alias: str, given: list[str]) -> list[str]:
    """Delete files of one storage; log and return what is left."""
    left: dict[str, Exception] = {}
    try:
        storage = storages[alias]
        if isinstance(storage, FSSpecStorage):
            storage.delete_many(given)
        else:
            for name in given:
                try:
                    storage.delete(name)
                except Exception as error:
                    left[name] = error
    except Exception as error:
        told = error.names if isinstance(error, StorageError) else ()
        left = dict.fromkeys(told or given, error)
    if left:
        # the kinds of errors alone: what a client library says may hold a secret
        kinds = sorted({type(error).__name__ for error in left.values()})
        logger.warning(
            "Files on %r that nobody needs could not be deleted (%s): %s",
            alias,
            ", ".join(kinds),
            ", ".join(map(repr, left)),
        )
    return list(left)


class _Work:
    """One call: its files, what is stored of them, and what they were before.

    All that is awaited here is awaited on `loop`. `home` is the caller's own loop, where the
    items of async iterables come from.
    """

    def __init__(
        self,
        file_objects: Iterable[Any],
        concurrency: int,
        home: asyncio.AbstractEventLoop | None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be 1 or more, not {concurrency}.")
        self.files = list(file_objects)
        for file in self.files:
            if not isinstance(file, FileObject):
                raise TypeError(f"Only a FileObject can be saved, not {type(file).__name__}.")
        # by identity: two files of one name are equal
        waiting = {id(file): file for file in self.files if file.has_pending_data}
        self.waiting = list(_named(waiting.values()))
        self._width = min(concurrency, len(waiting))
        self._home = home
        self._loops = _loops_of(waiting.values())
        own = next(filter(None, self._loops.values()), None)
        self.loop: asyncio.AbstractEventLoop = own or fsspec.asyn.get_loop()
        remember_loop(self.loop)
        # no thread of it begins before there is something to do
        self._pool = ThreadPoolExecutor(max(1, self._width), "django-fsspec-bulk")
        self._tasks: list[asyncio.Task[None]] = []
        self._before: list[tuple[FileObject, dict[str, Any]]] = []
        self._stored: list[FileObject] = []
        self._stopped = False
        self._error: BaseException | None = None
        self._undoing = asyncio.Lock()
        self._turns: defaultdict[object, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._contents = Counter(map(_content_of, waiting.values()))

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start ``run()`` or ``abandon()`` from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def run(self) -> BaseException | None:
        """Store all; return the first error, with everything undone."""
        flows.threads.set(self._pool)
        files = iter(self.waiting)
        self._tasks = [asyncio.ensure_future(self._work(files)) for _ in range(self._width)]
        await asyncio.wait(self._tasks)
        self._pool.shutdown(wait=False)
        if self._stopped:
            await self._undo()
        error, self._error = self._error, None
        return error

    async def abandon(self) -> None:
        """Undo everything, whether or not ``run()`` has ended."""
        self._stop()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._undo()

    def _stop(self) -> None:
        # once: what was cancelled is cleaning up
        if not self._stopped:
            self._stopped = True
            for task in self._tasks:
                if task is not asyncio.current_task():
                    task.cancel()

    async def _undo(self) -> None:
        async with self._undoing:
            # a thread may still read what is to wait again
            await asyncio.to_thread(self._pool.shutdown)
            stored, self._stored = self._stored, []
            left = await adiscard(stored) if stored else []
            for file, state in self._before:
                restore(file, state)
            self._before.clear()
        if left and self._error is not None:
            self._error.add_note(f"Not deleted, and nobody's now: {left}")

    async def _work(self, files: Iterator[tuple[FileObject, str | None]]) -> None:
        for file, name in files:
            try:
                await self._save(file, name)
            except BaseException as error:
                # not raised here: an interrupt out of the content would end the loop's thread
                if not self._stopped:
                    _tell(error, file)
                    self._error = error
                    self._stop()
            if self._stopped:
                return

    async def _save(self, file: FileObject, name: str | None) -> None:
        async with contextlib.AsyncExitStack() as turn:
            for shared in self._shared_by(file):
                await turn.enter_async_context(self._turns[shared])
            self._before.append((file, state_of(file)))
            # the primitive below save(): the row that a file is of has no say
            saving = file._saving(name, None, None, self._home)
            if self._loops[file.backend] is None:
                await self._in_thread(file, saving)
            else:
                await file._arun(saving)
                self._stored.append(file)

    async def _in_thread(self, file: FileObject, saving: flows.Flow[FileObject]) -> None:
        job = flows.in_thread(file._run, saving)
        job.add_done_callback(functools.partial(self._note, file))
        try:
            await asyncio.shield(job)
        except asyncio.CancelledError:
            # a thread can only be waited for, but not for an item that may never come
            if isinstance(file._pending, AsyncOnce):
                file._pending.detach()
            await asyncio.wait({job})
            raise

    def _note(self, file: FileObject, job: asyncio.Future[Any]) -> None:
        if not job.cancelled() and job.exception() is None:
            self._stored.append(file)

    def _shared_by(self, file: FileObject) -> Iterator[object]:
        """Yield what `file` has in common with others, and one save at a time can use."""
        content = _content_of(file)
        if content is not None and self._contents[content] > 1:
            yield content
        # a tree of dicts that nothing protects, and that has no use for threads
        if isinstance(file.storage, InMemoryStorage):
            yield file.backend


def _content_of(file: FileObject) -> int | None:
    """Return what identifies the content that waits, None where any number can read it."""
    content = file._pending
    if isinstance(content, str | bytes | Path):
        return None
    # not the property of a file of Django's, which would open it
    return id(getattr(content, "__dict__", {}).get("file", content))


def _named(files: Iterable[FileObject]) -> Iterator[tuple[FileObject, str | None]]:
    """Yield each file with the name to store it under: None is its own.

    Of those with one name, the first alone can have it. The others don't try: they would wait for
    each other, and storages that look for a free name before they write would mix them up.
    """
    taken: set[Ref] = set()
    for file in files:
        ref = (file.backend, file.filename)
        yield file, names.unique(file.filename, file._max_length) if ref in taken else None
        taken.add(ref)


def _loops_of(files: Iterable[FileObject]) -> dict[str, asyncio.AbstractEventLoop | None]:
    """Return the loops of the files' aliases: None for one whose saves block."""
    loops: dict[str, asyncio.AbstractEventLoop | None] = {}
    for file in files:
        if file.backend not in loops:
            try:
                storage = file.storage
                loops[file.backend] = (
                    storage.flows.adapter.loop if isinstance(storage, FSSpecStorage) else None
                )
            except Exception as error:
                _tell(error, file)
                raise
    return loops


def _tell(error: BaseException, file: FileObject) -> None:
    error.add_note(f"This is about {file!r}. Nothing of the same call was kept.")
