"""The machine without its rules: two databases, one storage, instances of rows and the oracle."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from django.core.files.storage import storages
from django.db import connections, transaction
from hypothesis.stateful import RuleBasedStateMachine, invariant

from django_fsspec import FileObject
from django_fsspec.testing import override_storage
from tests.helpers.row_files import Mishap
from tests.library.models import Dossier, TrackedDossier, Volume

from .property_contents import Contents
from .property_mishaps import Attempt
from .property_oracle import ALIASES, Handle, MemoryFile, Oracle, Saving
from .property_rows import delete_rows, stored_names, stored_rows

MODELS: list[Any] = [Dossier, Volume, TrackedDossier]
#: a kind of content, and a number that chooses among rows where the kind is "row" or "json"
Content = tuple[str, int]
#: primary keys that no sequence reaches
_pks = itertools.count(10**12, 10**6)


class Steps(RuleBasedStateMachine):
    """Steps on rows, each done by the library and by the oracle."""

    #: OPTIONS of the storage for one run of the machine
    options: ClassVar[Callable[[], dict[str, Any]]]
    #: how many runs there were, and how many steps
    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        options = type(self).options()
        twin = type(self).twin(options)
        self.storages = override_storage("second", default=options, twin=twin)
        self.storages.enable()
        self.oracle = Oracle()
        self.contents = Contents()
        self.handles: list[Handle] = []
        self.serial = itertools.count(1)
        self.counts["runs"] += 1

    @staticmethod
    def twin(options: dict[str, Any]) -> dict[str, Any]:
        """Return OPTIONS of an alias that reaches the same place in another way."""
        raise NotImplementedError

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
            self._reset(alias)
            delete_rows(alias)
        for model in MODELS:
            model._meta.select_on_save = False
        for name in stored_names():
            storages["default"].delete(name)
        self.contents.close()
        self.storages.disable()

    def _reset(self, alias: str) -> None:
        """Have no run of the machine see what a failed one left on a connection."""
        connection = connections[alias]
        connection.execute_wrappers.clear()
        for frame in reversed(self.oracle[alias].frames):
            if frame.context is not None:
                with contextlib.suppress(Exception):
                    frame.context.__exit__(Mishap, Mishap(), None)
        if not connection.get_autocommit():
            connection.rollback()
            connection.set_autocommit(True)
        connection.run_on_commit.clear()

    @invariant()
    def rows_and_objects_agree(self) -> None:
        self.counts["steps"] += 1
        self.oracle.check()
        if not any(self.oracle[alias].is_doomed for alias in ALIASES):
            for handle in self.handles:
                handle.check_memory()

    # content

    def content(
        self, content: Content, alias: str, *, is_new: bool = False
    ) -> tuple[Any, MemoryFile | None]:
        """Return what to assign, to a row that `is_new`, and what memory is to hold then."""
        kind, number = content
        if kind == "none":
            return None, None
        if kind == "row" and self.handles:
            handle = self.handle(number)
            files = handle.files["file"]
            if files and not files[0].once and not files[0].shared:
                return handle.instance.file, MemoryFile(files[0].data, files[0].name)
        if kind == "json" and not self.oracle[alias].is_doomed:
            shared = self._shared(alias, ["default", "twin"] if is_new else [])
            if shared:
                return shared[number % len(shared)]
        return self.contents.make("bytes" if kind in ("row", "json") else kind)

    def _shared(self, alias: str, backends: list[str]) -> list[tuple[Any, MemoryFile]]:
        """Return the JSON of files that rows hold, with each of `backends` if there are any."""
        stored = stored_rows(alias)
        return [
            (
                {**stored[pk].files["file"][0], **change},
                MemoryFile(file.data, file.name, shared=True),
            )
            for pk, row in self.oracle[alias].rows.items()
            for file in row.files["file"]
            for change in [{"backend": backend} for backend in backends] or [{}]
        ]

    def assign(
        self, handle: Handle, field: str, content: Content, *, is_new: bool = False
    ) -> None:
        """Assign content to a field with one file."""
        value, file = self.content(content, handle.alias, is_new=is_new)
        held = vars(handle.instance).get(field)
        is_own = value is not None and value is held
        if isinstance(value, FileObject) and value.backend != getattr(held, "backend", None):
            # under another alias it is another file to an instance that was read before
            handle.remembered.pop((handle.alias, handle.pk, field), None)
        setattr(handle.instance, field, value)
        if not is_own:
            handle.files[field] = [] if file is None else [file]

    # instances

    def adopt(self, handle: Handle) -> None:
        self.handles.append(handle)
        del self.handles[:-8]

    def forget(self, file: FileObject) -> None:
        """Drop the instances that hold `file`."""

        def holds(handle: Handle) -> bool:
            values = (vars(handle.instance).get(field) for field in handle.files)
            return any(
                file is each
                for value in values
                for each in (value if isinstance(value, list) else [value])
            )

        self.handles = [handle for handle in self.handles if not holds(handle)]

    def handle(self, number: int) -> Handle:
        return self.handles[number % len(self.handles)]

    def new_handle(
        self, model: Any, content: Content, items: Iterable[Content], alias: str, *, pk: bool
    ) -> Handle:
        """Return an unsaved instance."""
        number = next(self.serial)
        instance = model(title=f"title {number}", code=f"code {number}")
        instance._state.db = alias
        handle = Handle(instance, {})
        for field in ["file", *(["cover"] if model is Volume else [])]:
            self.assign(handle, field, content, is_new=True)
        pairs = [self.content(item, alias) for item in items]
        instance.files = [value for value, file in pairs if file is not None]
        handle.files["files"] = [file for value, file in pairs if file is not None]
        if pk:
            instance.pk = next(_pks)
        return handle

    def read(self, handle: Handle, fields: Iterable[str]) -> None:
        """Have the memory of an instance hold what the row does."""
        alias, pk = handle.alias, handle.pk
        row = self.oracle[alias].rows[pk]
        for field in fields:
            handle.files[field] = [MemoryFile(file.data, file.name) for file in row.files[field]]
            handle.remembered[alias, pk, field] = row.names(field)

    # steps

    def save_handle(
        self,
        handle: Handle,
        mishap: str | None,
        guard: bool,
        *,
        using: str | None = None,
        update_fields: Sequence[str] | None = None,
        action: Callable[[], object] | None = None,
    ) -> bool:
        """Save an instance, by `action` if there is one; return whether that was done."""
        alias = using or handle.alias
        columns = None if update_fields is None else [*update_fields]
        if columns is not None and mishap in ("compile", "refused"):
            columns.append("number" if mishap == "compile" else "code")
        saving = Saving(self.oracle[alias], handle, columns)
        if saving.is_dangling:
            return False
        options: dict[str, Any] = {} if using is None else {"using": using}
        if columns is not None:
            options["update_fields"] = columns
        attempt = Attempt(
            self.oracle,
            alias,
            mishap,
            guard,
            instances=[handle.instance],
            failures=saving.failures,
            excuses=saving.excuses,
        )
        done = attempt.succeeds(action or (lambda: handle.instance.save(**options)))
        # as in Django, what post_save raises comes too late for the row
        is_late = mishap == "post_save" and not guard and attempt.error is Mishap
        if done or is_late:
            saving.succeeded(self.rows(alias))
        else:
            saving.failed()
        return done

    def rows(self, alias: str) -> dict[Any, Any]:
        """Return the rows that a database holds, none where it can't be asked."""
        return {} if self.oracle[alias].is_doomed else stored_rows(alias)

    def _leave(self, alias: str, end: str) -> None:
        """Leave the innermost atomic block."""
        database = self.oracle[alias]
        if end == "set_rollback":
            transaction.set_rollback(True, using=alias)
        rolled_back = database.is_doomed or end == "exception"
        context = database.frames[-1].context
        error = Mishap() if end == "exception" else None
        database.leave(rolled_back=rolled_back)
        if context is not None:
            context.__exit__(None if error is None else Mishap, error, None)
