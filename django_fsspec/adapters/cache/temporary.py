"""Folders that are removed when their process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from multiprocessing.util import Finalize

_PREFIX = "django-fsspec-cache-"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def temporary_folder(user: object) -> str:
    """Make a folder that is removed when `user` is freed or this process ends.

    The process holds a lock on it. What a killed process left has none any more, and is removed
    here. Raises what the operating system raises.
    """
    _remove_abandoned()
    while True:
        path = tempfile.mkdtemp(prefix=_PREFIX)
        lock = _locked(path)
        # else another process took it for an abandoned one, before it was locked
        if lock is not None and os.path.isdir(path):
            break
    # unlike weakref.finalize, it does nothing in a forked child, and runs in multiprocessing's
    Finalize(user, _remove, (path, lock), exitpriority=0)
    return path


def _locked(path: str) -> int | None:
    """Return a descriptor that holds the lock on a folder of ours; None when it is taken."""
    try:
        lock = os.open(path, _FLAGS)
    except FileNotFoundError:
        return None
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
    except BlockingIOError:
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _remove(path: str, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)


def _remove_abandoned() -> None:
    """Remove the folders of processes that were killed."""
    for entry in os.scandir(tempfile.gettempdir()):
        if entry.name.startswith(_PREFIX):
            with contextlib.suppress(OSError):
                lock = _locked(entry.path)
                if lock is not None:
                    _remove(entry.path, lock)
