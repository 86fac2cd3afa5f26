"""Signals of the files of rows: sent after the commit, and never after a rollback."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django_fsspec import signals
from django_fsspec.signals import file_deleted, file_stored

from .file_changes import FileChange, NewFile
from .values import Ref

if TYPE_CHECKING:
    from django.dispatch import Signal


@contextmanager
def storing(changes: Iterable[FileChange]) -> Iterator[None]:
    """Note which files of `changes` the block stores. Storages send no signals in it."""
    began = time.perf_counter()
    with signals.muted():
        yield
    seconds = time.perf_counter() - began
    for change in changes:
        if change.upload is not None:
            change.new_file = NewFile.of(change.upload[0], seconds)
            change.stored = change.new_file.ref


def keep_rows(changes: Iterable[FileChange]) -> None:
    """Keep the rows that receivers get after the commit, if there are any receivers."""
    for change in changes:
        row = change.instance() if change.instance is not None else None
        if any(signals.is_wanted(signal, type(row)) for signal in (file_stored, file_deleted)):
            change.row = row


def send_committed(
    changes: Iterable[FileChange],
    unused: Set[Ref] = frozenset(),
    undeleted: Set[Ref] = frozenset(),
    seconds: float = 0,
) -> None:
    """Send signals for new and replaced files of committed rows.

    Of the files that no row holds now, `unused`, all but the `undeleted` were deleted within
    `seconds`. There is no signal for a file that no row ever had.
    """
    # a change may be settled again, inside of captureOnCommitCallbacks()
    stored = [(change, change.new_file) for change in changes if change.new_file is not None]
    new = {new_file.ref for _, new_file in stored}
    for change, new_file in stored:
        change.new_file = None
        if new_file.ref not in unused:
            _send(file_stored, change, *new_file)
    excluded = new | undeleted
    for change in changes:
        if change.field is None:
            # a claim or a kept upload: no row ever had that file
            continue
        for ref in change.replaced & unused - excluded:
            excluded.add(ref)
            _send(file_deleted, change, ref, change.sizes.get(ref), seconds)


def _send(signal: Signal, change: FileChange, ref: Ref, size: int | None, seconds: float) -> None:
    row = change.row
    sender: Any = change.field.model if change.field is not None else None
    if row is not None:
        sender = type(row)
    if signals.is_wanted(signal, sender):
        file = {"alias": ref.backend, "name": ref.name, "size": size}
        signals.send(signal, sender, **file, seconds=seconds, row=row)
