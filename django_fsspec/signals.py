"""Signals: a file was stored, deleted, moved to another storage, or served.

They are sent when that is certain: for files of rows after the commit, and never after a rollback.
Every receiver gets `alias` and `name` of the file, its `size` in bytes (None where it is not known
without a request), the `seconds` that the operation took, and `row`, the model instance, where
there is one. `sender` is the model of the row, else the class of the storage.

Example::

    from django.dispatch import receiver

    from django_fsspec.signals import file_stored

    @receiver(file_stored)
    def log(sender, alias, name, size, seconds, row, **kwargs):
        print(f"{name} was stored on {alias}")
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.dispatch import Signal

from .core.log_fields import log_fields

__all__ = ["file_deleted", "file_moved", "file_served", "file_stored"]

logger = logging.getLogger("django_fsspec")

#: a file was stored by a storage, or the row that has it was committed
file_stored = Signal()
#: a file was deleted
file_deleted = Signal()
#: a row has its file in another storage: also `from_alias` and `from_name`
file_moved = Signal()
#: a response with a file was closed: also `request`, and `ranges` of (start, end)
file_served = Signal()

#: whether operations of storages are parts of something else, which sends signals itself or none
_muted: ContextVar[bool] = ContextVar("django_fsspec_muted", default=False)


@contextmanager
def muted() -> Iterator[None]:
    """Have storages send no signals in this context, in threads and tasks that it starts too."""
    token = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(token)


def mute() -> None:
    """Have storages send no signals in the rest of this task."""
    _muted.set(True)


def is_wanted(signal: Signal, sender: Any) -> bool:
    """Return whether anybody listens to `sender`, and storages are not muted."""
    return signal.has_listeners(sender) and not _muted.get()


def send(signal: Signal, sender: Any, **arguments: Any) -> None:
    """Send a signal. Never raises an ``Exception``: what a receiver raises is logged by Django."""
    try:
        signal.send_robust(sender, **arguments)
    except Exception as error:
        # async receivers can't be called where an event loop runs
        _log(error, arguments)


async def asend(signal: Signal, sender: Any, **arguments: Any) -> None:
    """See send(). Sync receivers run in Django's thread for sync code."""
    try:
        await signal.asend_robust(sender, **arguments)
    except Exception as error:
        _log(error, arguments)


def _log(error: Exception, arguments: Mapping[str, Any]) -> None:
    logger.error(
        "Receivers of a signal could not be called.",
        exc_info=error,
        extra=log_fields(arguments["alias"], arguments["name"], operation="signal", error=error),
    )
