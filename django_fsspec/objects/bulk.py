"""Save many files concurrently, all of them or none.

One coroutine on fsspec's I/O loop runs the saves, for sync and async callers. Files on async
filesystems are stored by coroutines on that loop, all others in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import fsspec.asyn
from django.core.files.storage import InMemoryStorage

from django_fsspec import signals
from django_fsspec.adapters.loops import remember_loop
from django_fsspec.core import flows
from django_fsspec.storage.foreign import wrap
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.prefixes import pin, pins_of

from .aliases import AliasAndName
from .deletion import adiscard
from .file_object import FileObject
from .pending_content import AsyncOnce

T = TypeVar("T")
F = TypeVar("F", bound=FileObject)
#: attributes of a file that are not part of its state
_KEPT = frozenset(("_row",))


def save_files(file_objects: Iterable[F], *, concurrency: int = 32) -> list[F]:
    """Store the unsaved content of files concurrently; return all files, in their order.

    Example::

        files = [FileObject("default", f"{n}.txt", content=b"text") for n in range(3)]
        save_files(files)
        assert [file.size for file in files] == [4, 4, 4]

    1 request for each file up to the storage's `chunk_size`. At most `concurrency` saves run at
    once. If one fails, or the call is interrupted, this deletes what it stored, restores every
    file, and raises the first error with a note that names its file.

    Raises ``TypeError`` for an item that is no ``FileObject``, ``ValueError`` for `concurrency`
    below 1, ``RuntimeError`` on fsspec's own I/O loop, ``StorageError`` and what else
    ``FileObject.save()`` raises.
    """
    work = _BulkSave(file_objects, concurrency, None)
    if not work.waiting:
        return work.files
    if flows.running_loop() is work.loop:
        raise RuntimeError(
            "save_files() was called on fsspec's own I/O loop: await asave_files()."
        )
    try:
        # start inside of try: an interrupt may come before there is anything to wait for
        error = work.begin(work.run()).result()
    except BaseException:
        work.begin(work.abandon()).result()
        raise
    if error is not None:
        try:
            raise error
        finally:
            del error  # its traceback refers to this frame, and so to all contents
    for sender, arguments in work.stored():
        signals.send(signals.file_stored, sender, **arguments)
    return work.files


async def asave_files(file_objects: Iterable[F], *, concurrency: int = 32) -> list[F]:
    """See save_files(). Accepts content that is an async iterable too."""
    work = _BulkSave(file_objects, concurrency, asyncio.get_running_loop())
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
            del error  # its traceback refers to this frame, and so to all contents
    for sender, arguments in work.stored():
        await signals.asend(signals.file_stored, sender, **arguments)
    return work.files


# undoing


def state_of(file: FileObject) -> dict[str, Any]:
    """Return the state of `file`, for ``restore()``."""
    state = {key: value for key, value in vars(file).items() if key not in _KEPT}
    return {**state, "metadata": copy.deepcopy(file.metadata)}


def restore(file: FileObject, state: Mapping[str, Any]) -> None:
    """Restore the state of `file`: its content is unsaved again. Deletes nothing."""
    if file._handle is not state.get("_handle"):
        file._drop()
    attributes = vars(file)
    for key in attributes.keys() - state.keys() - _KEPT:
        del attributes[key]
    attributes.update({**state, "metadata": copy.deepcopy(state["metadata"])})


class _BulkSave:
    """One call of save_files(): its files, which of them are stored, and their former states.

    Its coroutines run on `loop`. `home` is the caller's own loop, on which async iterables are
    iterated over.
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
        # by identity: files with the same name are equal
        waiting = {id(file): file for file in self.files if file.has_pending_data}
        self._width = min(concurrency, len(waiting))
        self._home = home
        self._loops = _loops_of(waiting.values())
        self.waiting = list(_named(waiting.values()))
        own = next(filter(None, self._loops.values()), None)
        self.loop: asyncio.AbstractEventLoop = own or fsspec.asyn.get_loop()
        remember_loop(self.loop)
        # it starts no thread before there is work
        self._pool = ThreadPoolExecutor(max(1, self._width), "django-fsspec-bulk")
        self._tasks: list[asyncio.Task[None]] = []
        self._before: list[tuple[FileObject, dict[str, Any]]] = []
        self._stored: list[FileObject] = []
        self._stopped = False
        self._error: BaseException | None = None
        self._undoing = asyncio.Lock()
        self._turns: defaultdict[object, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._contents = Counter(map(_content_of, waiting.values()))
        self._began = time.perf_counter()
        self._pins = pins_of({file.backend for file in waiting.values()})

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start ``run()`` or ``abandon()`` from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def stored(self) -> list[tuple[type[Any], dict[str, Any]]]:
        """Return the sender and arguments of a signal for each file, if anybody listens."""
        seconds = time.perf_counter() - self._began
        return [
            (
                type(file.storage),
                {
                    "alias": file.backend,
                    "name": file.filename,
                    "size": file._size,
                    "seconds": seconds,
                    "row": None,
                },
            )
            for file, _ in self.waiting
            if signals.is_wanted(signals.file_stored, type(file.storage))
        ]

    async def run(self) -> BaseException | None:
        """Store all files; return the first error, after undoing everything."""
        signals.mute()  # until all are stored
        flows.threads.set(self._pool)
        pin(self._pins)
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
        pin(self._pins)
        self._stop()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._undo()

    def _stop(self) -> None:
        # only once: cancelled tasks are cleaning up
        if not self._stopped:
            self._stopped = True
            for task in self._tasks:
                if task is not asyncio.current_task():
                    task.cancel()

    async def _undo(self) -> None:
        async with self._undoing:
            # wait: a thread may still read the content that is restored
            await asyncio.to_thread(self._pool.shutdown)
            stored, self._stored = self._stored, []
            undeleted = await adiscard(stored) if stored else []
            for file, state in self._before:
                restore(file, state)
            self._before.clear()
        if undeleted and self._error is not None:
            self._error.add_note(f"These files were stored, and could not be deleted: {undeleted}")

    async def _work(self, files: Iterator[tuple[FileObject, str | None]]) -> None:
        for file, name in files:
            try:
                await self._save(file, name)
            except BaseException as error:
                # don't raise: an interrupt raised by the content would end the loop's thread
                if not self._stopped:
                    _add_note(error, file)
                    self._error = error
                    self._stop()
            if self._stopped:
                return

    async def _save(self, file: FileObject, name: str | None) -> None:
        async with contextlib.AsyncExitStack() as turn:
            for shared in self._shared_by(file):
                await turn.enter_async_context(self._turns[shared])
            self._before.append((file, state_of(file)))
            # not save(), which would save the row of the file
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
            # wait for the thread, but not for an item that may never come
            if isinstance(file._pending, AsyncOnce):
                file._pending.detach()
            await asyncio.wait({job})
            raise

    def _note(self, file: FileObject, job: asyncio.Future[Any]) -> None:
        if not job.cancelled() and job.exception() is None:
            self._stored.append(file)

    def _shared_by(self, file: FileObject) -> Iterator[object]:
        """Yield what `file` shares with other files, and only one save at a time can use."""
        content = _content_of(file)
        if content is not None and self._contents[content] > 1:
            yield content
        # a tree of dicts without locks
        if isinstance(file.storage, InMemoryStorage):
            yield file.backend


def _content_of(file: FileObject) -> int | None:
    """Return the identity of unsaved content, None for content that many can read at once."""
    content = file._pending
    if isinstance(content, str | bytes | Path):
        return None
    # read no property of a Django file: that would open it
    return id(getattr(content, "__dict__", {}).get("file", content))


def _named(files: Iterable[FileObject]) -> Iterator[tuple[FileObject, str | None]]:
    """Yield each file with the name to store it under, None for its own.

    Of files with the same name only the first gets it. The others get a random one at once: they
    would wait for each other, and storages that look for a free name first could confuse them.
    """
    taken: set[AliasAndName] = set()
    for file in files:
        ref = (file.backend, file.filename)
        name = None
        if ref in taken:
            name = wrap(file.storage).flows.unique(file.filename, file._max_length)
        yield file, name
        taken.add(ref)


def _loops_of(files: Iterable[FileObject]) -> dict[str, asyncio.AbstractEventLoop | None]:
    """Return the event loop of each alias, None for a storage whose saves block."""
    loops: dict[str, asyncio.AbstractEventLoop | None] = {}
    for file in files:
        if file.backend not in loops:
            try:
                storage = file.storage
                loops[file.backend] = (
                    storage.flows.adapter.loop if isinstance(storage, FSSpecStorage) else None
                )
            except Exception as error:
                _add_note(error, file)
                raise
    return loops


def _add_note(error: BaseException, file: FileObject) -> None:
    error.add_note(f"This happened while saving {file!r}. All files of the call were rolled back.")
