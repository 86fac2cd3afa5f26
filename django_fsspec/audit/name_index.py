"""Names of files by the million, from rows and from listings, on disk rather than in memory.

Listings are not all ordered as names are (SeaweedFS goes by folder, Azurite by UTF-16), and
databases order by their collations: two streams can't be merged by trusting their order. A
temporary SQLite database puts both into one.
"""

from __future__ import annotations

import posixpath
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from django_fsspec.core.stat import Stat

#: names read from it at a time, and asked for in one query
_PAGE = 1000
_HELD, _LISTED = 1, 2

# BLOB, because names of local files may hold bytes that are no text
_TABLES = """
CREATE TABLE names (
    part INTEGER, name BLOB, sides INTEGER, size INTEGER, modified REAL,
    content_type TEXT, etag TEXT, version_id TEXT, checksum TEXT,
    PRIMARY KEY (part, name)
) WITHOUT ROWID;
CREATE TABLE likes (name BLOB PRIMARY KEY, listed BLOB) WITHOUT ROWID;
"""
_FACTS = "name, size, modified, content_type, etag, version_id, checksum"
_HOLD = "INSERT INTO names (part, name, sides) VALUES (?, ?, 1) ON CONFLICT DO NOTHING"
_SHOW = """
INSERT INTO names (part, name, sides, size, modified) VALUES (?, ?, 2, ?, ?)
ON CONFLICT DO UPDATE SET sides = sides | 2, size = excluded.size, modified = excluded.modified
"""
_DESCRIBE = """
UPDATE names SET sides = 3, size = ?, modified = ?, content_type = ?, etag = ?, version_id = ?,
    checksum = ? WHERE part = ? AND name = ?
"""


class Listed(NamedTuple):
    """An object of a listing. `size` is in bytes, `modified` in epoch seconds."""

    name: str
    size: int | None
    modified: float | None


class Catalogue:
    """Which names rows hold, and which a listing shows, in parts (one a storage).

    A context manager. It lies in SQLite's own temporary file (``SQLITE_TMPDIR``, ``TMPDIR``,
    ``/var/tmp``), about 100 bytes a name, gone when it is closed or the process dies.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -16000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_TABLES)
        # one transaction, never committed: every statement would write its pages otherwise
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._db.close()

    # taking in

    def hold(self, part: int, names: Iterable[str]) -> None:
        """Note names that rows hold."""
        self._db.executemany(_HOLD, ((part, _key(name)) for name in names))

    def show(self, part: int, stats: Iterable[Stat]) -> None:
        """Note objects that a listing shows."""
        self._db.executemany(
            _SHOW, ((part, _key(stat.name), stat.size, _seconds(stat)) for stat in stats)
        )

    def describe(self, part: int, stats: Iterable[Stat]) -> None:
        """Note all that a listing tells of names that rows hold; others are left out."""
        self._db.executemany(_DESCRIBE, ((*_facts(stat), part, _key(stat.name)) for stat in stats))

    # giving out

    def held(self, part: int) -> Iterator[str]:
        """Yield the names that rows hold, ordered."""
        for (name,) in self._pages("name", f"part = ? AND sides & {_HELD}", part):
            yield _text(name)

    def folders(self, part: int, most: int) -> list[str]:
        """Return folders that hold all names that rows hold, the deepest, but at most `most`.

        None of them lies in another.
        """
        found, depth = {""}, 1
        while (deeper := self._folders(part, depth, most)) not in (None, found):
            found, depth = deeper, depth + 1
        return [folder for folder in sorted(found) if found.isdisjoint(_above(folder))]

    def _folders(self, part: int, depth: int, most: int) -> set[str] | None:
        found: set[str] = set()
        for name in self.held(part):
            found.add("/".join(name.split("/")[:-1][:depth]))
            if len(found) > most:
                return None
        return found

    def count_held(self, part: int, *, unlisted: bool = False) -> int:
        """Return how many names rows hold, or of them how many no listing showed."""
        wanted = f"sides = {_HELD}" if unlisted else f"sides & {_HELD}"
        query = f"SELECT COUNT(*) FROM names WHERE part = ? AND {wanted}"  # noqa: S608
        return int(self._db.execute(query, (part,)).fetchone()[0])

    def orphans(self, part: int) -> Iterator[Listed]:
        """Yield what a listing showed and no row holds, ordered by name."""
        for name, *facts in self._pages(
            "name, size, modified", f"part = ? AND sides = {_LISTED}", part
        ):
            yield Listed(_text(name), *facts)

    def unlisted(self, part: int, names: Sequence[str]) -> set[str]:
        """Return those of `names` that rows held and no listing showed."""
        found = self._among("name", part, names, f"AND sides = {_HELD}")
        return {_text(name) for (name,) in found}

    def facts(self, part: int, names: Sequence[str]) -> dict[str, Stat]:
        """Return what a listing told of those of `names` that it showed."""
        found = self._among(_FACTS, part, names, f"AND sides = {_HELD | _LISTED}")
        return {stat.name: stat for stat in map(_stat, found)}

    # names that a filesystem may take for one

    def alike(self, part: int) -> Iterator[tuple[str, str]]:
        """Yield (held, listed) for what may be one file under two spellings.

        Of names that rows hold and no listing shows, beside those that no row holds.
        """
        self._db.execute("DELETE FROM likes")
        rows = ((_key(likeness(found.name)), _key(found.name)) for found in self.orphans(part))
        self._db.executemany("INSERT OR REPLACE INTO likes VALUES (?, ?)", rows)
        for (held,) in self._pages("name", f"part = ? AND sides = {_HELD}", part):
            query = "SELECT listed FROM likes WHERE name = ?"
            for (listed,) in self._db.execute(query, (_key(likeness(_text(held))),)).fetchall():
                yield _text(held), _text(listed)

    def unite(self, part: int, held: str, listed: str) -> None:
        """Note that two names are one file."""
        query = f"UPDATE names SET sides = {_HELD | _LISTED} WHERE part = ? AND name IN (?, ?)"  # noqa: S608
        self._db.execute(query, (part, _key(held), _key(listed)))

    def _pages(self, columns: str, condition: str, part: int) -> Iterator[tuple[Any, ...]]:
        """Yield rows in the order of names, of which `columns` has the first; may be changed."""
        query = f"SELECT {columns} FROM names WHERE {condition} AND name > ? ORDER BY name LIMIT ?"  # noqa: S608
        last = b""
        while rows := self._db.execute(query, (part, last, _PAGE)).fetchall():
            yield from rows
            last = rows[-1][0]

    def _among(
        self, columns: str, part: int, names: Sequence[str], condition: str
    ) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(names), _PAGE):
            some = [_key(name) for name in names[start : start + _PAGE]]
            marks = ", ".join("?" * len(some))
            query = f"SELECT {columns} FROM names WHERE part = ? AND name IN ({marks}) {condition}"  # noqa: S608
            yield from self._db.execute(query, (part, *some)).fetchall()


def likeness(name: str) -> str:
    """Return what names have in common that a filesystem may take for one.

    Some ignore case, some change the form of Unicode, some read ``a//b`` as ``a/b``.
    """
    text = unicodedata.normalize("NFC", posixpath.normpath(name)).casefold()
    return unicodedata.normalize("NFC", text)


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


def _facts(stat: Stat) -> tuple[Any, ...]:
    told = (stat.content_type, stat.etag, stat.version_id, stat.checksum)
    return (stat.size, _seconds(stat), *told)


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
