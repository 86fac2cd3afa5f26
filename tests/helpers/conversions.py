"""What the tests of ConvertFileField share: a model's past, its table, the files of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection, models
from django.db.migrations import CreateModel, Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.test import override_settings

from django_fsspec.fields import StoredObjectField
from django_fsspec.operations import ConvertFileField
from django_fsspec.storage import FSSpecStorage
from tests.helpers.backends import folder, scratch

APP, TABLE = "library", "library_document"
VENDOR = connection.vendor
OURS = "django_fsspec.storage.FSSpecStorage"
OPTIONAL = {"null": True, "blank": True}
TOGETHER = models.UniqueConstraint(fields=["title", "file"], name="one_a_title")


class Past:
    """A model as migrations know it, and its table."""

    def __init__(self) -> None:
        self.state = ProjectState()
        self._undo: list[tuple[Migration, ProjectState]] = []

    def start(self, *fields: tuple[str, Any], **options: Any) -> Past:
        """Create the table of a model with `fields`."""
        columns: list[Any] = [("id", models.BigAutoField(primary_key=True)), *fields]
        if any(name == "pk" or getattr(field, "primary_key", False) for name, field in fields):
            del columns[0]
        self.migrate(CreateModel("Document", columns, options=options))
        return self

    def migrate(self, *operations: Operation, atomic: bool = True) -> None:
        """Apply a migration of `operations`."""
        body = {"operations": list(operations), "atomic": atomic}
        migration = type("Migration", (Migration,), body)("0002_convert", APP)
        before = self.state.clone()
        state = self.state.clone()
        with connection.schema_editor(atomic=atomic) as editor:
            self.state = migration.apply(state, editor)
        self._undo.append((migration, before))

    def back(self, *, atomic: bool = True) -> None:
        """Unapply the last migration."""
        migration, before = self._undo[-1]
        with connection.schema_editor(atomic=atomic) as editor:
            migration.unapply(before.clone(), editor)
        self.state = before
        self._undo.pop()

    @property
    def model(self) -> Any:
        return self.state.apps.get_model(APP, "document")

    def add(self, *files: Any, **values: Any) -> None:
        """Make a row of each of `files`."""
        self.model.objects.bulk_create([self.model(file=file, **values) for file in files])

    def held(self) -> list[Any]:
        """Return what the rows hold."""
        return list(self.model.objects.order_by("pk").values_list("file", flat=True))

    def drop(self) -> None:
        tables = connection.introspection.table_names()
        with connection.schema_editor() as editor:
            for name in ("library_leaf", TABLE):
                if name in tables:
                    editor.execute(editor.sql_delete_table % {"table": editor.quote_name(name)})


# modules take fixtures by assignment; of an import ruff would say that parameters redefine it
@pytest.fixture
def past() -> Iterator[Past]:
    made = Past()
    try:
        yield made
    finally:
        made.drop()


def document(**options: Any) -> tuple[str, models.FileField]:
    return "file", models.FileField(**{"upload_to": "documents", **options})


def convert(options: dict[str, Any] | None = None, **given: Any) -> ConvertFileField:
    field = StoredObjectField(**{"upload_to": "documents", **(options or {})})
    return ConvertFileField("document", "file", field, **given)


def columns(table: str = TABLE) -> set[str]:
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, table)
    return {column.name for column in found}


def shape(table: str) -> Any:
    """Return all that the database tells of a table but the names of what it named itself."""
    introspection = connection.introspection
    with connection.cursor() as cursor:
        described = introspection.get_table_description(cursor, table)
        found = introspection.get_constraints(cursor, table)
    types = {c.name: (introspection.get_field_type(c.type_code, c), c.null_ok) for c in described}
    keys = ("columns", "primary_key", "unique", "foreign_key", "check", "index", "type")
    given = {"by_path", "no_dots", "one_a_title", "by_lower"}
    return types, sorted(
        repr([name if name in given else "", *(one.get(key) for key in keys)])
        for name, one in found.items()
    )


def fresh(state: ProjectState) -> Any:
    """Return the shape of a new table of the model in `state`."""
    model = state.clone().apps.get_model(APP, "document")
    with connection.schema_editor() as editor:
        editor.execute(editor.sql_delete_table % {"table": TABLE})
    with connection.schema_editor() as editor:
        editor.create_model(model)
    return shape(TABLE)


def file_system(name: str) -> dict[str, Any]:
    location = str(scratch() / name)
    return {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": location},
    }


@contextmanager
def using(**aliases: dict[str, Any]) -> Iterator[None]:
    with override_settings(STORAGES={**settings.STORAGES, **aliases}):
        yield


def store(*names: str, alias: str = "default") -> None:
    for name in names:
        assert storages[alias].save(name, ContentFile(name.encode())) == name


class Watched(FSSpecStorage):
    """Remembers what was listed."""

    walked: ClassVar[list[list[str]]] = []

    def walk(self, prefix: str = "") -> Iterator[Any]:
        self.walked.append([prefix])
        for stat in super().walk(prefix):
            self.walked[-1].append(stat.name)
            yield stat


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    monkeypatch.setattr(Watched, "walked", [])
    config = {"BACKEND": f"{__name__}.Watched", "OPTIONS": {"fs": "memory", "prefix": folder()}}
    with using(default=config):
        yield Watched.walked
