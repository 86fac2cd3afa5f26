"""A machine that does to rows with files whatever a program may do, and what may go wrong.

hypothesis draws the steps. After each, rows and objects are compared with those of the oracle.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from django.core.files.base import ContentFile, File
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, IntegrityError, NotSupportedError, OperationalError
from django.db import connections, transaction
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.db.transaction import TransactionManagementError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from django_fsspec import FileObject
from django_fsspec.testing import override_storage
from tests.helpers.row_files import Mishap, receiving
from tests.library.models import Dossier, TrackedDossier, Volume

from .property_oracle import (
    ALIASES,
    Handle,
    MemoryFile,
    Oracle,
    Saving,
    delete_rows,
    stored_names,
    stored_rows,
)

#: ways to give content; "row" is the file of another row, "json" what its column holds
KINDS = ["bytes", "text", "upload", "unsaved", "path", "disk", "foreign", "generator"]
SIGNALS = {
    "pre_save": pre_save,
    "post_save": post_save,
    "pre_delete": pre_delete,
    "post_delete": post_delete,
}
BLOCKED = ["block 0", "block 1", "block 2", "block 3"]

numbers = st.integers(0, 7)
aliases = st.sampled_from(["default", "default", "default", "other"])
models = st.sampled_from([Dossier, Volume, TrackedDossier])
contents = st.tuples(st.sampled_from([*KINDS, "row", "row", "json", "none"]), numbers)
new_contents = st.tuples(st.sampled_from([*KINDS, "row"]), numbers)
lists = st.lists(new_contents, max_size=2)
fine: list[str | None] = [None] * 8
save_mishaps = st.sampled_from(
    [*fine, "compile", "refused", "pre_save", "post_save", *BLOCKED[:3]]
)
delete_mishaps = st.sampled_from([*fine, "pre_delete", "post_delete", *BLOCKED])
bulk_mishaps = st.sampled_from([*fine, "compile", "refused", *BLOCKED[:2]])
#: primary keys that no sequence reaches
_pks = itertools.count(10**12, 10**6)


class Blocker:
    """An execute wrapper for which the database is unreachable at one statement."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.fired = False

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.left -= 1
        if self.left == -1:
            self.fired = True
            raise OperationalError(f"unreachable: {sql}")
        return execute(sql, params, many, context)


