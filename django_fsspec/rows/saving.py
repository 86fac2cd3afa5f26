"""Saving rows: store files before the INSERT or UPDATE, delete replaced files after the commit.

``pre_save()`` returns a :class:`RowWrite`, which Django compiles into the INSERT or UPDATE. Only
there the connection and all rows of a ``bulk_create()`` are known, so files are stored there. A
``Settlement`` does what follows on commit or rollback.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.core.files.storage import storages
from django.db import connections, router, transaction
from django.db.models import Case, F, When
from django.db.models.sql import InsertQuery

from django_fsspec.objects import bulk
from django_fsspec.objects.file_object import FileObject

from .references import stored_among, values_of_rows
from .transactions import (
    FileChange,
    Settlement,
    never_executed,
    remember,
    remembered,
    rolled_back,
    settle,
)
from .values import Ref, files_of, from_column, refs_of, to_json

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model
    from django.db.models.sql.compiler import SQLCompiler

    from .protocols import StoredField

#: attribute of a compiler: the Statement that it compiles
_STATEMENT = "stored_objects"


class RowWrite:
    """The value of a field that a statement writes into a row, as ``pre_save()`` returns it.

    It has ``as_sql()`` but is no expression: Django 6 reads expressions back after a save.
    """

    def __init__(self, field: StoredField, instance: Model, *, adding: bool) -> None:
        self.field, self.instance, self.adding = field, instance, adding
        #: the value when the row was read, and the value now, with the row locked
        self.before: Any = None
        self.current: Any = None
        #: the column keeps its value / the value names the same file, with other metadata
        self.unchanged = self.same_file = False
        #: a file is stored or copied for it / the row must be locked before the value is known
        self.stores = self.late = False
        #: the parameter that the statement was compiled with
        self.given: Any = None

    @property
    def value(self) -> Any:
        """The value of the row's attribute."""
        return vars(self.instance).get(self.field.attname)

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        """Store the files of the whole statement; return SQL and parameters for the column."""
        Statement.of(compiler, connection).adopt(self)
        if self.unchanged:
            # not the value that was read: another process may have replaced the file since
            return connection.ops.quote_name(str(self.field.column)), ()
        if self.same_file and not self.late:
            return self._unless_replaced(compiler, self.value)
        self.given = self.parameter(connection)
        return "%s", (self.given,)

    def parameter(self, connection: BaseDatabaseWrapper) -> Any:
        """Return the parameter for the column."""
        kept = self.late and self.same_file and refs_of(self.current) != refs_of(self.before)
        value = self.current if kept else self.value
        return None if value is None else connection.ops.adapt_json_value(to_json(value), None)

    def _unless_replaced(
        self, compiler: SQLCompiler, file: FileObject
    ) -> tuple[str, tuple[Any, ...]]:
        """Return SQL that changes no row whose file was replaced meanwhile."""
        from django.db.models import Value

        name = self.field.name
        same = {f"{name}__filename": file.filename, f"{name}__backend": file.backend}
        value = Value(file, output_field=self.field)  # type: ignore[arg-type]
        case = Case(When(**same, then=value), default=F(name))
        resolved = case.resolve_expression(compiler.query, allow_joins=False, for_save=True)
        sql, params = compiler.compile(resolved)
        return sql, tuple(params)


