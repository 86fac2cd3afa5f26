"""Work in the database that outlasts a deadlock and a lost connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections

T = TypeVar("T")

#: seconds between tries
PAUSES = (0.05, 0.5, 2.0)


def patiently(using: str, work: Callable[[], T]) -> T:
    """Return what `work` returns, tried again where the database `using` broke it off.

    For work that may be done twice: whether a commit that was not confirmed took place is not
    known. Inside of somebody's transaction, which is lost then, it is tried once.
    """
    connection = connections[using]
    for pause in PAUSES:
        try:
            return work()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block:
                raise
            time.sleep(pause)
            # a connection that was lost stays with its thread, and would be met again
            connection.close()
    return work()