class RowMachine(RuleBasedStateMachine):
    """Random steps on two databases and one storage."""

    #: OPTIONS of the storage for one run of the machine
    options: ClassVar[Callable[[], dict[str, Any]]]
    steps: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.storages = override_storage("second", default=type(self).options())
        self.storages.enable()
        self.oracle = Oracle()
        self.handles: list[Handle] = []
        self.serial = itertools.count(1)
        self.resources = contextlib.ExitStack()
        self.select_on_save = False
        storages["second"].save("elsewhere.txt", ContentFile(b"elsewhere"))

    def teardown(self) -> None:
        try:
            for alias in ALIASES:
                while self.oracle[alias].frames:
                    self._leave(alias, "exception")
            self.oracle.check()
        finally:
            self._clean()

    def _clean(self) -> None:
        for alias in ALIASES:
            connection = connections[alias]
            connection.execute_wrappers.clear()
            while self.oracle[alias].frames:
                frame = self.oracle[alias].frames.pop()
                with contextlib.suppress(Exception):
                    frame.context.__exit__(Mishap, Mishap(), None)
            delete_rows(alias)
        for model in (Dossier, Volume, TrackedDossier):
            model._meta.select_on_save = False
        for name in stored_names():
            storages["default"].delete(name)
        self.resources.close()
        self.storages.disable()

    # content

    def folder(self) -> Path:
        if not hasattr(self, "_folder"):
            self._folder = Path(self.resources.enter_context(tempfile.TemporaryDirectory()))
        return self._folder

    def content(
        self, kind: str, number: int, alias: str, *, json_too: bool = True
    ) -> tuple[Any, MemoryFile | None]:
        """Return what to assign, and what memory is to hold then."""
        if kind == "none":
            return None, None
        if kind == "row" and self.handles:
            handle = self.handles[number % len(self.handles)]
            files = handle.files["file"]
            if files and not files[0].once and not files[0].shared:
                return handle.instance.file, MemoryFile(files[0].data, files[0].name)
        if kind == "json" and json_too and not self.oracle[alias].is_doomed:
            row_files = [
                (row.files["file"][0], stored.files["file"][0])
                for row, stored in zip(
                    self.oracle[alias].rows.values(),
                    stored_rows_of(self.oracle, alias),
                    strict=True,
                )
                if row.files["file"]
            ]
            if row_files:
                file, value = row_files[number % len(row_files)]
                return value, MemoryFile(file.data, file.name, shared=True)
        return self._new_content(kind)

    def _new_content(self, kind: str) -> tuple[Any, MemoryFile]:
        number = next(self.serial)
        name, data = f"{kind}-{number}.txt", f"{kind} {number}".encode()
        value: Any = ContentFile(data, name)
        once = False
        if kind == "text":
            value = FileObject("default", name, content=data.decode())
        elif kind == "upload":
            value = SimpleUploadedFile(name, data)
        elif kind == "unsaved":
            value = FileObject("default", name, content=data)
        elif kind in ("path", "disk"):
            path = self.folder() / name
            path.write_bytes(data)
            value = FileObject("default", name, content=path)
            if kind == "disk":
                value = File(self.resources.enter_context(path.open("rb")), name)
        elif kind == "foreign":
            data = b"elsewhere"
            value = self.resources.enter_context(storages["second"].open("elsewhere.txt"))
        elif kind == "generator":
            value = FileObject("default", name, content=(bytes([byte]) for byte in data))
            once = True
        return value, MemoryFile(data, once=once)

    def contents_of(
        self, pairs: Iterable[tuple[str, int]], alias: str
    ) -> tuple[list[Any], list[MemoryFile]]:
        values, files = [], []
        for kind, number in pairs:
            value, file = self.content(kind, number, alias, json_too=False)
            if file is not None:
                values.append(value)
                files.append(file)
        return values, files

    # how steps go wrong

    @contextlib.contextmanager
    def _mishap(self, alias: str, mishap: str | None, instances: list[Any]) -> Iterator[Any]:
        """Make a step fail; yield the exception it must raise, or the blocker that may."""
        if mishap in SIGNALS:

            def receiver(**kwargs: Any) -> None:
                raise Mishap(mishap)

            with receiving(SIGNALS[mishap], receiver, None):
                yield Mishap
        elif mishap in BLOCKED:
            blocker = Blocker(BLOCKED.index(mishap))
            with connections[alias].execute_wrapper(blocker):
                yield blocker
        elif mishap in ("compile", "refused"):
            with self._spoiled(alias, mishap, instances[-1]) as failure:
                yield failure
        else:
            yield None

    @contextlib.contextmanager
    def _spoiled(self, alias: str, mishap: str, instance: Any) -> Iterator[Any]:
        """Give an instance a value that cannot be compiled, or that the database refuses."""
        name, value, failure = "number", "abc", ValueError
        if mishap == "refused":
            rows = self.oracle[alias].rows
            codes = [row.values["code"] for pk, row in rows.items() if pk != instance.pk]
            if not codes:
                yield None
                return
            name, value, failure = "code", codes[0], IntegrityError
        attributes = vars(instance)
        before = dict(attributes)
        setattr(instance, name, value)
        try:
            yield failure
        finally:
            if name in before:
                setattr(instance, name, before[name])
            else:
                del attributes[name]

    def attempt(
        self,
        alias: str,
        mishap: str | None,
        guard: bool,
        action: Callable[[], object],
        *,
        instances: list[Any] | None = None,
        failures: Iterable[type[Exception]] = (),
        excuses: Iterable[type[Exception]] = (),
    ) -> bool:
        """Do a step that must raise one of `failures`; return whether it was done.

        `guard` puts it into an atomic block of its own.
        """
        connection, database = connections[alias], self.oracle[alias]
        failures = {*failures, *([TransactionManagementError] if database.is_doomed else [])}
        event: Any = None
        try:
            with contextlib.ExitStack() as stack:
                if guard:
                    stack.enter_context(transaction.atomic(using=alias))
                event = stack.enter_context(self._mishap(alias, mishap, instances or []))
                if isinstance(event, type):
                    failures.add(event)
                action()
        except Exception as error:
            accepted = {*failures, *excuses, *([DatabaseError] if database.is_doomed else [])}
            if isinstance(event, Blocker) and event.fired:
                accepted.add(OperationalError)
            if not isinstance(error, tuple(accepted)):
                raise
            if isinstance(error, DatabaseError) and database.frames:
                transaction.set_rollback(True, using=alias)
            return False
        assert not failures, f"nothing was raised, expected one of {failures}"
        if isinstance(event, Blocker) and event.fired:
            # only what follows a commit may fail without a word, and leave replaced files behind
            assert not database.frames, "a failed statement raised nothing"
            for name in stored_names() - self.oracle.names():
                storages["default"].delete(name)
        return True

    # instances

    def adopt(self, handle: Handle) -> None:
        self.handles.append(handle)
        del self.handles[:-8]

    def handle(self, number: int) -> Handle:
        return self.handles[number % len(self.handles)]

    def _new_handle(
        self, model: Any, content: tuple[str, int], items: list[tuple[str, int]], alias: str
    ) -> Handle:
        number = next(self.serial)
        instance = model(title=f"title {number}", code=f"code {number}")
        files: dict[str, list[MemoryFile] | None] = {}
        for field in ["file", *(["cover"] if model is Volume else [])]:
            value, file = self.content(*content, alias, json_too=False)
            setattr(instance, field, value)
            files[field] = [] if file is None else [file]
        values, files["files"] = self.contents_of(items, alias)
        instance.files = values
        return Handle(instance, files)

    def _save(
        self,
        handle: Handle,
        alias: str,
        mishap: str | None,
        guard: bool,
        *,
        update_fields: list[str] | None = None,
        action: Callable[[], object] | None = None,
    ) -> bool:
        """Save an instance by `action`, and have the oracle do the same."""
        columns = update_fields
        if columns is not None and mishap in ("compile", "refused"):
            columns = [*columns, "number" if mishap == "compile" else "code"]
        saving = Saving(self.oracle[alias], handle, columns)
        if saving.is_dangling:
            return False
        options: dict[str, Any] = {} if alias == handle.alias else {"using": alias}
        if columns is not None:
            options["update_fields"] = columns
        done = self.attempt(
            alias,
            mishap,
            guard,
            action or (lambda: handle.instance.save(**options)),
            instances=[handle.instance],
            failures=saving.failures,
            excuses=saving.excuses,
        )
        # as in Django, what post_save raises comes too late for the row
        is_late = mishap == "post_save" and not guard and not saving.failures
        if done or (is_late and handle.pk in self._rows(alias)):
            saving.succeeded(self._rows(alias))
        else:
            saving.failed()
        return done

    def _rows(self, alias: str) -> dict[Any, Any]:
        return {} if self.oracle[alias].is_doomed else stored_rows(alias)

    # rules

    @initialize(select_on_save=st.booleans())
    def begin(self, select_on_save: bool) -> None:
        for model in (Dossier, Volume, TrackedDossier):
            model._meta.select_on_save = select_on_save

    @rule(
        model=models,
        content=contents,
        items=lists,
        alias=aliases,
        pk=st.booleans(),
        mishap=save_mishaps,
        guard=st.booleans(),
    )
    def create(
        self,
        model: Any,
        content: tuple[str, int],
        items: list[tuple[str, int]],
        alias: str,
        pk: bool,
        mishap: str | None,
        guard: bool,
    ) -> None:
        handle = self._new_handle(model, content, items, alias)
        if pk:
            handle.instance.pk = next(_pks)
        handle.instance._state.db = alias
        self._save(handle, alias, mishap, guard)
        self.adopt(handle)

    @rule(
        number=numbers,
        alias=aliases,
        model=models,
        deferred=st.sampled_from(
            [[], [], ["file"], ["files"], ["file", "files", "cover", "code"]]
        ),
    )
    def load(self, number: int, alias: str, model: Any, deferred: list[str]) -> None:
        database = self.oracle[alias]
        fields = ["file", "files", *(["cover"] if model is Volume else [])]
        pks = [pk for pk, row in database.rows.items() if set(fields) <= set(row.files)]
        if database.is_doomed or not pks:
            return
        pk = pks[number % len(pks)]
        names = [name for name in deferred if name in [*fields, "code"]]
        instance = model.objects.using(alias).defer(*names).get(pk=pk)
        handle = Handle(instance, dict.fromkeys(fields))
        self._read(handle, [field for field in fields if field not in deferred])
        self.adopt(handle)

    def _read(self, handle: Handle, fields: Iterable[str]) -> None:
        """Have the memory of an instance hold what the row does."""
        alias, pk = handle.alias, handle.pk
        row = self.oracle[alias].rows[pk]
        for field in fields:
            handle.files[field] = [MemoryFile(file.data, file.name) for file in row.files[field]]
            handle.remembered[alias, pk, field] = row.names(field)

    @precondition(lambda self: self.handles)
    @rule(
        number=numbers,
        fields=st.sampled_from([None, None, ["file"], ["files"], ["title"]]),
        by_access=st.booleans(),
    )
    def refresh(self, number: int, fields: list[str] | None, by_access: bool) -> None:
        handle = self.handle(number)
        database = self.oracle[handle.alias]
        instance = handle.instance
        if instance.pk is None or instance._state.adding or database.is_doomed:
            return
        names = list(handle.files) if fields is None else fields
        if fields is None:
            names = [name for name in names if handle.files[name] is not None]
        names = [name for name in names if name in handle.files]
        if by_access and fields is not None:
            if not names or handle.files[names[0]] is not None:
                return
            action: Callable[[], object] = lambda: getattr(instance, names[0])
        else:
            action = lambda: instance.refresh_from_db(fields=fields)
        if database.row_of(handle) is None:
            self.attempt(handle.alias, None, False, action, failures=[type(instance).DoesNotExist])
            return
        action()
        self._read(handle, names)

    @precondition(lambda self: self.handles)
    @rule(number=numbers, content=contents, cover=st.booleans())
    def assign(self, number: int, content: tuple[str, int], cover: bool) -> None:
        handle = self.handle(number)
        field = "cover" if cover and "cover" in handle.files else "file"
        value, file = self.content(*content, handle.alias)
        setattr(handle.instance, field, value)
        handle.files[field] = [] if file is None else [file]

    @precondition(lambda self: self.handles)
    @rule(
        number=numbers,
        change=st.sampled_from(
            [
                "append",
                "append",
                "insert",
                "replace",
                "remove",
                "pop",
                "reverse",
                "clear",
                "assign",
            ]
        ),
        content=st.tuples(st.sampled_from([*KINDS, "row", "json"]), numbers),
        index=numbers,
    )
    def change_list(self, number: int, change: str, content: tuple[str, int], index: int) -> None:
        handle = self.handle(number)
        files = handle.files["files"]
        if files is None and change != "assign":
            return
        if change in ("append", "insert", "replace", "assign"):
            value, file = self.content(*content, handle.alias)
        if files is None or change == "assign":
            handle.instance.files, handle.files["files"] = [value], [file]
            return
        values = handle.instance.files
        if change in ("replace", "remove", "pop") and not files:
            return
        index = index % len(files) if files else 0
        if change == "append":
            values.append(value)
            files.append(file)
        elif change == "insert":
            values.insert(index, value)
            files.insert(index, file)
        elif change == "replace":
            values[index] = value
            files[index] = file
        elif change == "remove":
            del values[index]
            del files[index]
        elif change == "pop":
            values.pop()
            files.pop()
        elif change == "reverse":
            values.reverse()
            files.reverse()
        else:
            values.clear()
            files.clear()

    @precondition(lambda self: self.handles)
    @rule(
        number=numbers,
        using=st.sampled_from([None, None, None, None, "default", "other"]),
        update_fields=st.sampled_from(
            [None, None, None, ["title"], ["file"], ["files"], ["title", "file"]]
        ),
        mishap=save_mishaps,
        guard=st.booleans(),
    )
    def save(
        self,
        number: int,
        using: str | None,
        update_fields: list[str] | None,
        mishap: str | None,
        guard: bool,
    ) -> None:
        handle = self.handle(number)
        alias = using or handle.alias
        attributes = vars(handle.instance)
        if handle.is_deferred:
            if alias != handle.alias or handle.instance.pk is None:
                return
            if not set(update_fields or []) <= set(attributes):
                return
        if update_fields is not None and handle.instance._state.adding:
            return
        handle.instance.title = f"title {next(self.serial)}"
        self._save(handle, alias, mishap, guard, update_fields=update_fields)

    @precondition(lambda self: self.handles)
    @rule(number=numbers, deletes=st.booleans(), mishap=save_mishaps, guard=st.booleans())
    def save_or_delete_file(
        self, number: int, deletes: bool, mishap: str | None, guard: bool
    ) -> None:
        """As with a ``FieldFile``: the row is saved too."""
        handle = self.handle(number)
        if not handle.files["file"] or handle.is_deferred:
            return
        instance = handle.instance
        if deletes:
            handle.files["file"] = []
            action: Callable[[], object] = instance.file.delete
        else:
            value, file = self._new_content("bytes")
            handle.files["file"] = [file]
            action = lambda: instance.file.save(f"{file.data.decode()}.txt", value)
        if not self._save(handle, handle.alias, mishap, guard, action=action):
            instance.file, handle.files["file"] = None, []

    @precondition(lambda self: self.handles)
    @rule(number=numbers, mishap=save_mishaps, guard=st.booleans())
    def save_as_new(self, number: int, mishap: str | None, guard: bool) -> None:
        """Save an instance without its primary key: another row, with files of its own."""
        handle = self.handle(number)
        if handle.is_deferred:
            return
        instance = handle.instance
        instance.pk = instance.id = None
        instance._state.adding = True
        instance.code = f"code {next(self.serial)}"
        self._save(handle, handle.alias, mishap, guard)

    @precondition(lambda self: self.handles)
    @rule(number=numbers, mishap=delete_mishaps, guard=st.booleans())
    def delete(self, number: int, mishap: str | None, guard: bool) -> None:
        handle = self.handle(number)
        pk = handle.instance.pk
        if pk is None:
            return
        database = self.oracle[handle.alias]
        if self.attempt(handle.alias, mishap, guard, handle.instance.delete):
            database.rows.pop(pk, None)

    @rule(
        alias=aliases,
        chosen=st.lists(numbers, min_size=1, max_size=3),
        mishap=delete_mishaps,
        guard=st.booleans(),
    )
    def delete_rows(self, alias: str, chosen: list[int], mishap: str | None, guard: bool) -> None:
        database = self.oracle[alias]
        pks = list(database.rows)
        if not pks:
            return
        pks = [pks[number % len(pks)] for number in chosen]
        rows = Dossier.objects.using(alias).filter(pk__in=pks)
        if self.attempt(alias, mishap, guard, rows.delete):
            for pk in pks:
                database.rows.pop(pk, None)

    @rule(
        alias=aliases,
        several=st.lists(st.tuples(contents, lists), min_size=1, max_size=3),
        with_pk=st.sampled_from(["none", "all", "first"]),
        batch_size=st.sampled_from([None, 1]),
        mishap=bulk_mishaps,
        guard=st.booleans(),
    )
    def bulk_create(
        self,
        alias: str,
        several: list[Any],
        with_pk: str,
        batch_size: int | None,
        mishap: str | None,
        guard: bool,
    ) -> None:
        handles = [self._new_handle(Dossier, content, items, alias) for content, items in several]
        for number, handle in enumerate(handles):
            if with_pk == "all" or (with_pk == "first" and number == 0):
                handle.instance.pk = next(_pks)
        savings = [Saving(self.oracle[alias], handle) for handle in handles]
        instances = [handle.instance for handle in handles]
        done = self.attempt(
            alias,
            mishap,
            guard,
            lambda: Dossier.objects.using(alias).bulk_create(instances, batch_size=batch_size),
            instances=instances,
            failures={failure for saving in savings for failure in saving.failures},
            excuses={excuse for saving in savings for excuse in saving.excuses},
        )
        rows = self._rows(alias) if done else {}
        for handle, saving in zip(handles, savings, strict=True):
            if done:
                saving.succeeded(rows)
            else:
                saving.failed()
                handle.instance._state.db = alias
            self.adopt(handle)

    @rule(alias=aliases, savepoint=st.booleans())
    def enter(self, alias: str, savepoint: bool) -> None:
        database = self.oracle[alias]
        if database.is_doomed or len(database.frames) > 3:
            return
        context = transaction.atomic(using=alias, savepoint=savepoint)
        context.__enter__()
        database.enter(context, savepoint)

    @rule(
        alias=aliases,
        end=st.sampled_from(["commit", "commit", "exception", "set_rollback"]),
    )
    def leave(self, alias: str, end: str) -> None:
        if self.oracle[alias].frames:
            self._leave(alias, end)

    def _leave(self, alias: str, end: str) -> None:
        database = self.oracle[alias]
        if end == "set_rollback":
            transaction.set_rollback(True, using=alias)
        rolled_back = database.is_doomed or end == "exception"
        context = database.frames[-1].context
        error = Mishap() if end == "exception" else None
        database.leave(rolled_back=rolled_back)
        context.__exit__(None if error is None else Mishap, error, None)

    @rule(alias=aliases)
    def look(self, alias: str) -> None:
        """Read all rows, as anybody on this connection would."""
        database = self.oracle[alias]
        if database.is_doomed:
            return
        rows = Dossier.objects.using(alias).order_by("pk")
        shown = {row.pk: row.file and row.file.filename for row in rows}
        expected = {pk: (*row.names("file"), None)[0] for pk, row in database.rows.items()}
        assert shown == expected
        assert rows.count() == len(expected)

    @invariant()
    def rows_and_objects_agree(self) -> None:
        self.oracle.check()


def stored_rows_of(oracle: Oracle, alias: str) -> list[Any]:
    """Return the rows of a database in the order of the oracle's."""
    rows = stored_rows(alias)
    return [rows[pk] for pk in oracle[alias].rows]
