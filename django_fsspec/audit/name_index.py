"""NameIndex: a temporary SQLite index of names that rows hold and that a storage lists.

Listings are not all ordered by name (SeaweedFS lists folder by folder, Azurite orders by UTF-16),
and databases order by their collations. So the two can't be merged as sorted streams: the index
holds both.
"""

from __future__ import annotations

import posixpath
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from django_fsspec.core.names import folded
from django_fsspec.core.stat import Stat

#: names read from the index, or looked up in it, at a time
_PAGE = 1000
#: bits of the column `sides`: rows hold the name; a listing shows it
_HELD, _LISTED = 1, 2

# BLOB: names of local files may hold bytes that are not UTF-8
_TABLES = """
CREATE TABLE names (
    part INTEGER, name BLOB, sides INTEGER, size INTEGER, modified REAL,
    content_type TEXT, etag TEXT, version_id TEXT, checksum TEXT,
    PRIMARY KEY (part, name)
) WITHOUT ROWID;
CREATE TABLE likes (name BLOB PRIMARY KEY, listed BLOB) WITHOUT ROWID;
CREATE TABLE links (
    part INTEGER, size INTEGER, modified REAL, name BLOB, PRIMARY KEY (part, size, modified, name)
);
CREATE TABLE folders (name BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_COLUMNS = "name, size, modified, content_type, etag, version_id, checksum"
_HOLD = "INSERT INTO names (part, name, sides) VALUES (?, ?, 1) ON CONFLICT DO NOTHING"
_SHOW = """
INSERT INTO names (part, name, sides, size, modified) VALUES (?, ?, 2, ?, ?)
ON CONFLICT DO UPDATE SET sides = sides | 2, size = excluded.size, modified = excluded.modified
"""
_LINK = "INSERT INTO links (part, size, modified, name) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_HOLD_LINKED = """
UPDATE names SET sides = 3 WHERE part = ? AND sides = 2 AND EXISTS (
    SELECT 1 FROM links JOIN names AS held ON held.part = links.part AND held.name = links.name
    WHERE links.part = names.part AND held.sides & 1
    AND links.size = names.size AND links.modified = names.modified
)
"""
_DESCRIBE = """
UPDATE names SET sides = 3, size = ?, modified = ?, content_type = ?, etag = ?, version_id = ?,
    checksum = ? WHERE part = ? AND name = ? AND sides = 1
