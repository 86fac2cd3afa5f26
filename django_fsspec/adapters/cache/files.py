"""Cached copies of remote files on the local disk, for the caching adapter.

Each path has a directory, and in it a directory for each version of the file: ``stat.json`` and
either the whole file (``data``) or blocks of it. All is written under another name and then
renamed. So threads and processes that share the cache see whole files only; a killed process
leaves a part, which is deleted a day later.
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
#: seconds after which a part is taken for one of a killed process
_ABANDONED = 24 * 3600


def version_of(stat: Stat) -> str | None:
    """Return a name for this version of a file; None where nothing tells versions apart."""
    if not stat.etag and not stat.last_modified:
        return None
    version = (stat.etag or str(stat.last_modified), stat.size)
    return _digest(repr(version))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


@dataclass(frozen=True, slots=True)
class CachedFile:
    """One version of a file in the cache, whole or in blocks."""

    directory: str
    stat: Stat

    def open(self, name: str = _DATA) -> IO[bytes] | None:
        """Open the whole file or the block `name`; None when it is not in the cache."""
        try:
            return open(os.path.join(self.directory, name), "rb")
        except FileNotFoundError:
            return None


class Fetch:
    """A fetch of one file or block by one thread; other threads wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        #: how often this process changed the file meanwhile
        self.changes = 0


class FetchedFile:
    """A file or block that is being fetched; it enters the cache when it is whole."""

    def __init__(self, directory: str, fetch: Fetch) -> None:
        self.directory = directory
        self.size = 0
        self._fetch, self._changes = fetch, fetch.changes
        self._file = open(os.path.join(directory, _DATA), "w+b")  # noqa: SIM115 - outlives us

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self.size += len(chunk)

    def finish(self) -> IO[bytes]:
        """Return the whole file, open for reading; it stays readable when it is renamed."""
        self._file.flush()
        self._file.seek(0)
        return self._file

    @property
    def stale(self) -> bool:
        """Whether the file was changed since we began to fetch it."""
        return self._fetch.changes != self._changes

    def discard(self) -> None:
        self._file.close()


class FileCache:
    """The files of one cache, in the directories `storage`; new ones go to the last of them."""

    def __init__(
        self, storage: Sequence[str], *, mode: int | None = None, expiry: float | None = None
    ) -> None:
        self._storage = [os.path.abspath(root) for root in storage]
        self._mode, self._expiry = mode, expiry
        self._guard = threading.Lock()
        self._fetches: dict[tuple[str, str], Fetch] = {}
        self._clear_abandoned()

    def _clear_abandoned(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(os.path.join(self._storage[-1], _PARTS)):
                with contextlib.suppress(OSError):
                    if time.time() - entry.stat().st_mtime > _ABANDONED:
                        shutil.rmtree(entry.path, ignore_errors=True)

    def find(self, path: str, version: str | None) -> CachedFile | None:
        """Return this version of `path` from the cache, or any version when None; or None."""
        for root in self._storage:
            directory = os.path.join(root, _digest(path))
            for name in [version] if version else self._versions(directory):
                cached = self._load(os.path.join(directory, name))
                if cached is not None:
                    return cached
        return None

    def _versions(self, directory: str) -> list[str]:
        try:
            return os.listdir(directory)
        except FileNotFoundError:
            return []

    def _load(self, directory: str) -> CachedFile | None:
        try:
            with open(os.path.join(directory, _STAT), encoding="utf-8") as file:
                age = time.time() - os.fstat(file.fileno()).st_mtime
                if self._expiry is not None and age > self._expiry:
                    return None
                fields = json.load(file)
        except FileNotFoundError:
            return None
        for name in ("last_modified", "created", "accessed"):
            fields[name] = utc(fields[name])
        return CachedFile(directory, Stat(**fields))

    @contextlib.contextmanager
    def fetch(self, path: str, block: str = "") -> Iterator[Fetch]:
        """Let one thread at a time fetch `path`, or the block `block` of it."""
        key = (path, block)
        with self._guard:
            fetch = self._fetches.setdefault(key, Fetch())
            fetch.users += 1
        try:
            with fetch.lock:
                yield fetch
        finally:
            with self._guard:
                fetch.users -= 1
                if not fetch.users:
                    del self._fetches[key]

    @contextlib.contextmanager
    def part(self, fetch: Fetch) -> Iterator[FetchedFile]:
        """Open a temporary file to fetch into; it is deleted unless it enters the cache."""
        directory = self._make(self._fresh())
        try:
            part = FetchedFile(directory, fetch)
            try:
                yield part
            except BaseException:
                part.discard()
                raise
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def keep(self, path: str, stat: Stat, part: FetchedFile | None = None) -> CachedFile:
        """Put a fetched file, or a directory for blocks, in the cache; drop other versions."""
        home = os.path.join(self._storage[-1], _digest(path))
        target = os.path.join(home, version_of(stat) or _digest(""))
        source = part.directory if part else self._make(self._fresh())
        with open(os.path.join(source, _STAT), "w", encoding="utf-8") as file:
            json.dump(asdict(stat), file, default=_json)
        self._make(home)
        for name in self._versions(home):
            self._remove(os.path.join(home, name))
        # another process may delete the directory, or be faster: then this one is not cached
        with contextlib.suppress(OSError):
            os.rename(source, target)
        return CachedFile(target, stat)

    def keep_block(self, cached: CachedFile, name: str, part: FetchedFile) -> None:
        """Put a fetched block in the cache, if its version is still there."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.rename(os.path.join(part.directory, _DATA), os.path.join(cached.directory, name))

    def forget(self, path: str) -> None:
        """Drop `path` from the cache, and mark fetches of it as stale."""
        with self._guard:
            for (filled, _), fetch in self._fetches.items():
                if filled == path:
                    fetch.changes += 1
        self._remove(os.path.join(self._storage[-1], _digest(path)))

    def _fresh(self) -> str:
        return os.path.join(self._storage[-1], _PARTS, secrets.token_hex(8))

    def _make(self, directory: str) -> str:
        os.makedirs(directory, mode=0o777 if self._mode is None else self._mode, exist_ok=True)
        return directory

    def _remove(self, directory: str) -> None:
        """Rename a directory away in one step, then delete it."""
        aside = self._fresh()
        self._make(os.path.dirname(aside))
        try:
            os.rename(directory, aside)
        except FileNotFoundError:
            return
        shutil.rmtree(aside, ignore_errors=True)
