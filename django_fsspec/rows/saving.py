"""Saving a row: upload its files, then write it in a transaction, the caller's or a new one.

A model with a ``StoredObjectField`` saves each of its tables inside a :class:`RowSave`. Unless the
save is raw, that does nothing until ``pre_save()`` of the field asks it for the value of the
column: saving a row whose files stay is one query without a transaction.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from contextlib import ExitStack
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from django.core.files.storage import storages
from django.db import connections, transaction
from django.db.models import Case, F, Value, When

from django_fsspec.objects import bulk
from django_fsspec.objects.file_object import FileObject

from .claims import check_unused, claim, claimable
from .file_changes import FileChange
from .histories import files_of_owners, owner_of
from .loaded_values import known_entry, set_entry
from .references import in_transaction, stored_among, values_of_rows
from .rollbacks import undo
from .row_signals import storing
from .transactions import settle, stored_in
from .values import Ref, as_text, files_of, from_column, has_pending, merge, refs_of, same_json

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model
    from django.db.models.sql.compiler import SQLCompiler

    from .protocols import StoredField

#: the innermost save that runs in this context; weak, since clients of storages keep contexts
_saves: ContextVar[weakref.ref[RowSave] | None] = ContextVar("django_fsspec_saves", default=None)


class ColumnWrite:
    """The value of one field of one row, on its way into the column."""

    def __init__(self, field: StoredField, instance: Model, *, adding: bool) -> None:
        self.field, self.instance, self.adding = field, instance, adding
        self.value: Any = getattr(instance, field.attname)  # loads a deferred value
        #: the value that the row had as far as is known, and its value now that it is locked
        self.before: Any = None
        self.current: Any = None
        #: the row that a history row follows, and its files: they may be shared
        self.owner = owner_of(instance, field)
        self.shared: set[Ref] = set()
        #: whether `before` is what the column holds, and whether the row was locked for `current`
        self.is_known = self.is_locked = False
        #: whether the column keeps its value, or only the metadata of its file changes
        self.unchanged = self.same_file = False
        #: whether a file is stored, copied or claimed for it
        self.has_new_file = False

    @property
    def is_expression(self) -> bool:
        """Whether the database computes the value."""
        return hasattr(self.value, "resolve_expression")


class KeptColumn:
    """The value of a column in an UPDATE that does not replace its file.

    It has ``as_sql()`` but is no expression: Django 6.1 reads expressions back after a save.
    """

    def __init__(self, write: ColumnWrite) -> None:
        self._field, self._unchanged, self._file = write.field, write.unchanged, write.value

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        """Return the column itself, or SQL that changes no file that was replaced meanwhile."""
        name = self._field.name
        if self._unchanged:
            # not the value that was read: another process may have replaced the file since
            return connection.ops.quote_name(str(self._field.column)), ()
        same = {f"{name}__filename": self._file.filename, f"{name}__backend": self._file.backend}
        value = Value(self._file, output_field=self._field)  # type: ignore[arg-type]
        case = Case(When(**same, then=value), default=F(name))
        resolved = case.resolve_expression(compiler.query, allow_joins=False, for_save=True)
        sql, params = compiler.compile(resolved)
        return sql, tuple(params)


class FileSave:
    """Files stored for rows, and the transaction in which the rows are written.

    A context manager around the statement: an error undoes everything.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.changes: list[FileChange] = []
        #: files that the rows hold since it began: by an UPDATE that matched none, for the INSERT
        self._taken: set[Ref] = set()
        self._transaction = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is not None:
            self._fail(*error)
            return
        try:
            self._succeed()
        except BaseException:
            self._fail(*sys.exc_info())
            raise

    def _succeed(self) -> None:
        self.remember_written()
        if in_transaction(self.connection):
            settle(self.connection, self.changes)
        self._transaction.close()

    def remember_written(self) -> None:
        """Remember what the columns hold now."""
        for change in self.changes:
            change.remember_written(self.connection.alias)

    def _fail(self, *error: Any) -> None:
        try:
            if self.connection.in_atomic_block:
                # as Django does for an Exception: a row that may be written is rolled back
                self.connection.set_rollback(True)
            self._transaction.__exit__(*error)
        finally:
            # whatever became of the connection: no COMMIT was sent
            undo(self.changes, sure=True)

    def begin(self) -> None:
        """Begin a transaction for the statement, unless there is one."""
        self.connection.ensure_connection()
        if not in_transaction(self.connection):
            self._transaction.enter_context(transaction.atomic(using=self.connection.alias))

    def prepare(self, writes: list[ColumnWrite]) -> None:
        """Store the files of all values, lock rows whose files change, and note the changes."""
        for write in writes:
            self._compare(write)
        # before the transaction begins: an upload may take long
        self._store(writes)
        self._claim(writes)
        for write in writes:
            if not write.adding and not write.is_known:
                self._lock(write)
                write.before = write.current
        changed = [write for write in writes if not write.unchanged]
        followers = [(write, write.owner) for write in changed if write.owner and write.value]
        if followers:
            self.begin()
            files = files_of_owners(self.connection, [owner for _, owner in followers])
            for write, owner in followers:
                write.shared = files[owner]
        for write in changed:
            self._copy_foreign(write, refs_of(write.before) | write.shared | self._taken)
        if any(write.has_new_file for write in changed):
            self.begin()
        for write in changed:
            self._note(write)

    def _compare(self, write: ColumnWrite) -> None:
        """Set the value that the row has, if that is known, and whether the new one is equal."""
        if write.adding:
            return
        entry = known_entry(write.instance, write.field, self.connection.alias)
        if entry is not None:
            write.is_known = True
            write.before = from_column(entry[1], multiple=write.field.multiple, db=None)
            is_equal = same_json(write.before, write.value)
            write.unchanged = is_equal and not has_pending(write.value)

    def _store(self, writes: Iterable[ColumnWrite]) -> None:
        """Store unsaved content, several files at once."""
        changes: list[FileChange] = []
        for write in writes:
            for file in files_of(write.value):
                if file.has_pending_data:
                    _set_times(write)
                    changes.append(self._change_for(write, file))
                    write.field.prepare(write.instance, file)
        if not changes:
            return
        # a database that can't be reached costs no upload
        self.connection.ensure_connection()
        files = [change.upload[0] for change in changes if change.upload is not None]
        with storing(changes):
            if len(files) == 1:
                files[0]._store()  # in this thread, because some content works in no other
            else:
                bulk.save_files(files)

    def _claim(self, writes: Iterable[ColumnWrite]) -> None:
        """Claim the files of receipts, so that no other row gets them."""
        claimed = []
        for write in writes:
            files = [] if write.unchanged else claimable(write.value)
            write.has_new_file |= bool(files)
            for file in files:
                claimed.append(file)
                self.changes.append(claim(file, write.instance))
        if claimed:
            self.begin()
            check_unused(self.connection.alias, claimed)

    def _change_for(self, write: ColumnWrite, file: FileObject) -> FileChange:
        change = FileChange(instance=weakref.ref(write.instance))
        change.upload = (file, bulk.state_of(file))
        # a kept upload: its file is deleted once the row has its own
        kept: Ref | None = getattr(file._pending, "kept_at", None)
        change.replaced = set() if kept is None else {kept}
        self.changes.append(change)
        write.has_new_file = True
        return change

    def _copy_foreign(self, write: ColumnWrite, own: set[Ref]) -> None:
        """Copy files of another row, or of a deleted one: it may be about to delete them."""
        for file in files_of(write.value):
            if not file._db or file.backend not in storages.backends or refs_of(file) <= own:
                continue
            change = self._change_for(write, file)
            name = write.field.unique_filename(write.instance, file.original_name)
            with storing([change]):
                file._adopt(file.copy_to(file.backend, name))

    def _lock(self, write: ColumnWrite) -> None:
        """Lock the row, and read its value; None where there is no row."""
        self.begin()
        pk = getattr(write.instance, write.field.model._meta.pk.attname)
        values = values_of_rows(self.connection.alias, [write.field], [pk])
        write.current = next((value for (value,) in values.values()), None)
        write.is_locked = True

    def _note(self, write: ColumnWrite) -> None:
        """Note which files the row no longer holds, and what its column holds after the save."""
        value, before = write.value, write.before
        is_same = isinstance(before, FileObject) and refs_of(before) == refs_of(value)
        write.same_file = is_same and not write.has_new_file
        if not (write.adding or write.is_locked or write.same_file):
            # another process may have replaced the file since; its file would become an orphan
            self._lock(write)
        former = None
        if write.field.multiple and write.current is not None:
            former = merge(value, before, write.current)
        new = [file for file in files_of(value) if file._db is None]
        for file in new:
            file._db = self.connection.alias
        self._taken |= refs_of(new)
        # a rollback deletes what this transaction has stored, and unless it was by this object,
        # which gets its content back, the next save says that the file is gone
        stored = stored_in(self.connection) if new else {}
        marked = [f for f in new if f.filename not in stored or stored[f.filename]() is f]
        change = FileChange(weakref.ref(write.instance), write.field, marked=marked)
        change.merged = None if former is None else (former, list(value))
        change.text = as_text(value)
        if write.field.cleanup:
            held = before if write.current is None else write.current
            change.replace(held, value)
        self.changes.append(change)


