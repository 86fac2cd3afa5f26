"""Pools of filesystem instances, one for each storage and process.

All threads share one instance of an async filesystem. An instance of most blocking ones (FTP and
SSH connections, open archives) serves one thread at a time: threads take an instance and give it
back. There are as many instances as threads that work at once; up to ``_MAX_IDLE`` are kept idle.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .connection_limit import ConnectionLimit

_MAX_IDLE = 4
#: errors after which a connection can be used again
_HARMLESS = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError)


class Pool:
    """Instances made by `factory`; `shared` ones serve all threads at once.

    An instance is made at its first use; those made before a fork are not used after it.
    """

    def __init__(self, factory: Callable[[], Any], *, shared: bool) -> None:
        self._factory = factory
        self.shared = shared
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._instance: Any = None
        self._idle: deque[Any] = deque()
        self._limit: ConnectionLimit | None = None

    @property
    def instance(self) -> Any:
        """The one instance for all threads."""
        if self._pid != os.getpid():
            self._forget()
        if self._instance is None:
            with self._lock:
                if self._instance is None:
                    self._instance = self._factory()
        return self._instance

    def connection_limit(self, limit: int) -> ConnectionLimit:
        """Return that of this process, made for `limit` connections."""
        if self._pid != os.getpid():
            self._forget()
        if self._limit is None:
            self._limit = ConnectionLimit(limit)
        return self._limit

    def take(self) -> Any:
        """Return an instance that no other thread uses."""
        if self.shared:
            return self.instance
        if self._pid != os.getpid():
            self._forget()
        try:
            return self._idle.pop()
        except IndexError:
            return self.another()

    def another(self) -> Any:
        """Return a new instance, in place of one that died."""
        return self._factory()

    def give_back(self, fs: Any, error: BaseException | None = None) -> None:
        """Give an instance back; after an `error` that may have broken its connection, drop it."""
        if self.shared or (error is not None and not isinstance(error, _HARMLESS)):
            return
        if len(self._idle) < _MAX_IDLE:
            self._idle.append(fs)

    @contextmanager
    def lease(self) -> Iterator[Any]:
        """Use an instance for the length of a ``with`` block."""
        fs = self.take()
        try:
            yield fs
        except BaseException as error:
            self.give_back(fs, error)
            raise
        else:
            self.give_back(fs)
