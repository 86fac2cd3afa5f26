"""The engine of migrate_files: copy files in parallel, then update their rows in batches."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from django.db import transaction

from django_fsspec import signals
from django_fsspec.objects import deletion
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.columns import FileColumn
from django_fsspec.rows.compare_and_swap import ROWS, RowSwap, swap
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from django_fsspec.storage.prefixes import pinned, pins_of

from .database_retries import retry
from .journal import Entry, Journal
from .lost_copies import CopiedFile, settle
from .pipeline import Job, Moved, Pipeline
from .plan import BadPlan, check_answers, option_fault, rows_to_move
from .source_deletion import SourceDeletion

CHANGED = "the row was changed meanwhile"
#: source files of one field that are kept for a second try because deleting them failed
UNDELETED = 10_000
GONE = "the copy was deleted from the target meanwhile: run the command again"


@dataclass
class Engine:
    """Moves the files of columns from their source to `target`.

    `workers` files are copied in parallel; `batch_size` rows are updated per statement; `limit`
    is a number of rows. ``stop()`` finishes the copies in progress, an exception in ``run()``
    (a second Ctrl-C) aborts them. Either way each row still names its old files or already
    names the copies, and the next run does the rest.
    """

    target: str
    journal: Journal
    workers: int = 32
    batch_size: int = ROWS
    verify: str = "checksum"
    delete_source: bool = False
    fail_fast: bool = False
    limit: int | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _deletion: SourceDeletion | None = None
    _undeleted: dict[FileColumn, list[CopiedFile]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ``BadPlan`` for options out of range: without workers a run would never end."""
        for name in ("workers", "batch_size", "limit", "verify"):
            value = getattr(self, name)
            if (fault := option_fault(name, value)) is not None:
                raise BadPlan(f"{name} {fault}, not {value!r}.")

    def stop(self) -> None:
        """Begin no further copy. Safe in any thread and in a signal handler."""
        self._stopping.set()

    @property
    def stopped(self) -> bool:
        """Whether ``stop()`` was called."""
        return self._stopping.is_set()

    def run(self, columns: Iterable[FileColumn], first: Any = None, last: Any = None) -> None:
        """Move all rows of `columns`, or those with primary keys after `first` up to `last`.

        What fails for one file goes into the journal. Raises ``BadPlan`` where the target does
        not tell which files it has, or source files can't be deleted safely, and what the
        database raises (``OperationalError`` …).
        """
        columns = list(columns)
        # copies run in other threads, on the loop of a filesystem
        with pinned(pins_of({self.target, *(column.source for column in columns)})):
            self._run(columns, first, last)

    def _run(self, columns: list[FileColumn], first: Any, last: Any) -> None:
        if self.delete_source:
            self._deletion = SourceDeletion(columns, self.target, self.journal)
        check_answers(self.target)
        pipeline = Pipeline(
            self.target,
            workers=self.workers,
            batch_size=self.batch_size,
            verify=self.verify,
            stopping=self._stopping,
        )
        with pipeline:
            for batch in pipeline.run(self._jobs(columns, first, last)):
                self._commit(batch)
                if self.fail_fast and self.journal.failed:
                    self.stop()
        if self._deletion is not None:
            for column, files in self._undeleted.items():
                settle(column, files, self._deletion)

    def _jobs(self, columns: Iterable[FileColumn], first: Any, last: Any) -> Iterator[Job]:
        jobs: Iterator[Job] = chain.from_iterable(
            ((column, row) for row in rows_to_move(column, self.batch_size, first, last))
            for column in columns
        )
        for begun, job in enumerate(jobs):
            if self.stopped or begun == self.limit:
                return
            yield job

    # after the copies

    def _commit(self, batch: list[Moved]) -> None:
        by_column: dict[FileColumn, list[Moved]] = {}
        for moved in batch:
            by_column.setdefault(moved.column, []).append(moved)
        for column, rows in by_column.items():
            self._failed(column, [moved for moved in rows if moved.errors])
            copied = [moved for moved in rows if moved.copies]
            if not column.is_file_field:
                copied = self._swap(column, copied)
            self._finish(column, copied)
        self.journal.flush()

    def _failed(self, column: FileColumn, rows: Sequence[Moved]) -> None:
        """Record files that were not copied: "changed" where the row no longer has the file."""
        held = column.values_of([moved.row.pk for moved in rows])
        for moved in rows:
            still = {file.filename for file in column.files_of(held.get(moved.row.pk))}
            for file, error in moved.errors:
                if file.filename in still:
                    self._record(moved, file, "failed", reason=f"{type(error).__name__}: {error}")
                else:
                    self._record(moved, file, "changed", reason=CHANGED)

    def _swap(self, column: FileColumn, rows: Sequence[Moved]) -> list[Moved]:
        """Update rows that are unchanged since they were read; return these rows."""
        field: Any = column.field
        values: list[Any] = [moved.row.value for moved in rows]
        changes = [
            RowSwap(moved.row.pk, value._raw, _swapped(moved))
            for moved, value in zip(rows, values, strict=True)
        ]
        done = retry(column.using, partial(swap, column.using, field, changes))
        lost = [moved for moved in rows if moved.row.pk not in done]
        deletion.discard(_unused_copies(column.using, lost))
        for moved in lost:
            for file, _, _ in moved.copies:
                self._record(moved, file, "changed", reason=CHANGED)
        return [moved for moved in rows if moved.row.pk in done]

    def _finish(self, column: FileColumn, rows: Sequence[Moved]) -> None:
        files = [CopiedFile(moved.row.pk, *copied) for moved in rows for copied in moved.copies]
        gone: set[tuple[Any, str]] = set()
        # a caller may have a transaction open: then this comes after its commit
        settling = partial(self._settle, column, rows, files, gone)
        transaction.on_commit(settling, using=column.using)
        for moved in rows:
            for file, copy, existed in moved.copies:
                if (moved.row.pk, file.filename) in gone:
                    self._record(moved, file, "failed", reason=GONE)
                else:
                    status = "present" if existed else "moved"
                    self._record(moved, file, status, copy=copy)

    def _settle(
        self,
        column: FileColumn,
        rows: Sequence[Moved],
        files: list[CopiedFile],
        gone: set[tuple[Any, str]],
    ) -> None:
        lost, undeleted = settle(column, files, self._deletion)
        gone.update((copied.pk, copied.file.filename) for copied in lost)
        waiting = self._undeleted.setdefault(column, [])
        waiting += undeleted[: UNDELETED - len(waiting)]
        if signals.is_wanted(signals.file_moved, column.model):
            seconds = {moved.row.pk: moved.seconds for moved in rows}
            _tell(column, [copied for copied in files if copied not in lost], seconds)

    def _record(
        self,
        moved: Moved,
        file: FileObject,
        status: Any,
        *,
        copy: FileObject | None = None,
        reason: str | None = None,
    ) -> None:
        self.journal.add(
            Entry(
                column=moved.column.label,
                pk=moved.row.pk,
                name=file.filename,
                status=status,
                size=file.size if copy is None else copy.size,
                new_name=None if copy is None or copy.name == file.name else copy.name,
                checksum=None if copy is None else copy.checksum,
                reason=reason,
            )
        )


