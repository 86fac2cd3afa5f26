"""What rows and objects are to be, by the contract alone: a dict of rows for each database."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from django.core.files.storage import storages
from django.db import DatabaseError, connections

from tests.library.models import Dossier

from .property_rows import content_of, is_stored, stored_names, stored_rows

ALIASES = ["default", "other"]
COLUMNS = ["title", "number", "code"]


class StoredFile(NamedTuple):
    """An object of the storage, and the content that it is to have."""

    name: str
    data: bytes


class Row(NamedTuple):
    """A row: its other columns, and its files by field. A volume has a field more."""

    values: dict[str, Any]
    files: dict[str, tuple[StoredFile, ...]]

    def names(self, field: str) -> tuple[str, ...]:
        return tuple(file.name for file in self.files.get(field, ()))


Rows = dict[Any, Row]


@dataclasses.dataclass(eq=False)
class MemoryFile:
    """A file in the memory of a row's instance: unsaved while it has no name."""

    data: bytes
    name: str | None = None
    #: JSON that another row holds too: saved as it is
    shared: bool = False
    #: content that can be read once, and whether a save may have read it
    once: bool = False
    spent: bool = False


class Handle:
    """An instance of a row, and what its attributes are to hold."""

    def __init__(self, instance: Dossier, files: dict[str, list[MemoryFile] | None]) -> None:
        self.instance = instance
        #: by field; None for a deferred field
        self.files = files
        #: names that the instance has read or written, by database, primary key and field
        self.remembered: dict[tuple[str, Any, str], tuple[str, ...]] = {}

    def __repr__(self) -> str:
        return f"{type(self.instance).__name__} {self.instance.pk}"

    @property
    def alias(self) -> str:
        return self.instance._state.db or "default"

    def check_memory(self) -> None:
        """Raise ``AssertionError`` where an attribute holds other files than it is to."""
        for field, files in self.files.items():
            attributes = vars(self.instance)
            assert (field in attributes) == (files is not None), f"{self}.{field} is deferred"
            if files is not None:
                value = attributes[field]
                values = value if isinstance(value, list) else [value] if value else []
                shown = ["" if file.has_pending_data else file.filename for file in values]
                expected = [file.name or "" for file in files]
                assert sorted(shown) == sorted(expected), f"{self}.{field} in memory"

    @property
    def pk(self) -> Any:
        """The primary key that a save writes: a volume's outlives its deletion in the parent's."""
        return self.instance.id

    @property
    def is_deferred(self) -> bool:
        return bool(self.instance.get_deferred_fields())


@dataclasses.dataclass
class Frame:
    """An atomic block: its rows at the start, and what a rollback does to instances."""

    context: Any
    savepoint: bool
    rows: Rows
    undo: list[Callable[[], None]] = dataclasses.field(default_factory=list)


