"""A machine that does to rows with files what a program may do, and what may go wrong then.

hypothesis draws the steps. After each, rows and objects are compared with those of the oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.files.base import ContentFile
from django.db import NotSupportedError
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.library.models import Dossier, Volume

from .property_blocks import Blocks, aliases, has_rows, numbers
from .property_contents import Contents
from .property_mishaps import BLOCKED, SPOILED, Attempt
from .property_oracle import Database, Handle, MemoryFile, Saving, StoredFile
from .property_steps import MODELS, Content

models = st.sampled_from(MODELS)
contents = st.tuples(st.sampled_from([*Contents.KINDS, "row", "row", "json", "none"]), numbers)
new_contents = st.tuples(st.sampled_from([*Contents.KINDS, "row", "row"]), numbers)
lists = st.lists(new_contents, max_size=2)
guards = st.booleans()
ALL = ["file", "files", "cover", "code"]
fine: list[str | None] = [None] * 8
save_mishaps = st.sampled_from([*fine, *SPOILED, "pre_save", "post_save", *BLOCKED[:3]])
delete_mishaps = st.sampled_from([*fine, "pre_delete", "post_delete", *BLOCKED])
bulk_mishaps = st.sampled_from([*fine, *SPOILED, *BLOCKED[:2]])
has_handles = precondition(lambda self: self.handles)


class RowMachine(Blocks):
    """Random steps on two databases and one storage."""

    @initialize(
        select_on_save=st.booleans(),
        keeps_errors=st.booleans(),
        rows=st.lists(st.tuples(models, contents, lists, aliases), max_size=3),
    )
    def begin(self, select_on_save: bool, keeps_errors: bool, rows: list[Any]) -> None:
        self.oracle.keeps_errors = keeps_errors
        for model in MODELS:
            model._meta.select_on_save = select_on_save
        for model, content, items, alias in rows:
            handle = self.new_handle(model, content, items, alias, pk=False)
            self.save_handle(handle, None, guard=False)
            self.adopt(handle)

    # one row

    @rule(
        model=models,
        content=contents,
        items=lists,
        alias=aliases,
        pk=st.booleans(),
        mishap=save_mishaps,
        guard=guards,
    )
    def create(
        self,
        model: Any,
        content: Content,
        items: list[Content],
        alias: str,
        pk: bool,
        mishap: str | None,
        guard: bool,
    ) -> None:
        handle = self.new_handle(model, content, items, alias, pk=pk)
        self.save_handle(handle, mishap, guard)
        self.adopt(handle)

    @has_rows
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
        names = [name for name in deferred if name in [*fields, "code"]]
        rows = model.objects.using(alias).defer(*names)
        handle = Handle(rows.get(pk=pks[number % len(pks)]), dict.fromkeys(fields))
        self.read(handle, [field for field in fields if field not in deferred])
        self.adopt(handle)

    @has_rows
    @rule(number=numbers, alias=aliases, mishap=save_mishaps, guard=guards)
    def relabel(self, number: int, alias: str, mishap: str | None, guard: bool) -> None:
        """Have a row name the other alias of the place where its file is."""
        database = self.oracle[alias]
        pks = [pk for pk, row in database.rows.items() if row.names("file")]
        if database.is_doomed or not pks:
            return
        instance = Dossier.objects.using(alias).get(pk=pks[number % len(pks)])
        handle = Handle(instance, dict.fromkeys(["file", "files"]))
        self.read(handle, ["file", "files"])
        other = {"default": "twin", "twin": "default"}[instance.file.backend]
        instance.file = {**instance.file.to_dict(), "backend": other}
        if self.save_handle(handle, mishap, guard):
            self.adopt(handle)
            # a description that no row has is trusted, even if its file was deleted meanwhile
            database.on_rollback(partial(self.forget, instance.file))

    @has_handles
    @rule(
        number=numbers,
        fields=st.sampled_from([None, None, ["file"], ["files"], ["title"]]),
        by_access=st.booleans(),
    )
    def refresh(self, number: int, fields: list[str] | None, by_access: bool) -> None:
        handle = self.handle(number)
        instance, database = handle.instance, self.oracle[handle.alias]
        if instance.pk is None or instance._state.adding or database.is_doomed:
            return
        names = [name for name, files in handle.files.items() if files is not None]
        if fields is not None:
            names = [name for name in fields if name in handle.files]
        action: Callable[[], object] = partial(instance.refresh_from_db, fields=fields)
        if by_access:
            if not names or handle.files[names[0]] is not None:
                return
            action = partial(getattr, instance, names[0])
        if database.row_of(handle) is None:
            missing = [type(instance).DoesNotExist]
            Attempt(self.oracle, handle.alias, None, False, failures=missing).succeeds(action)
            return
        action()
        self.read(handle, names)

    @has_handles
    @rule(
        number=numbers,
        content=st.none() | contents,
        cover=st.booleans(),
        using=st.sampled_from([None, None, None, None, "default", "other"]),
        update_fields=st.sampled_from(
            [None, None, None, ["title"], ["file"], ["files"], ["title", "file"]]
        ),
        mishap=save_mishaps,
        guard=guards,
    )
    def save(
        self,
        number: int,
        content: Content | None,
        cover: bool,
        using: str | None,
        update_fields: list[str] | None,
        mishap: str | None,
        guard: bool,
    ) -> None:
        handle = self.handle(number)
        instance = handle.instance
        if content is not None:
            self.assign(handle, "cover" if cover and "cover" in handle.files else "file", content)
        if handle.is_deferred:
            if using not in (None, handle.alias) or handle.pk is None:
                return
            if not set(update_fields or []) <= set(vars(instance)):
                return
        if update_fields is not None and instance._state.adding:
            return
        instance.title = f"title {next(self.serial)}"
        self.save_handle(handle, mishap, guard, using=using, update_fields=update_fields)

    @has_handles
    @rule(number=numbers, content=contents, cover=st.booleans())
    def assign_only(self, number: int, content: Content, cover: bool) -> None:
        handle = self.handle(number)
        self.assign(handle, "cover" if cover and "cover" in handle.files else "file", content)

    @has_handles
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
        content=st.tuples(st.sampled_from([*Contents.KINDS, "row", "json"]), numbers),
        index=numbers,
        saves=st.booleans(),
        mishap=save_mishaps,
        guard=guards,
    )
    def change_list(
        self,
        number: int,
        change: str,
        content: Content,
        index: int,
        saves: bool,
        mishap: str | None,
        guard: bool,
    ) -> None:
        handle = self.handle(number)
        files = handle.files["files"]
        if change == "assign":
            value, file = self.content(content, handle.alias)
            handle.instance.files = [value]
            handle.files["files"] = [file] if file is not None else []
        elif files is not None:
            value, file = self.content(content, handle.alias)
            for list_of_files, new in ((handle.instance.files, value), (files, file)):
                _change(list_of_files, change, new, index)
        if saves and not handle.is_deferred:
            self.save_handle(handle, mishap, guard)

    @has_handles
    @rule(number=numbers, deletes=st.booleans(), mishap=save_mishaps, guard=guards)
    def save_or_delete_file(
        self, number: int, deletes: bool, mishap: str | None, guard: bool
    ) -> None:
        """As with a ``FieldFile``: the row is saved too."""
        handle = self.handle(number)
        if not handle.files["file"] or handle.is_deferred:
            return
        instance = handle.instance
        action: Callable[[], object] = instance.file.delete
        handle.files["file"] = []
        if not deletes:
            data = f"saved {next(self.serial)}".encode()
            handle.files["file"] = [MemoryFile(data)]
            action = partial(instance.file.save, "saved.txt", ContentFile(data))
        if not self.save_handle(handle, mishap, guard, action=action):
            self.assign(handle, "file", ("none", 0))

    @has_handles
    @rule(number=numbers, mishap=save_mishaps, guard=guards)
    def save_as_new(self, number: int, mishap: str | None, guard: bool) -> None:
        """Save an instance without its primary key: another row, with files of its own."""
        handle = self.handle(number)
        if handle.is_deferred:
            return
        instance = handle.instance
        instance.pk = instance.id = None
        instance._state.adding = True
        instance.code = f"code {next(self.serial)}"
        self.save_handle(handle, mishap, guard)

    @has_handles
    @rule(number=numbers, mishap=delete_mishaps, guard=guards)
    def delete(self, number: int, mishap: str | None, guard: bool) -> None:
        handle = self.handle(number)
        pk = handle.instance.pk
        if pk is None or handle.instance._state.adding:
            return
        rows = self.oracle[handle.alias].rows
        # Django looks for the parent's row of a volume
        excuses = [Dossier.DoesNotExist] if pk not in rows else []
        attempt = Attempt(self.oracle, handle.alias, mishap, guard, excuses=excuses)
        if attempt.succeeds(handle.instance.delete):
            rows.pop(pk, None)

    # several rows

    @has_rows
    @rule(
        alias=aliases,
        chosen=st.lists(numbers, min_size=1, max_size=3),
        mishap=delete_mishaps,
        guard=guards,
    )
    def delete_rows(self, alias: str, chosen: list[int], mishap: str | None, guard: bool) -> None:
        database = self.oracle[alias]
        pks = list(database.rows)
        if not pks:
            return
        pks = [pks[number % len(pks)] for number in chosen]
        rows = Dossier.objects.using(alias).filter(pk__in=pks)
        if Attempt(self.oracle, alias, mishap, guard).succeeds(rows.delete):
            for pk in pks:
                database.rows.pop(pk, None)

    @rule(
        alias=aliases,
        several=st.lists(st.tuples(contents, lists, st.booleans()), min_size=1, max_size=3),
        batch_size=st.sampled_from([None, 1]),
        mishap=bulk_mishaps,
        guard=guards,
    )
    def bulk_create(
        self,
        alias: str,
        several: list[Any],
        batch_size: int | None,
        mishap: str | None,
        guard: bool,
    ) -> None:
        handles = [
            self.new_handle(Dossier, content, items, alias, pk=pk)
            for content, items, pk in several
        ]
        savings = [
            saving
            for handle in handles
            if not (saving := Saving(self.oracle[alias], handle)).is_dangling
        ]
        instances = [saving.handle.instance for saving in savings]
        attempt = Attempt(
            self.oracle,
            alias,
            mishap,
            guard,
            instances=instances,
            failures={failure for saving in savings for failure in saving.failures},
            excuses={excuse for saving in savings for excuse in saving.excuses},
        )
        objects = Dossier.objects.using(alias)
        done = attempt.succeeds(lambda: objects.bulk_create(instances, batch_size=batch_size))
        rows = self.rows(alias)
        for saving in savings:
            if done:
                saving.succeeded(rows)
            else:
                saving.failed()
                saving.handle.instance._state.db = alias
            self.adopt(saving.handle)

    @has_rows
    @rule(
        alias=aliases,
        number=numbers,
        contents_of_rows=st.tuples(new_contents, new_contents),
        conflicts=st.sampled_from(["ignored", "title", "file"]),
        mishap=st.sampled_from([*fine, *BLOCKED[:2]]),
        guard=guards,
    )
    def bulk_create_in_conflict(
        self,
        alias: str,
        number: int,
        contents_of_rows: tuple[Content, Content],
        conflicts: str,
        mishap: str | None,
        guard: bool,
    ) -> None:
        """Create two rows, the first with the code of a row that is there."""
        database = self.oracle[alias]
        if not database.rows:
            return
        pk = list(database.rows)[number % len(database.rows)]
        handles = [
            self.new_handle(Dossier, content, [], alias, pk=False) for content in contents_of_rows
        ]
        handles[0].instance.code = database.rows[pk].values["code"]
        options: dict[str, Any] = {"ignore_conflicts": True}
        if conflicts != "ignored":
            options = {"update_conflicts": True, "unique_fields": ["code"]}
            options["update_fields"] = ["title", *({conflicts} - {"title"})]
        savings = [Saving(database, handle) for handle in handles]
        missing = {f for saving in savings for f in saving.failures if f is FileNotFoundError}
        attempt = Attempt(
            self.oracle,
            alias,
            mishap,
            guard,
            failures=missing,
            excuses=[NotSupportedError],
        )
        instances = [handle.instance for handle in handles]
        rows = Dossier.objects.using(alias)
        if attempt.succeeds(lambda: rows.bulk_create(instances, **options)):
            self._take_over(database, pk, handles, conflicts)

    def _take_over(
        self, database: Database, pk: Any, handles: list[Handle], conflicts: str
    ) -> None:
        """Have the oracle do what a ``bulk_create()`` did to a row in conflict, and to another."""
        stored = self.rows(database.alias)
        new_pks = [other for other in stored if other not in database.rows]
        assert len(new_pks) == 1
        handles[1].instance.id = new_pks[0]
        Saving(database, handles[1]).succeeded(stored)
        if conflicts == "ignored":
            return
        row = database.rows[pk]
        files = dict(row.files)
        if conflicts == "file":
            file = (handles[0].files["file"] or [])[0]
            files["file"] = (StoredFile(stored[pk].names("file")[0], file.data),)
        values = {**row.values, "title": handles[0].instance.title}
        database.rows[pk] = row._replace(values=values, files=files)


def _change(files: list[Any], change: str, file: Any, index: int) -> None:
    """Change a list, that of an instance or that of the oracle."""
    index = index % len(files) if files else 0
    if change == "append":
        files.append(file)
    elif change == "insert":
        files.insert(index, file)
    elif change == "replace":
        files[index : index + 1] = [file]
    elif change == "remove":
        del files[index : index + 1]
    elif change == "reverse":
        files.reverse()
    elif change == "clear":
        files.clear()