"""


class Listed(NamedTuple):
    """An object in a listing. `size` is in bytes, `modified` in epoch seconds."""

    name: str
    size: int | None
    modified: float | None


class NameIndex:
    """The names that rows hold and those that a listing shows, in numbered parts (1 a storage).

    A context manager. The names are in a temporary file of SQLite's (in ``SQLITE_TMPDIR``,
    ``TMPDIR`` or ``/var/tmp``), about 100 bytes a name. SQLite deletes it when the index is closed
    or the process dies.
    """

    def __init__(self) -> None:
        # the garbage collector may close it in another thread
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -16000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_TABLES)
        self._db.create_function("folder", 1, _folder, deterministic=True)
        # one transaction, never committed: every statement would write its pages otherwise
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the index."""
        self._db.close()

    # filling

    def add_referenced(self, part: int, names: Iterable[str]) -> None:
        """Add names that rows hold."""
        self._db.executemany(_HOLD, ((part, _key(name)) for name in names))

    def add_listed(self, part: int, stats: Iterable[Stat]) -> None:
        """Add objects that a listing shows."""
        self._db.executemany(
            _SHOW, ((part, _key(stat.name), stat.size, _seconds(stat)) for stat in stats)
        )

    def add_links(self, part: int, stats: Iterable[Stat]) -> None:
        """Add names that are links to files, or lie behind a link to a folder."""
        self._db.executemany(
            _LINK, ((part, stat.size, _seconds(stat), _key(stat.name)) for stat in stats)
        )

    def describe(self, part: int, stats: Iterable[Stat]) -> int:
        """Add the stats of names that rows hold; return how many names got theirs.

        Other names, and names that have theirs, are left out.
        """
        rows = ((*_columns(stat), part, _key(stat.name)) for stat in stats)
        return self._db.executemany(_DESCRIBE, rows).rowcount

    # reading

    def held(self, part: int) -> Iterator[str]:
        """Yield the names that rows hold, in order."""
        for (name,) in self._pages("name", f"part = ? AND sides & {_HELD}", part):
            yield _text(name)

    def held_by_folder(self, part: int) -> Iterator[tuple[str, str]]:
        """Yield (folder, name) of the names that rows hold, folder by folder."""
        query = "SELECT folder(name), name FROM names WHERE part = ? AND sides & 1 ORDER BY 1"
        for folder, name in self._db.execute(query, (part,)):
            yield _text(folder), _text(name)

    def folders(self, part: int, most: int) -> list[str]:
        """Return the deepest folders that hold all names of rows, at most `most` of them.

        None of them is inside another.
        """
        folders, depth = {""}, 1
        while (deeper := self._folders(part, depth, most)) not in (None, folders):
            folders, depth = deeper, depth + 1
        return [folder for folder in sorted(folders) if folders.isdisjoint(_above(folder))]

    def common_folder(self, part: int) -> str:
        """Return the deepest folder that holds all names: those between two share their folder."""
        query = "SELECT MIN(name), MAX(name) FROM names WHERE part = ?"
        first, last = self._db.execute(query, (part,)).fetchone()
        return posixpath.commonpath([_text(_folder(first)), _text(_folder(last))])

    def _folders(self, part: int, depth: int, most: int) -> set[str] | None:
        folders: set[str] = set()
        for name in self.held(part):
            folders.add("/".join(name.split("/")[:-1][:depth]))
            if len(folders) > most:
                return None
        return folders

    def count_held(self, part: int, *, unlisted: bool = False) -> int:
        """Return how many names rows hold; with `unlisted`, those that no listing shows."""
        wanted = f"sides = {_HELD}" if unlisted else f"sides & {_HELD}"
        query = f"SELECT COUNT(*) FROM names WHERE part = ? AND {wanted}"  # noqa: S608
        return int(self._db.execute(query, (part,)).fetchone()[0])

    def orphans(self, part: int) -> Iterator[Listed]:
        """Yield the objects that a listing shows and no row holds, in order of their names."""
        condition = f"part = ? AND sides = {_LISTED}"
        for name, *columns in self._pages("name, size, modified", condition, part):
            yield Listed(_text(name), *columns)

    def count_orphans(self, part: int, limit: float) -> tuple[int, int]:
        """Return number and bytes of orphans that were not modified after `limit`."""
        what = "COUNT(*), COALESCE(SUM(size), 0)"
        query = f"SELECT {what} FROM names WHERE part = ? AND sides = {_LISTED} AND modified <= ?"  # noqa: S608
        files, size = self._db.execute(query, (part, limit)).fetchone()
        return files, size

    def unlisted(self, part: int, names: Sequence[str]) -> set[str]:
        """Return those of `names` that rows hold and no listing shows."""
        rows = self._among("name", part, names, f"AND sides = {_HELD}")
        return {_text(name) for (name,) in rows}

    def next_unlisted(self, part: int, after: str) -> str | None:
        """Return the first name greater than `after` that rows hold and no listing shows."""
        query = f"SELECT MIN(name) FROM names WHERE part = ? AND name > ? AND sides = {_HELD}"  # noqa: S608
        (name,) = self._db.execute(query, (part, _key(after))).fetchone()
        return None if name is None else _text(name)

    def has_unlisted(self, part: int, folder: str, after: str) -> bool:
        """Return whether a name directly in `folder`, greater than `after`, is not listed."""
        start = _key(f"{folder}/" if folder else "")
        query = (
            "SELECT EXISTS (SELECT 1 FROM names WHERE part = ? AND name > ? AND sides = 1 "
            "AND substr(name, 1, ?) = ? AND instr(substr(name, ?), x'2f') = 0)"
        )
        values = (part, max(start, _key(after)), len(start), start, len(start) + 1)
        return bool(self._db.execute(query, values).fetchone()[0])

    def stats(self, part: int, names: Sequence[str]) -> dict[str, Stat]:
        """Return the stats of those of `names` that rows hold and a listing shows."""
        rows = self._among(_COLUMNS, part, names, f"AND sides = {_HELD | _LISTED}")
        return {stat.name: stat for stat in map(_stat, rows)}

    def forget(self, part: int, names: Sequence[str]) -> None:
        """Drop names."""
        keys = ((part, _key(name)) for name in names)
        self._db.executemany("DELETE FROM names WHERE part = ? AND name = ?", keys)

    # names that a filesystem may take for one file

    def unlisted_folders(self, part: int) -> Iterator[str]:
        """Yield the folders of names that rows hold and no listing shows."""
        self._db.execute("DELETE FROM folders")
        query = "INSERT INTO folders SELECT DISTINCT folder(name) FROM names "
        self._db.execute(f"{query} WHERE part = ? AND sides = {_HELD}", (part,))
        last = b""
        query = "SELECT name FROM folders WHERE name >= ? ORDER BY name LIMIT ?"
        while rows := self._db.execute(query, (last, _PAGE)).fetchall():
            for (folder,) in rows:
                yield _text(folder)
            last = rows[-1][0] + b"\0"

    def hold_linked(self, part: int) -> None:
        """Count orphans as held that have size and time of what a link in a row leads to."""
        self._db.execute(_HOLD_LINKED, (part,))

    def alike(self, part: int) -> Iterator[tuple[str, str]]:
        """Yield (held, listed): two names that may be one file, spelled in two ways.

        The first is held by rows and not listed, the second is listed and held by no row.
        """
        self._db.execute("DELETE FROM likes")
        rows = ((_key(likeness(orphan.name)), _key(orphan.name)) for orphan in self.orphans(part))
        self._db.executemany("INSERT OR REPLACE INTO likes VALUES (?, ?)", rows)
        for (held,) in self._pages("name", f"part = ? AND sides = {_HELD}", part):
            query = "SELECT listed FROM likes WHERE name = ?"
            for (listed,) in self._db.execute(query, (_key(likeness(_text(held))),)).fetchall():
                yield _text(held), _text(listed)

    def unite(self, part: int, held: str, listed: str) -> None:
        """Count two names as one file, which is held and listed."""
        query = f"UPDATE names SET sides = {_HELD | _LISTED} WHERE part = ? AND name IN (?, ?)"  # noqa: S608
        self._db.execute(query, (part, _key(held), _key(listed)))

    def _pages(self, columns: str, condition: str, part: int) -> Iterator[tuple[Any, ...]]:
        """Yield rows in order of their names; `columns` begins with the name.

        The index may be changed meanwhile.
        """
        query = f"SELECT {columns} FROM names WHERE {condition} AND name > ? ORDER BY name LIMIT ?"  # noqa: S608
        last = b""
        while rows := self._db.execute(query, (part, last, _PAGE)).fetchall():
            yield from rows
            last = rows[-1][0]

    def _among(
        self, columns: str, part: int, names: Sequence[str], condition: str
    ) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(names), _PAGE):
            keys = [_key(name) for name in names[start : start + _PAGE]]
            marks = ", ".join("?" * len(keys))
            query = f"SELECT {columns} FROM names WHERE part = ? AND name IN ({marks}) {condition}"  # noqa: S608
            yield from self._db.execute(query, (part, *keys)).fetchall()


def likeness(name: str) -> str:
    """Return what names have in common that a filesystem may take for one.

    Some ignore case, some change the form of Unicode, some read ``a//b`` as ``a/b``.
    """
    return folded(posixpath.normpath(name))


def _above(folder: str) -> Iterator[str]:
    """Yield the folders that a folder lies in."""
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")


def _seconds(stat: Stat) -> float | None:
    return None if stat.last_modified is None else stat.last_modified.timestamp()


def _folder(key: bytes) -> bytes:
    return key.rpartition(b"/")[0]


def _columns(stat: Stat) -> tuple[Any, ...]:
    texts = (stat.content_type, stat.etag, stat.version_id, stat.checksum)
    return (stat.size, _seconds(stat), *texts)


def _stat(row: tuple[Any, ...]) -> Stat:
    name, size, modified, content_type, etag, version_id, checksum = row
    return Stat(
        name=_text(name),
        size=size,
        last_modified=None if modified is None else datetime.fromtimestamp(modified, UTC),
        content_type=content_type,
        etag=etag,
        version_id=version_id,
        checksum=checksum,
    )
