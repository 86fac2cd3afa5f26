"""Moves the files of rows: copies side by side, then swaps what the rows say, batch by batch."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import fsspec.asyn
from django.core.files.storage import storages
from django.db import transaction
from django.db.models import Case, F, Q, Value, When

from django_fsspec import bulk, flows
from django_fsspec.objects import FileObject
from django_fsspec.references import unreferenced
from django_fsspec.storage import FSSpecStorage
from django_fsspec.values import Ref, to_json

from .copying import Copier
from .journal import Entry, Journal
from .plan import Column, Row

#: rows that one UPDATE swaps
SWAP = 200


@dataclass
class Moved:
    """A row whose files were copied: each with its copy, or with why there is none."""

    column: Column
    row: Row
    copies: list[tuple[FileObject, FileObject, bool]] = field(default_factory=list)
    errors: list[tuple[FileObject, Exception]] = field(default_factory=list)


@dataclass
class Engine:
    """Moves the rows of columns from their source to `target`.

    `workers` files are copied at once. ``stop()`` has it finish what is in flight.
    """

    target: str
    journal: Journal
    workers: int = 32
    batch_size: int = SWAP
    verify: str = "checksum"
    delete_source: bool = False
    fail_fast: bool = False
    limit: int | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Begin nothing more; from any thread, or a signal handler."""
        self._stopping.set()

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before all was moved."""
        return self._stopping.is_set()

    def run(self, columns: Iterable[Column], first: Any = None, last: Any = None) -> None:
        """Move all rows of `columns`, or those with primary keys after `first` up to `last`."""
        jobs: Iterator[tuple[Column, Row]] = chain.from_iterable(
            ((column, row) for row in column.pages(self.batch_size, first, last))
            for column in columns
        )
        with _Pipeline(self) as pipeline:
            waiting: list[Moved] = []
            for moved in pipeline.run(self._limited(jobs)):
                waiting.append(moved)
                if len(waiting) >= self.batch_size:
                    self._commit(waiting)
                    waiting = []
            self._commit(waiting)

    def _limited(self, jobs: Iterator[tuple[Column, Row]]) -> Iterator[tuple[Column, Row]]:
        for begun, job in enumerate(jobs):
            if self.stopped or begun == self.limit:
                return
            if self.fail_fast and self.journal.failed:
                self.stop()
                return
            yield job

    # after the copies

    def _commit(self, batch: list[Moved]) -> None:
        by_column: dict[Column, list[Moved]] = {}
        for moved in batch:
            for file, error in moved.errors:
                self._tell(moved, file, "failed", reason=f"{type(error).__name__}: {error}")
            if moved.copies:
                by_column.setdefault(moved.column, []).append(moved)
        for column, rows in by_column.items():
            if column.holds_objects:
                self._swap(column, rows)
            else:
                self._finish(column, rows, {moved.row.pk for moved in rows})
        self.journal.flush()

    def _swap(self, column: Column, rows: list[Moved]) -> None:
        """Have rows say where their files are now, where they are still as they were read."""
        values = {moved.row.pk: _swapped(moved) for moved in rows}
        with transaction.atomic(using=column.using):
            held = _compare_and_swap(column, rows, values)
        swapped = {pk for pk, value in values.items() if to_json(held.get(pk)) == to_json(value)}
        lost = [moved for moved in rows if moved.row.pk not in swapped]
        bulk.discard(_nobodys(column.using, lost))
        for moved in lost:
            for file, _, _ in moved.copies:
                self._tell(moved, file, "changed", reason="the row was changed meanwhile")
        self._finish(column, [moved for moved in rows if moved.row.pk in swapped], swapped)

    def _finish(self, column: Column, rows: list[Moved], done: set[Any]) -> None:
        for moved in rows:
            for file, made, present in moved.copies:
                self._tell(moved, file, "present" if present else "moved", made=made)
        if self.delete_source:
            refs = [Ref(f.backend, f.filename) for moved in rows for f, _, _ in moved.copies]
            kept = unreferenced(column.using, refs)
            left = bulk.discard(kept)
            self.journal.deleted += len(kept) - len(left)

    def _tell(
        self,
        moved: Moved,
        file: FileObject,
        status: Any,
        *,
        made: FileObject | None = None,
        reason: str | None = None,
    ) -> None:
        self.journal.add(
            Entry(
                column=moved.column.label,
                pk=moved.row.pk,
                name=file.filename,
                status=status,
                size=file.size if made is None else made.size,
                new_name=None if made is None or made.name == file.name else made.name,
                checksum=None if made is None else made.checksum,
                reason=reason,
            )
        )


def _nobodys(using: str, rows: list[Moved]) -> list[Ref]:
    """Return those copies of rows that changed which no row holds, nor is about to.

    While a row holds the original, that row, or another process that moves it, may count on the
    copy under the same name. Originals are asked for first: a row that moves in between shows.
    """
    copies = [
        (Ref(file.backend, file.filename), Ref(made.backend, made.filename))
        for moved in rows
        for file, made, _ in moved.copies
    ]
    gone = set(unreferenced(using, [original for original, _ in copies]))
    left = [copy for file, copy in copies if file in gone or copy.name != file.name]
    return unreferenced(using, left)


def _swapped(moved: Moved) -> Any:
    """Return a row's value with the copies in the place of what they are copies of."""
    value = moved.row.value
    by_file = {id(file): made for file, made, _ in moved.copies}
    if isinstance(value, FileObject):
        return by_file[id(value)]
    assert not isinstance(value, str)
    return [by_file.get(id(file), file) for file in value]


