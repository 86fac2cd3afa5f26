"""Copies of remote files on this machine's disk, for the caching adapter.

A directory for each path, in it one for each version of the file: ``stat.json`` and either the
whole file (``data``) or blocks of it. Everything is made under another name and then renamed, so
that threads and processes that share the storage see whole files only, and killed ones leave
nothing but a part that is cleared away a day later.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import IO, Any

from django_fsspec.core.stat import Stat, utc

_STAT = "stat.json"
_DATA = "data"
_PARTS = ".parts"
#: seconds after which nobody is still writing a part
_ABANDONED = 24 * 3600


def version_of(stat: Stat) -> str | None:
    """Return what tells this version of a file from others; None where nothing does."""
    if not stat.etag and not stat.last_modified:
        return None
    told = (stat.etag, stat.size) if stat.etag else (str(stat.last_modified), stat.size)
    return _digest(repr(told))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """One version of a file, as far as it lies on this machine's disk."""

    directory: str
    stat: Stat

    def open(self, name: str = _DATA) -> IO[bytes] | None:
        """Open the whole file or the block `name`; None when it is not there (any more)."""
        try:
            return open(os.path.join(self.directory, name), "rb")
        except FileNotFoundError:
            return None


class Filling:
    """What one thread fetches while others that want it wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        #: how often the file was changed by us meanwhile
        self.changes = 0


class Part:
    """A file being fetched: kept under its name when it is whole."""

    def __init__(self, directory: str, filling: Filling) -> None:
        self.directory = directory
        self.size = 0
        self._filling, self._changes = filling, filling.changes
        self._file = open(os.path.join(directory, _DATA), "w+b")  # noqa: SIM115 - outlives us

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self.size += len(chunk)

    def finish(self) -> IO[bytes]:
        """Return the whole file, open for reading whatever becomes of its name."""
        self._file.flush()
        self._file.seek(0)
        return self._file

    @property
    def stale(self) -> bool:
        """Whether the file was changed since we began to fetch it."""
        return self._filling.changes != self._changes

    def discard(self) -> None:
        self._file.close()


class KeptFiles:
    """The kept files of one cache; `storage` are directories, of which the last is written to."""

    def __init__(
        self, storage: Sequence[str], *, mode: int | None = None, expiry: float | None = None
    ) -> None:
        self._storage = [os.path.abspath(root) for root in storage]
        self._mode, self._expiry = mode, expiry
        self._guard = threading.Lock()
        self._fillings: dict[tuple[str, str], Filling] = {}
        self._clear_abandoned()

    def _clear_abandoned(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(os.path.join(self._storage[-1], _PARTS)):
                with contextlib.suppress(OSError):
                    if time.time() - entry.stat().st_mtime > _ABANDONED:
                        shutil.rmtree(entry.path, ignore_errors=True)

    def find(self, path: str, version: str | None) -> Kept | None:
        """Return what is kept of this version of `path`, or of any version for None."""
        for root in self._storage:
            directory = os.path.join(root, _digest(path))
            for name in [version] if version else self._versions(directory):
                kept = self._load(os.path.join(directory, name))
                if kept is not None:
                    return kept
        return None

    def _versions(self, directory: str) -> list[str]:
        try:
            return os.listdir(directory)
        except FileNotFoundError:
            return []

    def _load(self, directory: str) -> Kept | None:
        try:
            with open(os.path.join(directory, _STAT), encoding="utf-8") as file:
                age = time.time() - os.fstat(file.fileno()).st_mtime
                if self._expiry is not None and age > self._expiry:
                    return None
                told = json.load(file)
        except FileNotFoundError:
            return None
        for name in ("last_modified", "created", "accessed"):
            told[name] = utc(told[name])
        return Kept(directory, Stat(**told))

    @contextlib.contextmanager
    def filling(self, path: str, block: str = "") -> Iterator[Filling]:
        """Let one thread at a time fetch `path`, or one block of it."""
        key = (path, block)
        with self._guard:
            filling = self._fillings.setdefault(key, Filling())
            filling.users += 1
        try:
            with filling.lock:
                yield filling
        finally:
            with self._guard:
                filling.users -= 1
                if not filling.users:
                    del self._fillings[key]

    @contextlib.contextmanager
    def part(self, filling: Filling) -> Iterator[Part]:
        """Make a place to fetch into; what is not kept of it disappears."""
        directory = self._make(self._fresh())
        try:
            part = Part(directory, filling)
            try:
                yield part
            except BaseException:
                part.discard()
                raise
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def keep(self, path: str, stat: Stat, part: Part | None = None) -> Kept:
        """Keep a fetched file, or make room for blocks, in place of other versions."""
        home = os.path.join(self._storage[-1], _digest(path))
        target = os.path.join(home, version_of(stat) or _digest(""))
        source = part.directory if part else self._make(self._fresh())
        with open(os.path.join(source, _STAT), "w", encoding="utf-8") as file:
            json.dump(asdict(stat), file, default=_json)
        self._make(home)
        for name in self._versions(home):
            self._remove(os.path.join(home, name))
        # another process may remove the directory, or be faster: then this is not kept
        with contextlib.suppress(OSError):
            os.rename(source, target)
        return Kept(target, stat)

    def keep_block(self, kept: Kept, name: str, part: Part) -> None:
        """Keep a fetched block beside the others of its version, if that is still kept."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.rename(os.path.join(part.directory, _DATA), os.path.join(kept.directory, name))

    def forget(self, path: str) -> None:
        """Drop what is kept of `path`, and what is just being fetched of it."""
        with self._guard:
            for (filled, _), filling in self._fillings.items():
                if filled == path:
                    filling.changes += 1
        self._remove(os.path.join(self._storage[-1], _digest(path)))

    def _fresh(self) -> str:
        return os.path.join(self._storage[-1], _PARTS, secrets.token_hex(8))

    def _make(self, directory: str) -> str:
        os.makedirs(directory, mode=0o777 if self._mode is None else self._mode, exist_ok=True)
        return directory

    def _remove(self, directory: str) -> None:
        """Remove a directory in one step for those who look, then its files."""
        aside = self._fresh()
        self._make(os.path.dirname(aside))
        try:
            os.rename(directory, aside)
        except FileNotFoundError:
            return
        shutil.rmtree(aside, ignore_errors=True)
