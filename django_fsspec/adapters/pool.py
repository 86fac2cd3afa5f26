"""Filesystem instances, one set a process.

An async filesystem is one instance for all threads. A blocking one may be used by one thread at
a time (FTP and SSH connections, open archives), so instances are leased and handed back; how
many exist is bounded by how many threads work at once, how many idle by `keep`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Errors after which a connection is still good.
_HARMLESS = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError)


class Pool:
    """Instances made by `factory`; `shared` ones serve all threads at once.

    Nothing is built before the first use, and nothing built before a fork is used after it.
    """

    def __init__(self, factory: Callable[[], Any], *, shared: bool, keep: int = 4) -> None:
        self._factory = factory
        self._keep = keep
        self.shared = shared
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._instance: Any = None
        self._idle: deque[Any] = deque()

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
        """Hand an instance back; one whose connection may be broken is dropped."""
        if self.shared or (error is not None and not isinstance(error, _HARMLESS)):
            return
        if len(self._idle) < self._keep:
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
