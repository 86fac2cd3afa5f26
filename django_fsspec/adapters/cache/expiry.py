"""Remove what has expired from the cache, a little at a time: it may hold a million files."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice

from .folders import Folder
from .parts import PARTS, STAT, remove

#: seconds after which a part is taken for one of a killed process
_ABANDONED = 24 * 3600
#: files that are looked at by one call; when all have been, none for so many seconds
_BATCH, _INTERVAL = 200, 3600.0


class ExpiredFiles:
    """Removes the expired files of the folder that `own` opens, and what killed processes left.

    Files of all storages that share the folder are looked at, each has its own time.
    """

    def __init__(
        self,
        own: Callable[[], contextlib.AbstractContextManager[Folder]],
        expiry: float | None,
    ) -> None:
        self._own = own
        self._interval = min(expiry or _INTERVAL, _INTERVAL)
        self._lock = threading.Lock()
        self._round: Iterator[None] | None = None
        self._next_round = 0.0

    def remove_some(self) -> None:
        """Look at the next files, and remove those that have expired; never raises ``OSError``."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._round is None and time.monotonic() >= self._next_round:
                self._next_round = time.monotonic() + self._interval
                self._round = self._look()
            if self._round and sum(1 for _ in islice(self._round, _BATCH)) < _BATCH:
                self._round = None
        except OSError:
            self._round = None
        finally:
            self._lock.release()

    def _look(self) -> Iterator[None]:
        """Look at all files in the cache; yield after each."""
        with self._own() as own:
            self._remove_abandoned(own)
            with os.scandir(own.descriptor) as entries:
                for entry in entries:
                    if entry.name != PARTS:
                        with contextlib.suppress(OSError):
                            self._look_at(own, entry.name)
                        yield

    def _remove_abandoned(self, own: Folder) -> None:
        with own.replaced(PARTS) as parts:
            for name in parts.names():
                with contextlib.suppress(OSError):
                    info = os.stat(name, dir_fd=parts.descriptor, follow_symlinks=False)
                    if time.time() - info.st_mtime > _ABANDONED:
                        parts.remove(name)

    def _look_at(self, own: Folder, home: str) -> None:
        with own.folder(home) as folder:
            for name in folder.names():
                if _has_expired(folder, name):
                    remove(own, folder, name)
        # fails when there is still something in it
        os.rmdir(home, dir_fd=own.descriptor)


def _has_expired(folder: Folder, version: str) -> bool:
    """Whether a version of a file has expired, or does not tell when it will."""
    try:
        with folder.folder(version) as directory, directory.open(STAT) as file:
            expires = json.load(file)["expires"]
            return expires is not None and expires < time.time()
    except (ValueError, TypeError, KeyError):
        return True
