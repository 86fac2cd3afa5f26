"""Retries of database work after a deadlock or a lost connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections

T = TypeVar("T")

#: seconds between tries
PAUSES = (0.05, 0.5, 2.0)


def retry(using: str, work: Callable[[], T]) -> T:
    """Return what `work` returns; call it again where the database `using` broke it off.

    Only for work that may be done twice: a commit whose answer was lost may have taken place.
    Inside a caller's transaction, which is lost with the connection, it is called once.
    Raises the ``OperationalError`` or ``InterfaceError`` of the last try.
    """
    connection = connections[using]
    for pause in PAUSES:
        try:
            return work()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block:
                raise
            time.sleep(pause)
            # Django keeps a lost connection for its thread, and would use it again
            connection.close()
    return work()
