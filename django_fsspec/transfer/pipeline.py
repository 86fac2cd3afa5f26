"""Parallel copies on an event loop, while another thread reads and updates the rows."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

import fsspec.asyn
from django.core.files.storage import storages

from django_fsspec import signals
from django_fsspec.core import flows
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.columns import FileColumn
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from .copier import Copier
from .plan import RowToMove

Job: TypeAlias = "tuple[FileColumn, RowToMove]"

#: seconds that finished copies wait for others, so that their rows are updated together
INTERVAL = 1.0
#: seconds that aborted copies get to clean up
GRACE = 3.0


@dataclass
class Moved:
    """A row after its copies: (original, copy, was there before) or (original, error) per file."""

    column: FileColumn
    row: RowToMove
    copies: list[tuple[FileObject, FileObject, bool]] = field(default_factory=list)
    errors: list[tuple[FileObject, Exception]] = field(default_factory=list)
    #: that the copies took
    seconds: float = 0


class Pipeline:
    """Copies files to `target`, `workers` in parallel.

    A context manager. An exception in the block (an interrupt) aborts the copies in progress,
    which takes at most ``GRACE`` seconds whatever a storage does. Copies that were complete stay,
    and the next run finds them.
    """

    def __init__(
        self,
        target: str,
        *,
        workers: int,
        batch_size: int,
        verify: str,
        stopping: threading.Event,
    ) -> None:
        self._target, self._verify, self._stopping = target, verify, stopping
        self._width, self._batch_size = workers, batch_size
        # rows in memory: those being copied, one batch waiting before and one after them
        self._depth = 2 * batch_size + workers
        self._in_hand = 0
        self._done: queue.SimpleQueue[list[Moved]] = queue.SimpleQueue()
        # only the event loop's thread touches what follows
        self._copiers: dict[str, Copier] = {}
        self._todo: deque[Moved] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._results: list[Moved] = []
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Pipeline:
        self._loop = _loop_of(self._target)
        # a streamed copy needs two threads, to read and to write; only one copy streams at a time
        self._pool = ThreadPoolExecutor(self._width + 1, "django-fsspec-transfer")
        return self

    def __exit__(self, error_type: type[BaseException] | None, *rest: object) -> None:
        if error_type is None:
            self._pool.shutdown()
            return
        cut = asyncio.run_coroutine_threadsafe(self._cut_off(), self._loop)
        try:
            with suppress(TimeoutError):
                cut.result(GRACE)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def run(self, jobs: Iterator[Job]) -> Iterator[list[Moved]]:
        """Yield finished jobs in batches, in no particular order."""
        jobs_left = True
        while True:
            while jobs_left and (room := self._depth - self._in_hand) > 0:
                wanted = min(room, self._batch_size)
                more = [Moved(column, row) for column, row in islice(jobs, wanted)]
                jobs_left = len(more) == wanted
                self._in_hand += len(more)
                self._loop.call_soon_threadsafe(self._begin, more)
            if not self._in_hand:
                return
            batch = self._done.get()
            self._in_hand -= len(batch)
            yield batch

    # on the loop

    def _begin(self, jobs: list[Moved]) -> None:
        self._todo += jobs
        for _ in range(min(len(jobs), self._width - len(self._workers))):
            self._workers.add(self._loop.create_task(self._work()))

    async def _work(self) -> None:
        flows.threads.set(self._pool)
        signals.mute()  # a copy is nobody's file before its row is updated
        task: Any = asyncio.current_task()
        try:
            while self._todo:
                moved = self._todo.popleft()
                try:
                    await self._move(moved)
                finally:
                    self._add(moved)
        finally:
            self._workers.discard(task)
            if not self._workers:
                self._flush()

    def _add(self, moved: Moved) -> None:
        self._results.append(moved)
        if len(self._results) >= self._batch_size:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(INTERVAL, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._results:
            self._done.put(self._results)
            self._results = []

    async def _move(self, moved: Moved) -> None:
        began = time.perf_counter()
        for file in moved.row.files:
            if self._stopping.is_set():
                return
            try:
                made, present = await self._copy(moved.column, file)
            except Exception as error:
                moved.errors.append((file, error))
            else:
                moved.copies.append((file, made, present))
        moved.seconds = time.perf_counter() - began

    async def _copy(self, column: FileColumn, file: FileObject) -> tuple[FileObject, bool]:
        file._stored_name()  # invalid JSON is an error of its row
        copier = self._copiers.get(file.backend)
        if copier is None:
            copier = Copier(file.backend, self._target, verify=self._verify)
            self._copiers[file.backend] = copier
        return await copier.copy(file, exact=column.is_file_field)

    async def _cut_off(self) -> None:
        self._todo.clear()
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers)


def _loop_of(alias: str) -> asyncio.AbstractEventLoop:
    storage = storages[alias]
    own = storage.flows.adapter.loop if isinstance(storage, FSSpecStorage) else None
    loop: asyncio.AbstractEventLoop = own or fsspec.asyn.get_loop()
    return loop
