"""What a storage tells of the files that rows name, by its listings."""

from __future__ import annotations

import json
import posixpath
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage, storages

from django_fsspec.core import names
from django_fsspec.core.batches import batches
from django_fsspec.core.stat import Stat
from django_fsspec.storage.foreign import Plain, reach
from django_fsspec.storage.fsspec_storage import FSSpecStorage

#: files noted at a time
_PAGE = 1000
#: objects of others in a row after which a listing is left for the next folder of ours
_PATIENCE = 5000
#: sorts after every name
_LAST = chr(0x10FFFF)


class Facts:
    """What is told of the files of the storage `alias`, which is asked for when there are any.

    Kept in a temporary file: memory stays flat, whatever the number of files.
    """

    def __init__(self, alias: Callable[[], str]) -> None:
        self._alias = alias
        # "" is a file that SQLite removes by itself, and only makes when memory runs short
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(
            "CREATE TABLE wanted (name TEXT PRIMARY KEY, folder TEXT, facts TEXT) WITHOUT ROWID"
        )
        #: wanted, and not found yet
        self._left = 0

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    @cached_property
    def _storage(self) -> Storage:
        return storages[self._alias()]

    def _fits(self, path: str) -> bool:
        """Whether the storage can hold a file of this name at all; others than ours may."""
        if not isinstance(self._storage, FSSpecStorage):
            return True
        try:
            names.check_name(path)
            names.check_directory(posixpath.dirname(path))
        except SuspiciousFileOperation:
            return False
        return True

    def want(self, paths: Iterable[str]) -> None:
        """Note files to look for."""
        rows = [(path, posixpath.dirname(path)) for path in paths if self._fits(path)]
        with self._transaction():
            done = self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?, ?, NULL)", rows)
            self._left += max(0, done.rowcount)

    def read(self) -> None:
        """Look for the files: 1 request a thousand, or more where the storage can't do better."""
        if not self._left:
            return
        storage = self._storage
        if not isinstance(storage, FSSpecStorage):
            self._ask(storage)
            return
        folder: str | None = self._common_folder()
        position = ""
        while folder is not None:
            position = self._walk(storage, folder, position)
            folder = self._folder_after(position)

    def of(self, paths: Iterable[str]) -> dict[str, Stat | None]:
        """Return what is known of files, None for one that is not there.

        What a row got after ``want()`` is looked for now, 1 request each.
        """
        found: dict[str, Stat | None] = {}
        for chunk in batches(paths, 500):
            places = ", ".join("?" * len(chunk))
            sql = f"SELECT name, facts FROM wanted WHERE name IN ({places})"  # noqa: S608
            found |= {name: _unpacked(name, facts) for name, facts in self._db.execute(sql, chunk)}
            found |= {path: self._look(path) for path in chunk if path not in found}
        return found

    def _look(self, path: str) -> Stat | None:
        try:
            return reach(self._storage).stat(path)
        except (FileNotFoundError, SuspiciousFileOperation):
            return None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        yield
        self._db.execute("COMMIT")

    def _note(self, stats: Iterable[Stat]) -> int:
        """Keep what is told of files that are wanted; return how many those were."""
        rows = [(_packed(stat), stat.name) for stat in stats]
        with self._transaction():
            sql = "UPDATE wanted SET facts = ? WHERE name = ? AND facts IS NULL"
            hits = self._db.executemany(sql, rows).rowcount
        self._left -= hits
        return hits

    # listings of ours

    def _walk(self, storage: FSSpecStorage, folder: str, position: str) -> str:
        """Read the listing of a folder; return the name up to which nothing is to be found."""
        idle = 0
        listing = storage.walk(folder)
        for page in batches(listing, _PAGE):
            idle = 0 if self._note(page) else idle + len(page)
            if not self._left:
                return _LAST
            position = max(position, page[-1].name)
            if idle >= _PATIENCE and self._leads_away(folder, position):
                return position
        return max(position, names.join(folder, _LAST))

    def _leads_away(self, folder: str, position: str) -> bool:
        """Whether the rest of `folder` can be left for what is next wanted.

        Not when something is wanted beside `position`: it would have to be listed again.
        """
        following = self._folder_after(position)
        if following is None:
            return True
        parts = position.split("/")[:-1]
        around = ["/".join(parts[:count]) for count in range(len(parts) + 1)]
        places = ", ".join("?" * len(around))
        sql = (
            "SELECT EXISTS (SELECT 1 FROM wanted WHERE name > ? AND facts IS NULL "  # noqa: S608
            f"AND folder IN ({places}))"
        )
        (beside,) = self._db.execute(sql, [position, *around]).fetchone()
        return f"{following}/" > position and not beside

    def _common_folder(self) -> str:
        # names are sorted: those between the two share what these share
        (ends,) = self._db.execute("SELECT MIN(name), MAX(name) FROM wanted")
        return str(posixpath.commonpath([posixpath.dirname(name) for name in ends]))

    def _folder_after(self, position: str) -> str | None:
        """Return the topmost folder of the next wanted file that begins after `position`."""
        sql = "SELECT MIN(name) FROM wanted WHERE name > ? AND facts IS NULL"
        (name,) = self._db.execute(sql, [position]).fetchone()
        if name is None:
            return None
        parts = name.split("/")[:-1]
        folders = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        deepest = folders[-1] if folders else ""
        return next((folder for folder in folders if f"{folder}/" > position), deepest)

    # Django's API

    def _ask(self, storage: Storage) -> None:
        """List each folder for what is there, then ask for size and time of each file."""
        rows = self._db.execute("SELECT folder, name FROM wanted ORDER BY folder")
        for folder, group in groupby(rows, key=lambda row: row[0]):
            there = _listed(storage, folder)
            wanted = (name for _, name in group)
            stats = (self._asked(storage, name, there) for name in wanted)
            for chunk in batches((stat for stat in stats if stat is not None), _PAGE):
                self._note(chunk)

    def _asked(self, storage: Storage, name: str, there: set[str] | None) -> Stat | None:
        if there is not None and posixpath.basename(name) not in there:
            return None
        try:
            if there is None and not storage.exists(name):
                return None
            return Plain(storage).stat(name)
        except (FileNotFoundError, SuspiciousFileOperation):
            return None


def _listed(storage: Storage, folder: str) -> set[str] | None:
    """Return the names of the files in a folder, None where the storage can't list."""
    try:
        return set(storage.listdir(folder)[1])
    except (FileNotFoundError, NotADirectoryError, SuspiciousFileOperation):
        return set()
    except NotImplementedError:
        return None


def _packed(stat: Stat) -> str:
    time = None if stat.last_modified is None else stat.last_modified.timestamp()
    return json.dumps(
        [stat.size, time, stat.content_type, stat.etag, stat.version_id, stat.checksum]
    )


def _unpacked(name: str, facts: str | None) -> Stat | None:
    if facts is None:
        return None
    size, time, content_type, etag, version_id, checksum = json.loads(facts)
    return Stat(
        name=name,
        size=size,
        last_modified=None if time is None else datetime.fromtimestamp(time, UTC),
        content_type=content_type,
        etag=etag,
        version_id=version_id,
        checksum=checksum,
    )