class Statement:
    """One INSERT or UPDATE: stores the files of its rows, and undoes that if it fails."""

    def __init__(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._writes = {
            (id(write.instance), write.field): write for write in _writes(compiler.query)
        }
        self._changes: list[FileChange] = []
        try:
            for write in self._writes.values():
                self._compare(write)
            changed = [write for write in self._writes.values() if not write.unchanged]
            self._store(changed)
            self._late = [write for write in changed if self._is_late(write)]
            for write in changed:
                write.late = write in self._late
                if not write.late:
                    self._note(write)
        except BaseException:
            rolled_back(self._changes, sure=True)
            raise
        if not changed:
            return
        if connection.in_atomic_block:
            self._settle()
        else:
            weakref.finalize(self, never_executed, self._changes).atexit = False
            _Watch(self, compiler).begin(connection)

    @classmethod
    def of(cls, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Statement:
        """Return the statement of a compiler, created (and its files stored) by the first call."""
        statement: Statement | None = vars(compiler).get(_STATEMENT)
        if statement is None:
            statement = vars(compiler)[_STATEMENT] = cls(compiler, connection)
        return statement

    def adopt(self, write: RowWrite) -> None:
        """Copy our results to `write`: for an INSERT, the compiler has a RowWrite of its own."""
        twin = self._writes.get((id(write.instance), write.field))
        if twin is not None:
            write.unchanged, write.same_file = twin.unchanged, twin.same_file
            write.late = twin.late
            if twin.late:
                self._late = [write if late is twin else late for late in self._late]
                write.before, write.current, write.stores = twin.before, twin.current, twin.stores

    def _compare(self, write: RowWrite) -> None:
        """Set the value when the row was read, and whether the value is unchanged."""
        if write.adding:
            return
        field, instance = write.field, write.instance
        was_read, raw = remembered(instance, field.attname)
        if was_read:
            write.before = from_column(raw, multiple=field.multiple, db=None)
            write.unchanged = to_json(write.before) == to_json(write.value)
            return
        # the row was never read: if it does not exist, Django inserts it next
        rows = self._held(write)
        write.unchanged = not rows
        write.before = write.current = rows[0] if rows else None

    def _store(self, writes: Iterable[RowWrite]) -> None:
        """Store unsaved content, several files at once; copy files that belong to other rows."""
        waiting: list[FileChange] = []
        for write in writes:
            own = refs_of(write.before)
            for file in files_of(write.value):
                # of another row, or of a deleted one, which may be about to delete it: copy it
                where = refs_of(file) if file.backend in storages.backends else set()
                foreign = file._db is not None and bool(where - own)
                foreign = foreign and bool(where - self._stored_for(write.instance))
                if not file.has_pending_data and not foreign:
                    continue
                change = FileChange(upload=(file, bulk.state_of(file)))
                change.instance = weakref.ref(write.instance)
                self._changes.append(change)
                write.stores = True
                if file.has_pending_data:
                    # a kept upload: its file is deleted once the row has its own
                    kept: Ref | None = getattr(file._pending, "kept_at", None)
                    change.replaced = set() if kept is None else {kept}
                    write.field.prepare(write.instance, file)
                    waiting.append(change)
                else:
                    name = write.field.unique_filename(write.instance, file.original_name)
                    file._adopt(file.copy_to(file.backend, name))
                    change.stored = Ref(file.backend, file.filename)
        files = [change.upload[0] for change in waiting if change.upload is not None]
        if len(files) == 1:
            files[0]._store()  # in this thread, because some content works in no other
        elif files:
            bulk.save_files(files)
        for change, file in zip(waiting, files, strict=True):
            change.stored = Ref(file.backend, file.filename)

    def _stored_for(self, instance: Model) -> set[Ref]:
        """Return what this transaction stored for a row, as by an UPDATE that matched no row."""
        settlements: list[Any] = [entry[1] for entry in self._connection.run_on_commit]
        changes = [
            c for entry in settlements if isinstance(entry, Settlement) for c in entry.changes
        ]
        return {
            change.stored
            for change in changes
            if change.stored and change.instance and change.instance() is instance
        }

    def _is_late(self, write: RowWrite) -> bool:
        """Return whether the row must be locked first: an UPDATE outside of any transaction."""
        return not write.adding and not self._connection.in_atomic_block

    def in_transaction(self, params: Iterable[Any]) -> tuple[Any, ...]:
        """Decide the late values, now that rows can be locked; return all parameters."""
        # first hand over the stored files: waiting for a lock may fail
        self._settle()
        for write in self._late:
            write.current = None
            self._note(write)
        self._settle()
        late = {
            id(write.given): write.parameter(self._connection)
            for write in self._late
            if write.given is not None
        }
        return tuple(late.get(id(param), param) for param in params)

    def _held(self, write: RowWrite) -> list[Any]:
        """Return the value of a row now, and lock it: a list, empty if there is no row."""
        pk = getattr(write.instance, write.field.model._meta.pk.attname)
        values = values_of_rows(self._connection.alias, [write.field], [pk])
        return [value for (value,) in values.values()]

    def _note(self, write: RowWrite) -> None:
        """Add the change of a row: the files that it no longer holds, and its new text."""
        field, instance, value, before = write.field, write.instance, write.value, write.before
        same = isinstance(before, FileObject) and refs_of(before) == refs_of(value)
        write.same_file = same and not write.stores
        if write.current is None and not write.adding and (write.late or not write.same_file):
            # another process may have replaced the file since; its file would become an orphan
            write.current = next(iter(self._held(write)), None)
        gone = refs_of(before) - refs_of(value)
        added: list[FileObject] = []
        if write.current is not None:
            if field.multiple:
                added = _merge(value, before, write.current)
            if write.same_file and refs_of(write.current) != refs_of(before):
                value = write.current  # another process replaced the file: keep that
            gone = refs_of(write.current) - refs_of(value)
        marked = [file for file in files_of(value) if file._db is None]
        for file in marked:
            file._db = self._connection.alias
        _, raw = remembered(instance, field.attname)
        after = None if value is None else json.dumps(to_json(value))
        change = FileChange(field, weakref.ref(instance), raw, after, marked=marked, added=added)
        change.replaced = gone if field.cleanup else set()
        self._changes.append(change)
        remember(instance, field.attname, after)

    @property
    def has_late(self) -> bool:
        """Whether the statement needs a transaction of its own."""
        return bool(self._late)

    def _settle(self) -> None:
        """Register the changes with the transaction, which applies or undoes them at its end."""
        settle(self._connection, self._changes)
        self._changes.clear()

    def succeeded(self) -> None:
        """Delete replaced files: there was no transaction."""
        Settlement(self._connection.alias, self._changes)()
        self._changes.clear()

    def failed(self) -> None:
        """Undo the changes, unless the connection was lost and the row may be written."""
        connection = self._connection
        answers = connection.connection is not None and connection.is_usable()
        rolled_back(self._changes, sure=answers)

    def not_begun(self) -> None:
        """Undo the changes that no transaction took over: no row holds their files."""
        rolled_back(self._changes, sure=True)


def _writes(query: Any) -> Iterator[RowWrite]:
    """Yield the values of StoredObjectFields in a statement."""
    if not isinstance(query, InsertQuery):
        yield from (value for _, _, value in query.values if isinstance(value, RowWrite))
        return
    fields = stored_among(query.fields)
    for instance in query.objs:
        for field in fields:
            if not hasattr(getattr(instance, field.attname), "resolve_expression"):
                yield RowWrite(field, instance, adding=True)


def _merge(value: Any, before: Any, current: Any) -> list[FileObject]:
    """Remove from a list what other processes removed meanwhile; return what they added."""
    was, now = refs_of(before), refs_of(current)
    value[:] = [file for file in value if not refs_of(file) & (was - now)]
    added = [file for file in files_of(current) if refs_of(file) & (now - was) - refs_of(value)]
    value.extend(added)
    return added


class _Watch:
    """An execute wrapper for a statement outside of any transaction.

    It executes the statement in a transaction of its own where rows must be locked first, because
    other processes may change them.
    """

    def __init__(self, statement: Statement, compiler: SQLCompiler) -> None:
        self._statement = weakref.ref(statement)
        table = compiler.query.get_meta().db_table
        self._table = compiler.connection.ops.quote_name(table)

    def begin(self, connection: BaseDatabaseWrapper) -> None:
        """Watch the next statement of a connection: the one that is being compiled."""
        connection.execute_wrappers.append(self)

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Execute the SQL, then call the statement's succeeded() or failed()."""
        statement = self._statement()
        if statement is not None and self._table not in sql:
            # the initial SQL of a new connection, for example
            return execute(sql, params, many, context)
        context["connection"].execute_wrappers.remove(self)
        if statement is None:  # it was never executed
            return execute(sql, params, many, context)
        if statement.has_late:
            return self._late(statement, execute, sql, params, many, context)
        try:
            result = execute(sql, params, many, context)
            _finish(context["cursor"])
        except BaseException:
            statement.failed()
            raise
        statement.succeeded()
        return result

    @staticmethod
    def _late(
        statement: Statement,
        execute: Callable[..., Any],
        sql: str,
        params: Any,
        many: bool,
        context: Any,
    ) -> Any:
        """Execute the statement in a transaction."""
        alias = context["connection"].alias
        try:
            with transaction.atomic(using=alias):
                result = execute(sql, statement.in_transaction(params), many, context)
                if _finish(context["cursor"]) == 0:
                    # there is no such row; if Django inserts it next, that stores the file
                    transaction.set_rollback(True, using=alias)
        except BaseException:
            statement.not_begun()
            raise
        return result


class _Fetched:
    """A cursor of the database whose rows are already fetched."""

    def __init__(self, cursor: Any, rows: Sequence[Any]) -> None:
        self._cursor, self._rows = cursor, iter(rows)

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _finish(cursor: Any) -> int:
    """Finish a statement; return how many rows it changed.

    SQLite finishes a statement with RETURNING only when its rows are fetched: it checks foreign
    keys then, and can't commit before.
    """
    if cursor.description is None:
        return int(cursor.rowcount)
    rows = cursor.fetchall()
    cursor.cursor = _Fetched(cursor.cursor, rows)
    return len(rows)


def store(instance: Model, field: StoredField, file: FileObject) -> None:
    """Store a row's file without the row. A rollback of the transaction deletes it.

    Raises what ``FileObject.save()`` raises; the file is then what it was.
    """
    change = FileChange(upload=(file, bulk.state_of(file)))
    try:
        field.prepare(instance, file)
        file._store()
    except BaseException:
        change.undo()
        raise
    change.stored = Ref(file.backend, file.filename)
    connection = connections[instance._state.db or router.db_for_write(type(instance))]
    if connection.in_atomic_block:
        settle(connection, [change])
