"""Rollbacks: restore the objects in memory, and delete the files that were uploaded."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django_fsspec.core.flows import running_loop
from django_fsspec.core.log_fields import log_fields
from django_fsspec.objects import deletion
from django_fsspec.storage.prefixes import all_pins, pinned

if TYPE_CHECKING:
    from django_fsspec.storage.prefixes import Pins

    from .file_changes import FileChange
    from .values import Ref

logger = logging.getLogger("django_fsspec")

#: seconds that a rollback waits for the deletion of its uploads
_PATIENCE = 10
#: of the thread that deletes them
THREAD_NAME = "django-fsspec-rollback"


def undo(changes: list[FileChange], *, sure: bool, pins: Pins | None = None) -> None:
    """Undo changes, in whichever thread the garbage collector runs. Never raises.

    Stored files are deleted if it is `sure` that no row holds them; otherwise a warning names
    them.
    """
    pins = all_pins() if pins is None else pins
    undone = [change.undo() for change in reversed(changes)]
    stored = {ref for ref in undone if ref is not None}
    touched = stored.union(*(change.replaced for change in changes))
    changes.clear()
    if touched and not sure:
        logger.warning(
            "It is unknown whether the transaction was committed, so none of these files was "
            "deleted: %s",
            listed(touched),
            extra=log_fields(operation="rollback", files=touched),
        )
    if not stored or not sure:
        return
    # no daemon: a process that ends waits for it
    worker = threading.Thread(target=_discard, args=(stored, pins), name=THREAD_NAME, daemon=False)
    try:
        worker.start()
    except RuntimeError:  # the interpreter ends
        logger.warning(
            "Files of a rollback could not be deleted: %s",
            listed(stored),
            extra=log_fields(operation="rollback", files=stored),
        )
        return
    # never block an event loop, least of all fsspec's own
    if running_loop() is None and not sys.is_finalizing():
        worker.join(_PATIENCE)
        if worker.is_alive():
            logger.warning(
                "Files of a rollback are still being deleted: %s",
                listed(stored),
                extra=log_fields(operation="rollback", files=stored),
            )


def _discard(stored: set[Ref], pins: Pins) -> None:
    with pinned(pins):
        deletion.discard(stored)


def listed(refs: Iterable[Ref]) -> str:
    """Return the end of a message about files that may be orphans."""
    shown = sorted(f"{ref.backend}:{ref.name}" for ref in refs)
    more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
    return f"{', '.join(shown[:20])}{more}. Find unreferenced files with `manage.py sweep_files`."
