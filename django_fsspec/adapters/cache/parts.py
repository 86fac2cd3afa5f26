"""What enters the cache and what leaves it: written aside and renamed in one step."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable
from typing import IO

from .folders import Folder

STAT = "stat.json"
DATA = "data"
#: the folder of what is not in the cache yet, or no more
PARTS = ".parts"


class Unwritable(OSError):
    """The disk of the cache is full or broken: a file has to be read without the cache."""


class Fetch:
    """A fetch of one file or block by one thread; other threads wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        #: how often this process changed the file meanwhile
        self.changes = 0


class Part:
    """A file or block that is being fetched, in a folder that enters the cache when it is whole.

    Writing raises ``Unwritable`` where the disk takes nothing more: `writing` makes it so.
    """

    def __init__(
        self,
        own: Folder,
        parts: Folder,
        writing: Callable[[], contextlib.AbstractContextManager[None]],
        fetch: Fetch | None,
    ) -> None:
        self.own, self.parts = own, parts
        self.name = secrets.token_hex(8)
        self.size = 0
        self._writing, self._fetch = writing, fetch
        self._changes = fetch.changes if fetch else 0
        self._file: IO[bytes] | None = None
        with writing():
            self.folder = parts.folder(self.name, make=True)

    def write(self, chunk: bytes) -> None:
        """Write a piece of the file."""
        with self._writing():
            if self._file is None:
                self._file = self.folder.create(DATA)
            self._file.write(chunk)
        self.size += len(chunk)

    def finish(self) -> IO[bytes]:
        """Return the whole file, open for reading; it stays readable when it is renamed."""
        with self._writing():
            file = self._file or self.folder.create(DATA)
            file.flush()
        self._file = None
        file.seek(0)
        return file

    @property
    def stale(self) -> bool:
        """Whether the file was changed since we began to fetch it."""
        return self._fetch is not None and self._fetch.changes != self._changes

    def discard(self) -> None:
        """Remove what has not entered the cache; a finished file stays readable."""
        with contextlib.suppress(OSError):
            if self._file is not None:
                # what is left in its buffer may not fit on the disk
                self._file.close()
        self.folder.close()
        with contextlib.suppress(OSError):
            self.parts.remove(self.name)


def remove(own: Folder, folder: Folder, name: str) -> None:
    """Rename an entry of a folder in `own` away in one step, then remove it.

    Raises ``OSError`` when it is still there.
    """
    aside = secrets.token_hex(8)
    try:
        with own.replaced(PARTS) as parts:
            folder.move(name, parts, aside)
            # else it is removed a day later
            with contextlib.suppress(OSError):
                parts.remove(aside)
    except FileNotFoundError:
        return
    except OSError:
        folder.remove(name)
