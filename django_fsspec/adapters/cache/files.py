"""Cached copies of remote files on the local disk, for the caching adapter.

Each user has a folder in ``cache_storage``. In it, each path of each server has a folder, and in
that a folder for each version of the file: ``stat.json`` and either the whole file (``data``) or
blocks of it. All is written under another name and then renamed. So threads and processes that
share the cache see whole files only; a killed process leaves a part, which is deleted a day later.
What a crash of the machine left torn is dropped when it is found.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import IO, Any

from django_fsspec.core.log_fields import log_fields
from django_fsspec.core.stat import Stat, utc
from django_fsspec.exceptions import StorageError

from .expiry import ExpiredFiles
from .folders import Folder, NotOurs
from .parts import DATA, PARTS, STAT, Fetch, Part, Unwritable, remove
from .temporary import temporary_folder

logger = logging.getLogger("django_fsspec")

#: seconds without a try to write after the disk refused one
_PAUSE = 60


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


#: of a version whose ``stat.json`` was not read yet
_UNKNOWN = Stat(name="")


@dataclass(frozen=True, slots=True)
class CachedFile:
    """One version of a file in the cache, whole or in blocks."""

    root: str
    #: names of its folder and of that of the version
    home: str
    version: str
    stat: Stat = _UNKNOWN
    #: bytes of the whole file, None where there are blocks
    length: int | None = None
    #: the whole file, open, where find() was asked for it
    file: IO[bytes] | None = None


class FileCache:
    """The files of one `server` in the folders `storage`; new ones go to the last of them.

    Without a `storage`, they go to a temporary folder of this process. `mode` is that of new
    folders. Raises ``StorageError`` where a folder is another user's, ``Unwritable`` where the
    disk takes nothing more.
    """

    def __init__(
        self,
        storage: Sequence[str] | None,
        *,
        server: str = "",
        mode: int | None = None,
        expiry: float | None = None,
    ) -> None:
        self._storage = [os.path.abspath(root) for root in storage or ()]
        self._server, self._expiry = server, expiry
        self._mode = 0o700 if mode is None else mode
        self._guard = threading.Lock()
        self._fetches: dict[tuple[str, str], Fetch] = {}
        #: what is out of date and can't be removed: a folder of storage, and a file's in it
        self._outdated: set[tuple[str, str]] = set()
        self._paused_until = 0.0
        self._expired = ExpiredFiles(lambda: self._own(self._storage[-1]), expiry)

    # folders

    def _home(self, path: str) -> str:
        return _digest(f"{self._server}\n{path}")

    @property
    def _writable(self) -> str:
        """The folder of new files."""
        with self._guard:
            if not self._storage:
                self._storage.append(temporary_folder(self))
            return self._storage[-1]

    @contextlib.contextmanager
    def _own(self, root: str, *, make: bool = False) -> Iterator[Folder]:
        """Open this user's folder in `root`; raise ``StorageError`` where it can't be ours."""
        try:
            own = Folder.own(root, self._mode, make=make)
        except (NotOurs, PermissionError, NotADirectoryError, FileExistsError) as error:
            raise StorageError(
                f"'cache_storage' in 'fs_options': user {os.geteuid()} can't use {root!r} "
                f"({error.strerror}); name a folder that this user owns or may make"
            ) from error
        with own:
            yield own

    # reading

    def find(self, path: str, version: str | None, *, whole: bool = False) -> CachedFile | None:
        """Return this version of `path` from the cache, or any version when None; or None.

        With `whole`, only a whole file, and open.
        """
        home = self._home(path)
        for root in [*self._storage]:
            if (root, home) in self._outdated:
                continue
            with (
                contextlib.suppress(FileNotFoundError, NotOurs),
                self._own(root) as own,
                own.folder(home) as folder,
            ):
                for name in [version] if version else folder.names():
                    cached = self._load(CachedFile(root, home, name), folder, whole=whole)
                    if cached is not None:
                        return cached
        return None

    def _load(self, cached: CachedFile, folder: Folder, *, whole: bool) -> CachedFile | None:
        """Return a version as ``stat.json`` tells it; one that is torn or expired is removed."""
        try:
            directory = folder.folder(cached.version)
        except FileNotFoundError:
            return None
        except NotOurs:
            self._drop(cached.root, folder, cached.version)
            return None
        with directory:
            try:
                with directory.open(STAT) as file:
                    age = time.time() - os.fstat(file.fileno()).st_mtime
                    told = _parsed(file.read())
                if self._expiry is None or age <= self._expiry:
                    loaded = replace(cached, **told)
                    if not whole:
                        return loaded
                    data = directory.open(DATA)
                    if os.fstat(data.fileno()).st_size == loaded.length:
                        return replace(loaded, file=data)
                    data.close()
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                pass
        self._drop(cached.root, folder, cached.version)
        return None

    def open(self, cached: CachedFile, name: str, size: int) -> IO[bytes] | None:
        """Open the block `name` of `size` bytes; None when it is not there, or truncated."""
        try:
            with (
                self._own(cached.root) as own,
                own.folder(cached.home) as home,
                home.folder(cached.version) as folder,
            ):
                file = folder.open(name)
        except StorageError:
            raise
        except OSError:
            return None
        if os.fstat(file.fileno()).st_size == size:
            return file
        # what is fetched replaces it
        file.close()
        return None

    def _drop(self, root: str, folder: Folder, name: str) -> None:
        """Remove an entry that can't be used, where it is not in a folder that is only read."""
        if root == self._storage[-1]:
            with contextlib.suppress(OSError):
                folder.remove(name)

    # writing

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Raise ``Unwritable`` for what the disk of the cache refuses; log it, once a minute."""
        try:
            yield
        except (StorageError, Unwritable):
            raise
        except OSError as error:
            # somebody empties the cache: no reason to wait
            if error.errno != errno.ENOENT and time.monotonic() >= self._paused_until:
                self._paused_until = time.monotonic() + _PAUSE
                logger.warning(
                    "The cache can't write to %r (%s): files are read without it for %d s.",
                    self._storage[-1] if self._storage else "the folder of temporary files",
                    error.strerror,
                    _PAUSE,
                    extra=log_fields(operation="cache", error=error),
                )
            raise Unwritable(error.errno, error.strerror) from error

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
    def part(self, fetch: Fetch | None = None) -> Iterator[Part]:
        """Open a part to fetch into; it is removed unless it enters the cache."""
        if time.monotonic() < self._paused_until:
            raise Unwritable(errno.ENOSPC, "The cache could not write a moment ago")
        with contextlib.ExitStack() as stack:
            with self.writing():
                own = stack.enter_context(self._own(self._writable, make=True))
                parts = stack.enter_context(own.replaced(PARTS))
            part = Part(own, parts, self.writing, fetch)
            stack.callback(part.discard)
            yield part

    def keep(self, path: str, stat: Stat, part: Part | None = None) -> CachedFile:
        """Put a fetched file, or a folder for blocks, in the cache; drop other versions."""
        if part is None:
            with self.part() as empty:
                return self._keep(path, stat, empty, None)
        return self._keep(path, stat, part, part.size)

    def _keep(self, path: str, stat: Stat, part: Part, length: int | None) -> CachedFile:
        home, version = self._home(path), version_of(stat) or _digest("")
        root = self._storage[-1]
        expires = None if self._expiry is None else time.time() + self._expiry
        told = {"stat": asdict(stat), "length": length, "expires": expires}
        with self.writing():
            with part.folder.create(STAT) as file:
                file.write(json.dumps(told, default=_json).encode())
            with part.own.replaced(home) as folder, self._guard:
                # under the guard: either forget() has told us, or it removes what we put there
                if not part.stale:
                    for name in folder.names():
                        remove(part.own, folder, name)
                    # another process may be faster: then this one is not cached
                    with contextlib.suppress(OSError):
                        part.parts.move(part.name, folder, version)
                        self._outdated.discard((root, home))
        self._expired.remove_some()
        return CachedFile(root, home, version, stat, length)

    def keep_block(self, cached: CachedFile, name: str, part: Part) -> None:
        """Put a fetched block in the cache, if its version is still there."""
        with (
            contextlib.suppress(OSError),
            part.own.folder(cached.home) as home,
            home.folder(cached.version) as folder,
            self._guard,
        ):
            if not part.stale:
                part.folder.move(DATA, folder, name)

    # removing

    def forget(self, path: str) -> None:
        """Drop `path` from the cache, and mark fetches of it as stale; never raises ``OSError``.

        Where it can't be removed, this process does not read it any more.
        """
        home = self._home(path)
        with self._guard:
            for (filled, _), fetch in self._fetches.items():
                if filled == path:
                    fetch.changes += 1
        for root in [*self._storage]:
            try:
                with self._own(root) as own, own.folder(home):
                    if root == self._storage[-1]:
                        remove(own, own, home)
                        continue
            except FileNotFoundError:
                continue
            except OSError:
                pass
            # a folder that is only read, or a disk that refuses
            self._outdated.add((root, home))


def _parsed(text: bytes) -> dict[str, Any]:
    """Return what ``stat.json`` tells; raises ``KeyError``, ``TypeError`` or ``ValueError``."""
    told = json.loads(text)
    fields = {**told["stat"]}
    for name in ("last_modified", "created", "accessed"):
        fields[name] = utc(fields[name])
    length = told["length"]
    if not isinstance(length, int | None):
        raise TypeError("length")
    return {"stat": Stat(**fields), "length": length}