class Database:
    """The rows of a database as its connection sees them, and its open atomic blocks."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.rows: Rows = {}
        self.frames: list[Frame] = []

    @property
    def is_doomed(self) -> bool:
        """Whether the innermost block can only be rolled back."""
        return bool(self.frames) and bool(connections[self.alias].needs_rollback)

    def row_of(self, handle: Handle) -> Row | None:
        """Return the row that an instance would read."""
        row = self.rows.get(handle.pk)
        is_whole = row is None or set(handle.files) <= set(row.files)
        return row if is_whole else None

    def views(self) -> Iterator[Rows]:
        """Yield the rows now, and those that a rollback may bring back."""
        for number, frame in enumerate(self.frames):
            if frame.savepoint or number == 0:
                yield frame.rows
        if not self.is_doomed:
            yield self.rows

    def enter(self, context: Any, savepoint: bool) -> None:
        self.frames.append(Frame(context, savepoint, dict(self.rows)))

    def leave(self, *, rolled_back: bool) -> None:
        """Forget the innermost block, and what it did if it is rolled back now."""
        frame = self.frames.pop()
        if rolled_back and (frame.savepoint or not self.frames):
            self.rows = frame.rows
            for undo in reversed(frame.undo):
                undo()
        elif self.frames:
            self.frames[-1].undo += frame.undo

    def on_rollback(self, undo: Callable[[], None]) -> None:
        if self.frames:
            self.frames[-1].undo.append(undo)


def names_of(rows: Rows) -> set[str]:
    return {file.name for row in rows.values() for files in row.files.values() for file in files}


class Saving:
    """What a save is to make of a row, and how it may fail."""

    may_share = False

    def __init__(
        self, database: Database, handle: Handle, columns: Sequence[str] | None = None
    ) -> None:
        self.database, self.handle = database, handle
        self.row = database.rows.get(handle.pk)
        attributes = vars(handle.instance)
        written = [name for name in [*COLUMNS, *handle.files] if name in attributes]
        self.columns = written if columns is None else [*columns]
        #: by field: the files that the row holds then; a field that keeps its files has no entry
        self.files: dict[str, list[MemoryFile]] = {}
        self.merged: set[str] = set()
        #: the save must raise one of these, if there are any / it may raise these too
        self.failures: set[type[Exception]] = set()
        self.excuses: set[type[Exception]] = set()
        for field in handle.files:
            if field in self.columns:
                self._plan(field)
        #: an UPDATE of some columns: no table gets a new row
        self.is_forced = columns is not None or handle.is_deferred
        if self.is_forced:
            self._check_forced()
        if "code" in self.columns and attributes.get("code") in self.codes_of_others():
            self.failures.add(DatabaseError)

    def _check_forced(self) -> None:
        if self.handle.pk is None:
            self.failures.add(ValueError)
        lacks = self.row is not None and set(self.columns) - {*COLUMNS, *self.row.files}
        if self.row is None or lacks:
            self.failures.add(DatabaseError)

    def codes_of_others(self) -> list[str]:
        """Return the codes that the database refuses: those of other rows."""
        pk = self.handle.pk
        return [row.values["code"] for other, row in self.database.rows.items() if other != pk]

    def _plan(self, field: str) -> None:
        files = self.handle.files[field]
        assert files is not None
        key = (self.database.alias, self.handle.pk, field)
        remembered = self.handle.remembered.get(key)
        is_there = self.row is not None and field in self.row.files
        if is_there and remembered == tuple(file.name for file in files):
            return
        current = self.row.files[field] if self.row is not None and is_there else ()
        files = self.files[field] = list(files)
        if field == "files" and is_there:
            self._merge(files, current, remembered)
        own = {file.name for file in current}
        for file in files:
            if file.name is None:
                self.excuses |= {ValueError} if file.spent else set()
            elif file.name not in own and not file.shared and not is_stored(file.name):
                self.failures.add(FileNotFoundError)

    def _merge(
        self,
        files: list[MemoryFile],
        current: Sequence[StoredFile],
        remembered: tuple[str, ...] | None,
    ) -> None:
        """Add what others added since; remove what others removed."""
        names = {file.name for file in current}
        before = names if remembered is None else set(remembered)
        mine = {file.name for file in files}
        kept = [file for file in files if file.name not in before - names]
        added = [MemoryFile(f.data, f.name) for f in current if f.name not in before | mine]
        if added or len(kept) < len(files):
            self.merged.add("files")
        files[:] = kept + added

    @property
    def is_dangling(self) -> bool:
        """Whether JSON of a file is among the files that no row holds any more."""
        names = names_of(self.database.rows)
        files = [file for planned in self.files.values() for file in planned]
        return any(file.shared and file.name not in names for file in files)

    def failed(self) -> None:
        """Content that can be read once may have been read."""
        for files in self.files.values():
            for file in files:
                file.spent = file.spent or (file.once and file.name is None)

    def succeeded(self, rows: dict[Any, Any]) -> None:
        """Take the names over from the row that the database holds now."""
        handle, alias = self.handle, self.database.alias
        pk = handle.pk
        assert pk in rows, f"{handle} was saved, and is not in {alias!r}"
        before = self.row or Row({}, {})
        attributes = vars(handle.instance)
        values = {
            name: attributes[name] if name in self.columns else before.values[name]
            for name in COLUMNS
        }
        files = dict(before.files)
        for field, planned in self.files.items():
            names = rows[pk].names(field)
            self._check_names(field, planned, names)
            files[field] = tuple(StoredFile(f.name or "", f.data) for f in planned)
        if not self.is_forced:
            for field in handle.files:
                files.setdefault(field, ())
        self.database.rows[pk] = Row(values, files)

    def _check_names(self, field: str, planned: list[MemoryFile], names: tuple[str, ...]) -> None:
        """Give the planned files their names; each row has a file of its own."""
        handle, alias = self.handle, self.database.alias
        expected = [file.data for file in planned]
        assert len(names) == len(planned), f"{handle}.{field}: {names}, expected {expected}"
        if field in self.merged:
            left = list(planned)
            planned[:] = [_pick(left, name) for name in names]
        own = self.row.names(field) if self.row is not None else ()
        others = {name for rows in self.database.views() for name in names_of(rows)} - set(own)
        states = [(file, file.name, file.shared) for file in planned]
        for file, name in zip(planned, names, strict=True):
            is_shared = name == file.name and (file.shared or self.may_share)
            assert is_shared or name not in others, f"{handle}.{field} shares {name}"
            file.name, file.shared = name, False
        memory = handle.files[field]
        assert memory is not None
        before = list(memory)
        memory[:] = planned
        key = (alias, handle.pk, field)
        remembered, now = handle.remembered.get(key), tuple(names)
        handle.remembered[key] = now

        def undo() -> None:
            for (file, former, shared), name in zip(states, names, strict=True):
                if file.name == name:
                    file.name, file.shared = former, shared
                    file.spent = file.spent or (file.once and former is None)
            if handle.files[field] is memory:
                _restore(memory, before, planned)
            if handle.remembered.get(key) is now:
                del handle.remembered[key]
                if remembered is not None:
                    handle.remembered[key] = remembered

        self.database.on_rollback(undo)


def _restore(memory: list[MemoryFile], before: list[MemoryFile], after: list[MemoryFile]) -> None:
    """Take out of a list what a merge added, and put back what it removed."""
    if memory == after:
        memory[:] = before
        return
    added = [file for file in after if file not in before]
    removed = [file for file in before if file not in after]
    memory[:] = [file for file in memory if file not in added] + removed


def _pick(files: list[MemoryFile], name: str) -> MemoryFile:
    """Take the file of a name out of a list, else one of the same content."""
    named = [file for file in files if file.name == name]
    same = [file for file in files if file.data == content_of(name)]
    assert named or same, f"{name} is none of {files}"
    file = (named or same)[0]
    files.remove(file)
    return file


class Oracle:
    """The databases, and the comparison of what is with what is to be."""

    def __init__(self) -> None:
        self.databases = {alias: Database(alias) for alias in ALIASES}
        self._contents: dict[str, bytes] = {}
        #: whether it is in order that the step before left objects that no row holds
        self.is_to_sweep = False
        #: whether a program keeps what was raised, and with it the frames of the traceback
        self.keeps_errors = False
        self.errors: list[Exception] = []

    def __getitem__(self, alias: str) -> Database:
        return self.databases[alias]

    @property
    def has_rows(self) -> bool:
        return any(database.rows for database in self.databases.values())

    @property
    def is_settled(self) -> bool:
        """Whether no transaction is open."""
        return not any(database.frames for database in self.databases.values())

    def names(self) -> set[str]:
        """Return the names that rows hold, or may hold again after a rollback."""
        views = [rows for database in self.databases.values() for rows in database.views()]
        return set().union(*map(names_of, views))

    def sweep(self) -> None:
        """Delete the objects that no row holds."""
        held = self.names()
        for alias, database in self.databases.items():
            rows = {} if database.is_doomed else stored_rows(alias)
            held.update(name for row in rows.values() for f in row.files for name in row.names(f))
        for name in stored_names() - held:
            storages["default"].delete(name)

    def check(self) -> None:
        """Compare rows and objects; raise ``AssertionError`` for a difference."""
        for database in self.databases.values():
            if not database.is_doomed:
                self._check_rows(database)
        if self.is_to_sweep:
            self.is_to_sweep = False
            self.sweep()
        there, expected = stored_names(), self.names()
        assert expected <= there, f"objects are missing: {sorted(expected - there)}"
        for database in self.databases.values():
            for rows in database.views():
                self._check_contents(rows.values())
        if self.is_settled:
            assert there == expected, f"objects of no row: {self._described(there - expected)}"
            self._check_connections()

    def _check_rows(self, database: Database) -> None:
        stored = stored_rows(database.alias)
        shown = {
            pk: (row.values, {f: row.names(f) for f in row.files}) for pk, row in stored.items()
        }
        expected = {
            pk: (row.values, {f: row.names(f) for f in row.files})
            for pk, row in database.rows.items()
        }
        assert shown == expected, f"rows of {database.alias!r}: {shown}, expected {expected}"

    def _check_contents(self, rows: Iterable[Row]) -> None:
        for row in rows:
            for files in row.files.values():
                for file in files:
                    if file.name not in self._contents:
                        self._contents[file.name] = content_of(file.name)
                    assert self._contents[file.name] == file.data, file.name

    @staticmethod
    def _check_connections() -> None:
        for alias in ALIASES:
            connection = connections[alias]
            assert connection.execute_wrappers == [], f"a wrapper stays on {alias!r}"
            assert connection.run_on_commit == [], f"a callback stays on {alias!r}"
            assert connection.get_autocommit(), f"{alias!r} is left in a transaction"

    @staticmethod
    def _described(names: Iterable[str]) -> list[tuple[str, bytes]]:
        return [(name, content_of(name)) for name in sorted(names)]