def _compare_and_swap(column: Column, rows: list[Moved], values: dict[Any, Any]) -> dict[Any, Any]:
    """Write values into rows that are as they were read; return what the rows hold then.

    2 queries for each 200 rows.
    """
    name = column.field.name
    held: dict[Any, Any] = {}
    for start in range(0, len(rows), SWAP):
        part = {moved.row.pk: moved for moved in rows[start : start + SWAP]}
        found = column.manager.filter(pk__in=part)
        cases = [
            When(
                Q(**{"pk": pk, f"{name}__same_text": moved.row.value._raw}),  # type: ignore[union-attr]
                then=Value(values[pk], output_field=column.field),
            )
            for pk, moved in part.items()
        ]
        found.update(**{name: Case(*cases, default=F(name))})
        held |= dict(found.values_list("pk", name))
    return held


class _Pipeline:
    """Copies on an event loop what the calling thread reads from the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._copiers: dict[str, Copier] = {}
        self._done: queue.SimpleQueue[Moved] = queue.SimpleQueue()
        self._in_flight = 0
        self._depth = engine.workers * 4

    def __enter__(self) -> _Pipeline:
        self._loop = _loop_of(self._engine.target)
        # a streamed copy takes two: one reads what the other writes
        self._pool = ThreadPoolExecutor(2 * self._engine.workers, "django-fsspec-transfer")
        self._free = asyncio.Semaphore(self._engine.workers)
        return self

    def __exit__(self, *exc: object) -> None:
        while self._in_flight:
            self._next()
        self._pool.shutdown()

    def run(self, jobs: Iterator[tuple[Column, Row]]) -> Iterator[Moved]:
        """Yield what became of each job, in no order."""
        for column, row in jobs:
            while self._in_flight >= self._depth:
                yield self._next()
            self._begin(column, row)
        while self._in_flight:
            yield self._next()

    def _next(self) -> Moved:
        moved = self._done.get()
        self._in_flight -= 1
        return moved

    def _begin(self, column: Column, row: Row) -> None:
        self._in_flight += 1
        asyncio.run_coroutine_threadsafe(self._move(Moved(column, row)), self._loop)

    async def _move(self, moved: Moved) -> None:
        flows.threads.set(self._pool)
        try:
            for file in moved.row.files:
                async with self._free:
                    await self._copy(moved, file)
        finally:
            self._done.put(moved)

    async def _copy(self, moved: Moved, file: FileObject) -> None:
        column = moved.column
        try:
            copier = self._copiers.get(file.backend)
            if copier is None:
                copier = self._copiers[file.backend] = Copier(
                    file.backend, self._engine.target, verify=self._engine.verify
                )
            made, present = await copier.copy(file, exact=not column.holds_objects)
        except Exception as error:
            moved.errors.append((file, error))
        else:
            moved.copies.append((file, made, present))


def _loop_of(alias: str) -> asyncio.AbstractEventLoop:
    storage = storages[alias]
    own = storage.backend.adapter.loop if isinstance(storage, FSSpecStorage) else None
    loop: asyncio.AbstractEventLoop = own or fsspec.asyn.get_loop()
    return loop