def _unused_copies(using: str, rows: list[Moved]) -> list[Ref]:
    """Return copies that are safe to delete: the row changed meanwhile and no row references them.

    While a row references the original, this row or another process that moves it may rely on
    the copy under the same name. Originals are looked up first, so that a row that is updated
    between the two queries is seen by the second.
    """
    copies = [
        (Ref(file.backend, file.filename), Ref(copy.backend, copy.filename))
        for moved in rows
        for file, copy, existed in moved.copies
        if not existed  # a file that was there before may belong to somebody else
    ]
    originals = [original for original, _ in copies]
    # by alias: a row that names the copy is looked for below
    gone = set(unreferenced(using, originals, by_place=False))
    left = [copy for file, copy in copies if file in gone or copy.name != file.name]
    return unreferenced(using, left)


def _tell(column: FileColumn, files: Sequence[CopiedFile], seconds: Mapping[Any, float]) -> None:
    """Send ``file_moved`` for files whose rows are updated: 1 query."""
    rows = {row.pk: row for row in column.all_rows.filter(pk__in={copied.pk for copied in files})}
    for copied in files:
        signals.send(
            signals.file_moved,
            column.model,
            alias=copied.copy.backend,
            name=copied.copy.filename,
            size=copied.copy._size,
            seconds=seconds[copied.pk],
            row=rows.get(copied.pk),
            from_alias=column.source or copied.file.backend,
            from_name=copied.file.filename,
        )


def _swapped(moved: Moved) -> Any:
    """Return a row's value with each original replaced by its copy."""
    value = moved.row.value
    by_file = {id(file): copy for file, copy, _ in moved.copies}
    if isinstance(value, FileObject):
        return by_file[id(value)]
    assert not isinstance(value, str)
    return [by_file.get(id(file), file) for file in value]