class RowSave(FileSave):
    """The save of one row into one table, around ``Model._save_table()``."""

    def __init__(
        self, instance: Model, model: type[Model], using: str, names: Any, *, raw: bool
    ) -> None:
        super().__init__(connections[using])
        self.instance, self._raw = instance, raw
        self.fields = [
            field
            for field in stored_among(model._meta.local_concrete_fields)
            if not names or field.name in names
        ]
        #: by whether it is an INSERT: Django asks for each value twice since 6.0
        self._values: dict[bool, dict[StoredField, Any]] = {}

    def __enter__(self) -> Self:
        self.outer = _saves.get()
        _saves.set(weakref.ref(self))
        return self

    def __exit__(self, *error: Any) -> None:
        _saves.set(self.outer)
        if self._raw and error[0] is None:  # nothing was asked of pre_save()
            for field in self.fields:
                value = vars(self.instance).get(field.attname)
                if not hasattr(value, "resolve_expression"):
                    change = FileChange(weakref.ref(self.instance), field, text=as_text(value))
                    self.changes.append(change)
        super().__exit__(*error)

    def value(self, field: StoredField, *, add: bool) -> Any:
        """Return the value of a column; the first call prepares those of all fields."""
        if add not in self._values:
            writes = [ColumnWrite(each, self.instance, adding=add) for each in self.fields]
            values = {write.field: write.value for write in writes}
            self.prepare([write for write in writes if not write.is_expression])
            for write in writes:
                if write.is_expression:
                    # what the database computes is unknown
                    set_entry(self.instance, write.field, self.connection.alias, None)
                    if write.field.cleanup and not add:
                        self._lock(write)
                        change = FileChange(field=write.field)
                        change.replace(write.current)
                        self.changes.append(change)
                elif write.unchanged or write.same_file:
                    values[write.field] = KeptColumn(write)
            self._values[add] = values
        return self._values[add][field]


def value_to_write(field: StoredField, instance: Model, *, add: bool) -> Any:
    """Return the value that ``pre_save()`` gives to Django."""
    reference = _saves.get()
    while reference is not None and (save := reference()) is not None:
        if save.instance is instance and field in save.fields:
            return save.value(field, add=add)
        reference = save.outer
    # a bulk_create() has stored it; of anything else get_db_prep_save() refuses unsaved content
    return getattr(instance, field.attname)


def _set_times(write: ColumnWrite) -> None:
    """Set ``auto_now_add`` times of a new row before a callable `upload_to` reads them.

    Django sets them field by field, also those of a ``bulk_create()``, and does it again.
    """
    if not (write.adding and callable(write.field.upload_to)):
        return
    for field in write.field.model._meta.local_concrete_fields:
        is_time = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
        if is_time and vars(write.instance).get(field.attname) is None:
            field.pre_save(write.instance, True)
