"""ConvertFileField: a FileField's column becomes a StoredObjectField's, and one again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.apps import apps
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction
from django.db.migrations import (
    AddField,
    AddIndex,
    CreateModel,
    Migration,
    RemoveField,
    RunPython,
)
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import OperationWriter
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from django_fsspec.exceptions import StorageError
from django_fsspec.fields import StoredObjectField
from django_fsspec.operations import ConvertFileField, facts
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.backends import _s3, folder, scratch
from tests.servers import CountingProxy

pytestmark = pytest.mark.django_db(transaction=True)

APP, TABLE = "library", "library_document"
VENDOR = connection.vendor
OURS = "django_fsspec.storage.FSSpecStorage"


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


OPTIONAL = {"null": True, "blank": True}


def file_system(name: str) -> dict[str, Any]:
    location = str(scratch() / name)
    return {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": location},
    }


PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "local": lambda name: {
        "BACKEND": OURS,
        "OPTIONS": {"fs": "file", "prefix": str(scratch() / name)},
    },
    "s3": lambda name: {"BACKEND": OURS, "OPTIONS": _s3(servers.SeaweedS3)(name)},
    "Django's": file_system,
}


@contextmanager
def using(**aliases: dict[str, Any]) -> Iterator[None]:
    with override_settings(STORAGES={**settings.STORAGES, **aliases}):
        yield


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    with using(default=PLACES[request.param](folder())):
        yield request.param


@pytest.fixture
def memory() -> Iterator[None]:
    with override_storage("default", "second"):
        yield


def store(*names: str, alias: str = "default") -> None:
    for name in names:
        assert storages[alias].save(name, ContentFile(name.encode())) == name


ODD = [
    "documents/plain.txt",
    "documents/a b  c.txt",
    "documents/100%20%zz%s.txt",
    'documents/it\'s "quoted" {0}.txt',
    "documents/\N{GRINNING FACE}.png",
    unicodedata.normalize("NFC", "documents/caf\N{LATIN SMALL LETTER E WITH ACUTE}.pdf"),
    unicodedata.normalize("NFD", "documents/caf\N{LATIN SMALL LETTER E WITH ACUTE}.pdf"),
    "documents/2024/01/deep.tar.gz",
    "elsewhere.bin",
]


def test_there_and_back(place: str, past: Past, caplog: pytest.LogCaptureFixture) -> None:
    store(*ODD)
    gone = ["documents/gone.txt", "/etc/passwd", "../up.txt", "documents/gone/too.txt"]
    if VENDOR != "mysql":
        gone.append("documents\\back.txt")
    paths = [*ODD, *gone, "", None, ODD[0]]
    past.start(document(null=True, blank=True))
    past.add(*paths)
    before = past.held()
    past.migrate(convert(OPTIONAL, batch_size=4))
    files = past.held()
    assert [file and file.filename for file in files] == [path or None for path in paths]
    for path, file in zip(paths, files, strict=True):
        if path in ODD:
            assert (file.backend, file.size) == ("default", len(path.encode()))
            age = datetime.now(UTC).timestamp() - file.last_modified
            assert -5 < age < 60
            assert (file.etag is None) == (place != "s3")
            assert file.get_content() == path.encode()
        elif path:
            assert (file.size, file.last_modified, file.etag) == (None, None, None)
        if path:
            assert file.original_name == path.rpartition("/")[2]
    assert [file.content_type for file in files[:5:4]] == ["text/plain", "image/png"]
    assert files[7].content_type == "application/gzip"
    (warning,) = caplog.messages
    assert f"library.Document.file: STORAGES['default'] lacks {len(gone)} files: " in warning
    for number, name in enumerate(gone, len(ODD) + 1):
        assert f"pk={number} {name}" in warning
    assert past.model.objects.filter(file__isnull=False, file__size=None).count() == len(gone)
    past.back()
    # what is no file is NULL where the column takes it, '' elsewhere
    assert past.held() == [path or None for path in before]


def test_the_model_goes_on_as_after_a_save(memory: None, past: Past) -> None:
    store("documents/a.txt")
    past.start(document())
    past.add("documents/a.txt")
    past.migrate(convert())
    assert past.model.objects.filter(file__size=15, file__content_type="text/plain").exists()
    row = past.model.objects.get()
    assert set(row.file.to_dict()) == set(FileObject("default", "x").to_dict())
    row.file = ContentFile(b"new", name="b.txt")
    row.save()
    assert [file.get_content() for file in past.held()] == [b"new"]
    past.back()
    assert past.held() == [row.file.name]
    assert past.model.objects.get().file.open().read() == b"new"


def test_rows_without_a_file(memory: None, past: Past) -> None:
    past.start(document(blank=True))
    past.add("", "")
    with pytest.raises(ValueError, match=r"Document\.file: 2 rows without a file .* pk=1, pk=2\."):
        past.migrate(convert())
    past.migrate(convert(OPTIONAL))
    assert past.held() == [None, None]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {TABLE} WHERE file IS NULL")
        assert cursor.fetchone() == (2,)
    past.back()
    assert past.held() == ["", ""]


def test_an_image_keeps_its_measures(memory: None, past: Past) -> None:
    store("p/a.png", "p/b.png")
    past.start(
        ("wide", models.IntegerField(null=True)),
        ("high", models.IntegerField(null=True)),
        ("file", models.ImageField(width_field="wide", height_field="high")),
    )
    past.add("p/a.png", "p/b.png")
    past.model.objects.filter(pk=1).update(wide=7, high=3)
    past.model.objects.filter(pk=2).update(wide=None, high=None)
    past.migrate(convert({"image": True}))
    one, two = past.held()
    assert (one.width, one.height, one.original_name) == (7, 3, "a.png")
    assert "width" not in two.metadata
    assert past.model.objects.values_list("wide", "high").get(pk=1) == (7, 3)
    past.back()
    assert past.held() == ["p/a.png", "p/b.png"]


# listings


MANY = [f"documents/2024/{number % 7:02}/{number:05}.txt" for number in range(2500)]


@pytest.fixture
def through_proxy(rclone: servers.RcloneS3, proxy: CountingProxy) -> Iterator[CountingProxy]:
    """A proxy to S3, where the default storage holds `MANY`, put there as files."""
    name = folder()
    for path in MANY:
        target = rclone.directory / "data" / rclone.bucket / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path[-9:].encode())
    options = {"fs": "s3", "prefix": f"{rclone.bucket}/{name}", "retries": 0}
    options["fs_options"] = {**rclone.fs_options, "endpoint_url": proxy.url}
    with using(default={"BACKEND": OURS, "OPTIONS": options}):
        yield proxy


def cutting(proxy: CountingProxy) -> Callable[..., int]:
    """Return a way to note a page of a listing that has the proxy cut the page after it."""
    note = facts.Facts._note

    def then_cut(self: facts.Facts, stats: Any) -> int:
        proxy.cut_after(50_000)
        return note(self, stats)

    return then_cut


def test_a_listing_tells_of_a_thousand_files(
    through_proxy: CountingProxy, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.start(document())
    past.add(*MANY)
    # a listing that breaks changes nothing
    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(facts.Facts, "_note", cutting(through_proxy))
        past.migrate(convert(), atomic=False)
    assert len(through_proxy.requests()) == 2
    assert past.held() == MANY
    assert columns() == {"id", "file"}
    through_proxy.reset()
    past.migrate(convert(), atomic=False)
    requests = through_proxy.requests()
    assert len(requests) == 3
    assert all(request.method == "GET" and "list-type=2" in request.target for request in requests)
    assert all("documents%2F2024%2F" in request.target for request in requests)
    rows = past.model.objects.filter(file__size=9, file__last_modified__gt=0)
    assert rows.exclude(file__etag=None).count() == 2500
    assert [file.name for file in past.held()] == MANY
    past.back()
    assert past.held() == MANY
    assert len(through_proxy.requests()) == 3


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


def test_the_folder_that_names_share_is_listed(watched: list[list[str]], past: Past) -> None:
    store("a/b/c/1.txt", "a/b/d/2.txt", "a/bb/3.txt", "z.txt")
    past.start(document())
    past.add("a/b/c/1.txt", "a/b/d/2.txt")
    past.migrate(convert())
    assert watched == [["a/b", "a/b/c/1.txt", "a/b/d/2.txt"]]


def test_folders_of_others_are_left(
    watched: list[list[str]], past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "_PATIENCE", 2)
    monkeypatch.setattr(facts, "_PAGE", 2)
    ours = ["a/1.txt", "c/d/1.txt", "c/d/2.txt", "f/1.txt"]
    others = [f"{place}/{n:02}.txt" for place in ("aa", "b", "c/c", "d", "ee") for n in range(30)]
    store(*ours, *others, "e.txt")
    past.start(document())
    past.add(*ours)
    past.migrate(convert())
    assert [file.size for file in past.held()] == [len(name) for name in ours]
    assert [walk[0] for walk in watched] == ["", "c", "c/d", "f"]
    assert sum(map(len, watched)) < 25
    past.back()
    # what lies between files of one folder is passed through, but once
    past.add("e.txt")
    watched.clear()
    past.migrate(convert())
    assert past.held()[-1].size == 5
    assert [walk[0] for walk in watched] == ["", "f"]
    assert sum(map(len, watched)) < 160


def test_missing_files_end_the_search(
    watched: list[list[str]], past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "_PATIENCE", 2)
    monkeypatch.setattr(facts, "_PAGE", 2)
    there = [f"{place}/{n}.txt" for place in "abcdef" for n in range(9)]
    store(*there)
    wanted = ["a/0.txt", "a/99.txt", "b/0x.txt", "d/3.txt", "d/99.txt", "zz.txt", "g/h/i.txt"]
    past.start(document())
    past.add(*wanted)
    past.migrate(convert())
    assert [file.size for file in past.held()] == [7, None, None, 7, None, None, None]
    seen = [name for walk in watched for name in walk[1:]]
    assert len(seen) == len(set(seen))
    past.back()
    past.model.objects.exclude(file__in=["a/0.txt", "b/0x.txt"]).delete()
    watched.clear()
    past.migrate(convert())
    assert [file.size for file in past.held()] == [7, None]
    assert watched == [
        ["", "a/0.txt", "a/1.txt", "a/2.txt", "a/3.txt"],
        ["b", "b/0.txt", "b/1.txt"],
    ]


def test_twenty_are_named(memory: None, past: Past, caplog: pytest.LogCaptureFixture) -> None:
    past.start(document())
    past.add(*(f"d/{n}.txt" for n in range(25)))
    past.migrate(convert())
    (warning,) = caplog.messages
    assert "STORAGES['default'] lacks 25 files: " in warning
    assert "pk=20 d/19.txt and 5 more. " in warning


def test_names_alone(past: Past, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = {"fs": "s3", "prefix": "b", "fs_options": {"endpoint_url": "http://127.0.0.1:1"}}
    with using(default={"BACKEND": OURS, "OPTIONS": nowhere}):
        past.start(document())
        past.add("a/b.png")
        past.migrate(convert(list_storage=False))
        assert [file.to_dict() for file in past.held()] == [
            {
                "filename": "a/b.png",
                "backend": "default",
                "content_type": "image/png",
                "metadata": {"original_name": "b.png"},
                **dict.fromkeys(("size", "last_modified", "checksum", "etag", "version_id")),
            }
        ]
        past.back()
        assert past.held() == ["a/b.png"]
    assert caplog.messages == []


def test_nothing_is_asked_about_an_empty_table(past: Past) -> None:
    with using(default={"BACKEND": "no.such.Storage"}):
        past.start(document())
        past.migrate(convert())
        past.back()


class Unlisted(FileSystemStorage):
    """Can't list, as Django allows."""

    def listdir(self, path: str) -> Any:
        raise NotImplementedError

    def get_modified_time(self, name: str) -> Any:
        raise NotImplementedError


def test_a_storage_that_can_do_little(past: Past) -> None:
    config = {**file_system(folder()), "BACKEND": f"{__name__}.Unlisted"}
    with using(default=config):
        store("d/a.txt")
        past.start(document())
        past.add("d/a.txt", "d/b.txt", "../c.txt")
        past.migrate(convert())
        held = [(file.size, file.last_modified) for file in past.held()]
        assert held == [(7, None), (None, None), (None, None)]


# which alias


def by_hand() -> FileSystemStorage:
    return FileSystemStorage(location=scratch() / "by-hand")


def second() -> Any:
    return storages["second"]


@pytest.mark.parametrize(
    ("storage", "field", "given", "alias"),
    [
        (None, {}, {}, "default"),
        (None, {"backend": "second"}, {}, "default"),
        (None, {}, {"storage": "second"}, "second"),
        (second, {}, {}, "second"),
        (by_hand, {"backend": "second"}, {}, "second"),
        (by_hand, {"backend": second}, {"storage": "second"}, "second"),
    ],
)
def test_the_alias_is_that_of_the_files(
    memory: None, past: Past, storage: Any, field: Any, given: Any, alias: str
) -> None:
    store("documents/a.txt", alias=alias)
    past.start(document(storage=storage))
    past.add("documents/a.txt")
    past.migrate(convert(field, **given))
    assert [(file.backend, file.size) for file in past.held()] == [(alias, 15)]
    past.back()
    assert past.held() == ["documents/a.txt"]


def test_an_alias_that_can_not_be_told(memory: None, past: Past) -> None:
    past.start(document(storage=by_hand))
    past.add("documents/a.txt")
    with pytest.raises(ValueError, match=r"its FileSystemStorage has no alias .* as `storage`"):
        past.migrate(convert({"backend": second}))
    with pytest.raises(ValueError, match=r"'third' is not in STORAGES, which has 'default'"):
        past.migrate(convert(storage="third"))
    assert past.held() == ["documents/a.txt"]


# columns


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


INDEX = models.Index(fields=["title", "file"], name="by_path")
TOGETHER = models.UniqueConstraint(fields=["title", "file"], name="one_a_title")
CHECK = models.CheckConstraint(condition=~Q(title="."), name="no_dots")


KINDS: list[tuple[Any, Any, Any]] = [
    ({}, {}, {}),
    ({"blank": True}, OPTIONAL, {}),
    ({"null": True}, {"null": True}, {}),
    ({"unique": True}, {}, {}),
    ({"unique": True}, {"unique": True}, {}),
    ({"db_index": True}, {}, {}),
    ({"max_length": 300, "db_column": "path"}, {"db_column": "path"}, {}),
    ({"default": "d.txt", "db_default": "e.txt"}, {}, {}),
    ({}, {}, {"unique_together": {("title", "file")}}),
    ({}, {}, {"constraints": [TOGETHER, CHECK]}),
    ({}, {}, {"indexes": [models.Index(Lower("title"), name="by_lower")]}),
]
if VENDOR != "mysql":
    KINDS += [({"db_index": True}, {"db_index": True}, {}), ({}, {}, {"indexes": [INDEX]})]


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize(("before", "after", "options"), KINDS, ids=str)
def test_the_table_is_as_if_made_anew(
    memory: None, past: Past, before: Any, after: Any, options: Any, atomic: bool
) -> None:
    past.start(document(**before), ("title", models.CharField(max_length=10)), **options)
    past.add("d/a.txt", title="1")
    past.add("d/b.txt", title="2")
    old = past.state
    past.migrate(convert(after), atomic=atomic)
    new, forwards = past.state, shape(TABLE)
    past.back(atomic=atomic)
    backwards = shape(TABLE)
    assert past.held() == ["d/a.txt", "d/b.txt"]
    assert forwards == fresh(new)
    assert backwards == fresh(old)


def test_sqlite_remakes_the_table_once(memory: None, past: Past) -> None:
    past.start(document(unique=True))
    past.add("a.txt")
    for forwards in (True, False):
        with CaptureQueriesContext(connection) as queries:
            past.migrate(convert()) if forwards else past.back()
        made = [q["sql"] for q in queries if "CREATE TABLE" in q["sql"]]
        assert len(made) == (VENDOR == "sqlite")


@pytest.mark.parametrize(
    "item",
    [
        models.CheckConstraint(condition=~Q(file=""), name="its_name"),
        models.UniqueConstraint(fields=["id"], condition=Q(file="x"), name="its_name"),
        models.UniqueConstraint(Lower("file"), name="its_name"),
        models.Index(Lower("file"), name="its_name"),
    ],
)
def test_what_is_said_of_paths_alone_is_refused(memory: None, past: Past, item: Any) -> None:
    kind = "indexes" if isinstance(item, models.Index) else "constraints"
    past.start(document(), **{kind: [item]})
    past.add("d/a.txt")
    with pytest.raises(
        ValueError, match=r"Document\.file: remove 'its_name' in an operation befo"
    ):
        past.migrate(convert())
    assert past.held() == ["d/a.txt"]
    assert columns() == {"id", "file"}


def test_what_holds_of_both_is_kept(memory: None, past: Past) -> None:
    check = models.CheckConstraint(condition=Q(file__isnull=False), name="no_dots")
    past.start(document(null=True), constraints=[check])
    past.add("d/a.txt")
    past.migrate(convert({"null": True}))
    assert shape(TABLE) == fresh(past.state)


def test_mariadb_has_no_index_on_json(memory: None, past: Past) -> None:
    past.start(document(), ("title", models.CharField(max_length=10)), indexes=[INDEX])
    past.add("d/a.txt", title="1")
    if VENDOR != "mysql":
        past.migrate(convert())
        return
    with pytest.raises(ValueError, match="remove 'by_path' in an operation before"):
        past.migrate(convert())
    assert past.held() == ["d/a.txt"]


def test_a_long_table_and_column_name(memory: None, past: Past) -> None:
    column = "c" * (connection.ops.max_name_length() or 1)
    past.start(document(db_column=column))
    past.add("a.txt")
    past.migrate(convert({"db_column": column}))
    assert [file.name for file in past.held()] == ["a.txt"]
    past.back()
    assert past.held() == ["a.txt"]
    with pytest.raises(ValueError, match="does not rename the column"):
        past.migrate(convert())


def test_indexes_of_the_same_migration(memory: None, past: Past) -> None:
    past.start()
    past.model.objects.create()
    past.migrate(
        AddField("document", "file", models.FileField(default="a.txt", db_index=True)),
        convert(),
        AddIndex("document", models.Index(F("file__filename"), name="by_path")),
    )
    assert [file.name for file in past.held()] == ["a.txt"]
    new, made = past.state, shape(TABLE)
    past.back()
    assert columns() == {"id"}
    assert made == fresh(new)


# primary keys


def test_keys_of_other_kinds(memory: None, past: Past) -> None:
    past.start(("id", models.UUIDField(primary_key=True, default=uuid.uuid4)), document())
    past.add(*(f"{n}.txt" for n in range(7)))
    was = {row.pk: row.file.name for row in past.model.objects.all()}
    past.migrate(convert(batch_size=2))
    assert {row.pk: row.file.name for row in past.model.objects.all()} == was
    past.back()
    assert {row.pk: row.file.name for row in past.model.objects.all()} == was


def test_keys_of_text(memory: None, past: Past) -> None:
    past.start(("key", models.CharField(max_length=20, primary_key=True)), document())
    for key in ("b", "%s", "a'\"", "é", "z", "Ä x"):
        past.add(f"{key}.txt", key=key)
    past.migrate(convert(batch_size=2))
    assert all(row.file.name == f"{row.pk}.txt" for row in past.model.objects.all())
    past.back()
    assert all(row.file.name == f"{row.pk}.txt" for row in past.model.objects.all())


def test_keys_of_several_columns(memory: None, past: Past) -> None:
    past.start(
        ("pk", models.CompositePrimaryKey("tenant", "number")),
        ("tenant", models.CharField(max_length=5)),
        ("number", models.IntegerField()),
        document(),
    )
    for tenant in ("a", "b"):
        for number in (1, 2, 3):
            past.add(f"{tenant}{number}.txt", tenant=tenant, number=number)
    past.migrate(convert(batch_size=2))
    assert [file.name[:2] for file in past.held()] == ["a1", "a2", "a3", "b1", "b2", "b3"]
    past.back()
    assert [path[:2] for path in past.held()] == ["a1", "a2", "a3", "b1", "b2", "b3"]


def test_a_model_that_inherits_its_table(memory: None, past: Past) -> None:
    store("leaves/a.png")
    past.start(("wide", models.IntegerField()))
    link = models.OneToOneField(
        "library.document", models.CASCADE, parent_link=True, primary_key=True
    )
    image = models.ImageField(width_field="wide")
    past.migrate(
        CreateModel("Leaf", [("document_ptr", link), ("file", image)], bases=("library.document",))
    )
    leaf = past.state.apps.get_model(APP, "leaf")
    row = leaf(file="leaves/a.png", wide=9)
    row.save()
    leaf.objects.update(wide=9)
    past.migrate(ConvertFileField("Leaf", "file", StoredObjectField()), atomic=False)
    leaf = past.state.apps.get_model(APP, "leaf")
    assert [(one.file.size, one.file.width) for one in leaf.objects.all()] == [(12, 9)]
    past.back(atomic=False)
    leaf = past.state.apps.get_model(APP, "leaf")
    assert [one.file.name for one in leaf.objects.all()] == ["leaves/a.png"]


def test_rows_that_others_point_at(memory: None, past: Past) -> None:
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    past.start(document(), ("parent", parent))
    link = models.ForeignKey("library.document", models.CASCADE)
    past.migrate(
        CreateModel("Leaf", [("id", models.BigAutoField(primary_key=True)), ("of", link)])
    )

    def grow(apps: Any, editor: Any) -> None:
        rows, leaves = (apps.get_model(APP, name).objects for name in ("document", "leaf"))
        first = rows.create(file="a.txt")
        leaves.create(of=rows.create(file="b.txt", parent=first))

    def prune(apps: Any, editor: Any) -> None:
        apps.get_model(APP, "document").objects.get(file="b.txt").delete()

    past.migrate(RunPython(grow, prune), convert())
    leaf = past.state.apps.get_model(APP, "leaf")
    assert leaf.objects.get().of.file.name == "b.txt"
    assert leaf.objects.get().of.parent.file.name == "a.txt"
    with pytest.raises(IntegrityError), transaction.atomic():
        leaf.objects.create(of_id=99)
        connection.check_constraints()
    past.back()
    assert past.held() == ["a.txt"]


# what is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"field": models.FileField()}, "field must be a StoredObjectField, not FileField"),
        ({"field": StoredObjectField(multiple=True)}, "fields of one file"),
        ({"field": StoredObjectField(), "batch_size": 0}, "batch_size must be 1 or more"),
    ],
    ids=str,
)
def test_wrong_arguments(given: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        ConvertFileField("document", "file", **given)


def test_only_file_fields_are_converted(memory: None, past: Past) -> None:
    past.start(("file", models.CharField(max_length=10)))
    with pytest.raises(TypeError, match=r"Document\.file is a CharField before ConvertFileField"):
        past.migrate(convert())


def test_the_way_back_is_refused_before_anything_is_changed(memory: None, past: Past) -> None:
    past.start(document(max_length=20))
    past.migrate(convert(OPTIONAL))
    kept = [
        FileObject("default", "x" * 21),
        FileObject("second", "b.txt"),
        {"backend": "default"},
        FileObject("default", "x" * 20),
    ]
    past.add(None, *kept)
    with pytest.raises(ValueError, match=r"Document\.file can't become a path again\.") as caught:
        past.back(atomic=False)
    text = str(caught.value)
    assert f"The path is longer than max_length=20: pk=2 '{'x' * 21}'." in text
    assert "The FileField's storage is 'default'" in text
    assert "pk=3 'b.txt' on 'second'." in text
    assert "The JSON is no file: pk=4." in text
    assert columns() == {"id", "file"}
    past.model.objects.filter(pk__in=[2, 3, 4]).delete()
    past.back(atomic=False)
    assert past.held() == ["", "x" * 20]


def test_a_router_has_its_say(memory: None, past: Past) -> None:
    class Nowhere:
        def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
            return False

    past.start(document())
    past.add("a.txt")
    with override_settings(DATABASE_ROUTERS=[Nowhere()]):
        past.migrate(convert())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT file FROM {TABLE}")
        assert list(cursor.fetchall()) == [("a.txt",)]


# stopped in the middle


class Stopped(Exception):
    pass


class StopAt:
    """Raises instead of the `n`-th statement that changes something."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("UPDATE", "ALTER", "CREATE", "DROP", "INSERT", "LOCK", "RENAME")):
            self.left -= 1
            if self.left == 0:
                raise Stopped
        return execute(sql, params, many, context)


def stopped_everywhere(run: Callable[[], None], check: Callable[[], None]) -> int:
    """Stop `run` at its first statement, its second and so on, until it comes to its end."""
    for n in range(1, 60):
        try:
            with connection.execute_wrapper(StopAt(n)):
                run()
        except Stopped:
            check()
        else:
            return n - 1
    raise AssertionError


@pytest.mark.parametrize("atomic", [True, False])
def test_stopped_at_any_statement(memory: None, past: Past, atomic: bool) -> None:
    """Each attempt goes one statement further, the next goes on from there."""
    store(*(f"d/{n}.txt" for n in range(5)))
    past.start(
        document(unique=True),
        ("title", models.CharField(max_length=10, default="t")),
        unique_together={("title", "file")},
        constraints=[TOGETHER],
    )
    names = ["d/0.txt", "d/1.txt", "d/2.txt", "d/3.txt", "d/gone.txt"]
    past.add(*names)
    old = past.state
    operation = convert({"unique": True}, batch_size=2)

    def intact() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT file FROM {TABLE} ORDER BY id")
            held = [str(file) for (file,) in cursor.fetchall()]
        assert [name in file for name, file in zip(names, held, strict=True)] == [True] * 5

    assert stopped_everywhere(lambda: past.migrate(operation, atomic=atomic), intact) > 4
    assert [(file.name, file.size) for file in past.held()] == [
        *((name, 7) for name in names[:4]),
        (names[4], None),
    ]
    assert columns() == {"id", "file", "title"}
    new, made = past.state, shape(TABLE)
    assert stopped_everywhere(lambda: past.back(atomic=atomic), intact) > 4
    assert past.held() == names
    undone = shape(TABLE)
    assert made == fresh(new)
    assert undone == fresh(old)


def test_stopped_before_the_swap_alone(memory: None, past: Past) -> None:
    """What was dropped for the swap is made again, though by another run."""
    title = ("title", models.CharField(max_length=10, default="t"))
    past.start(document(), title, constraints=[TOGETHER])
    past.add("d/1.txt")

    def stop(execute: Any, sql: str, *rest: Any) -> Any:
        if "DROP COLUMN" in sql or sql.startswith("CREATE TABLE"):
            raise Stopped
        return execute(sql, *rest)

    with connection.execute_wrapper(stop), pytest.raises(Stopped):
        past.migrate(convert(), atomic=False)
    past.migrate(convert(), atomic=False)
    assert [file.name for file in past.held()] == ["d/1.txt"]
    made = shape(TABLE)
    assert made == fresh(past.state)


def test_a_second_run_goes_on(
    watched: list[list[str]], past: Past, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{'ab'[n > 4]}/{n}.txt" for n in range(10)]
    store(*names)
    past.start(document())
    past.add("a/none.txt", *names)
    with connection.execute_wrapper(StopAt(5)), pytest.raises(Stopped):
        past.migrate(convert(batch_size=2), atomic=False)
    assert columns() == {"id", "file", "file_converting"}
    watched.clear()
    past.migrate(convert(batch_size=2), atomic=False)
    assert [walk[0] for walk in watched] == ["b"]
    assert [file.size for file in past.held()] == [None, *[7] * 10]
    # of the run before, too
    (warning,) = caplog.messages
    assert "STORAGES['default'] lacks 1 file: pk=1 a/none.txt." in warning


def test_a_run_that_was_not_recorded(memory: None, past: Past) -> None:
    past.start(document(unique=True))
    past.add("d/1.txt")
    start = past.state
    for _ in range(2):
        past.state = start
        past.migrate(convert({"unique": True}), atomic=False)
        assert [file.name for file in past.held()] == ["d/1.txt"]
        assert columns() == {"id", "file"}
    made = shape(TABLE)
    assert made == fresh(past.state)


def test_rows_that_change_meanwhile(memory: None, past: Past) -> None:
    store("d/1.txt", "d/2.txt", "d/new.txt", "d/later.txt")
    past.start(document(blank=True))
    past.add("d/1.txt", "d/2.txt", "d/1.txt")

    def others(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE") and not seen:
            seen.append(sql)
            rows = past.model.objects
            rows.filter(pk=1).update(file="d/new.txt")
            rows.filter(pk=3).update(file="")
            rows.create(file="d/later.txt")
        return result

    seen: list[str] = []
    with connection.execute_wrapper(others):
        past.migrate(convert(OPTIONAL), atomic=False)
    held = [file and (file.name, file.size) for file in past.held()]
    assert held == [("d/new.txt", 9), ("d/2.txt", 7), None, ("d/later.txt", 11)]


def test_rows_that_no_longer_fit_meanwhile(memory: None, past: Past) -> None:
    past.start(document())
    past.add("a.txt")
    past.migrate(convert())

    def others(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "ADD COLUMN" in sql:
            past.model.objects.update(file=FileObject("second", "b.txt"))
        return execute(sql, params, many, context)

    with (
        connection.execute_wrapper(others),
        pytest.raises(ValueError, match=r"pk=1 'b\.txt' on 'second'"),
    ):
        past.back(atomic=False)
    past.model.objects.update(file=FileObject("default", "b.txt"))
    past.back(atomic=False)
    assert past.held() == ["b.txt"]


def test_nobody_writes_between_the_last_look_and_the_swap(memory: None, past: Past) -> None:
    past.start(document())
    past.add("d/1.txt")
    with CaptureQueriesContext(connection) as queries:
        past.migrate(convert(), atomic=False)
    statements = [query["sql"] for query in queries]
    # SQLite lets nobody commit who wrote since another began to read
    begins = "BEGIN" if VENDOR == "sqlite" else "LOCK TABLE"
    lock = max(n for n, sql in enumerate(statements) if sql.startswith(begins))
    swap = next(n for n, sql in enumerate(statements) if "DROP COLUMN" in sql or "new__" in sql)
    assert any(sql.startswith("SELECT") and TABLE in sql for sql in statements[lock:swap])


# large tables, and kill -9: each step in a process of its own


def _past() -> Past:
    """Return a table that is there, of a FileField."""
    made = Past()
    columns: Any = [("id", models.BigAutoField(primary_key=True)), document()]
    CreateModel("Document", columns).state_forwards(APP, made.state)
    return made


def step(database: str, place: str, what: str, rows: int, atomic: bool) -> dict[str, Any]:
    """Do one step on a table in `database`, its files in the folder `place`; tell of it."""
    settings.DEBUG = False  # else Django keeps the statements
    connection.settings_dict["NAME"] = database
    names = [f"documents/{number % 97:02}/{number:07}.txt" for number in range(rows)]
    with using(default={"BACKEND": OURS, "OPTIONS": {"fs": "file", "prefix": place}}):
        if what == "make":
            made = Past().start(document())
            for start in range(0, rows, 5000):
                made.add(*names[start : start + 5000])
            return {}
        past = _past()
        operation = convert(batch_size=1000 if rows > 50_000 else 20)
        if what == "convert":
            print("go", flush=True)
            idle = memory_of_process("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")
            begun = time.monotonic()
            past.migrate(operation, atomic=atomic)
            seconds = time.monotonic() - begun
            return {"seconds": seconds, "peak": memory_of_process("VmHWM") - idle}
        operation.state_forwards(APP, past.state)
        held = past.model.objects.order_by("pk").values_list("file__filename", "file__size")
        assert columns() == {"id", "file"}
        assert list(held) == [(name, 7) for name in names]
        past.drop()
        return {}


def memory_of_process(field: str) -> int:
    """Return the kernel's own account of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


class Steps:
    """Runs steps, each in a process of its own."""

    def __init__(self, folder: Path, rows: int, *, atomic: bool) -> None:
        name = (
            str(folder / "db.sqlite3") if VENDOR == "sqlite" else connection.settings_dict["NAME"]
        )
        self._database, self._place, self._rows, self._atomic = name, folder, rows, atomic
        for number in range(rows):
            path = folder / f"documents/{number % 97:02}/{number:07}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"content")

    def begin(self, what: str) -> subprocess.Popen[str]:
        arguments = (self._database, str(self._place), what, self._rows, self._atomic)
        code = (
            "import django; django.setup()\n"
            "import json; from tests import test_convert\n"
            f"print(json.dumps(test_convert.step(*{arguments!r})))"
        )
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    def do(self, what: str) -> dict[str, Any]:
        with self.begin(what) as process:
            out, _ = process.communicate()
        assert process.returncode == 0
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told


@pytest.mark.soak
def test_killed_at_any_moment(tmp_path: Path) -> None:
    for atomic in (False, True):
        steps = Steps(tmp_path / f"{atomic}", 3000, atomic=atomic)
        steps.do("make")
        seconds = steps.do("convert")["seconds"]
        steps.do("check")
        steps.do("make")
        # what is begun anew each time is killed anywhere; what goes on must get somewhere
        longest = seconds if atomic and connection.features.can_rollback_ddl else seconds / 4
        killed = 0
        while killed < 12:
            with steps.begin("convert") as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "go\n"
                try:
                    process.wait(random.uniform(0, longest))
                except subprocess.TimeoutExpired:
                    process.kill()
                    killed += 1
                    continue
            steps.do("check")
            steps.do("make")
        steps.do("convert")
        steps.do("check")
        print(f"\nconvert | {VENDOR} | atomic={atomic} | killed {killed} times, all rows right")


@pytest.mark.soak
def test_memory_is_flat(tmp_path: Path) -> None:
    for rows in (20_000, 100_000):
        steps = Steps(tmp_path / f"{rows}", rows, atomic=True)
        steps.do("make")
        told = steps.do("convert")
        steps.do("check")
        megabytes = told["peak"] / 1_000_000
        print(f"\nconvert | {VENDOR} | {rows} rows, {told['seconds']:.1f} s, {megabytes:.1f} MB")
        assert megabytes < 40


# as part of a site


def test_what_a_migration_file_holds() -> None:
    operation = convert(batch_size=50, storage="second", list_storage=False)
    text, imports = OperationWriter(operation, indentation=0).serialize()
    assert "import django_fsspec.operations" in imports
    assert "django_fsspec.operations.ConvertFileField(" in text
    for line in ("batch_size=50", "storage='second'", "list_storage=False", "name='file'"):
        assert line in text
    assert convert().deconstruct()[2].keys() == {"model_name", "name", "field"}
    assert operation.describe() == "Convert file field file on document to a StoredObjectField"
    assert operation.formatted_description().startswith("~ Convert")
    assert operation.migration_name_fragment == "convert_document_file"
    assert operation.references_field("Document", "file", APP)
    assert operation.reduce(RemoveField("document", "file"), APP) is False


INITIAL = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Document",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file", models.FileField(upload_to="documents")),
            ],
        ),
    ]
"""
CONVERT = """
from django.db import migrations, models
from django.db.models import F
from django_fsspec.fields import StoredObjectField
from django_fsspec.operations import ConvertFileField
import {app}.models

class Migration(migrations.Migration):
    dependencies = [("{app}", "0001_initial")]
    operations = [
        ConvertFileField(
            "document", "file", StoredObjectField(upload_to={app}.models.where, max_length=200)
        ),
        migrations.AddIndex("document", models.Index(F("file__filename"), name="by_path")),
    ]
"""
MODELS = """
from django.db import models
from django.db.models import F
from django_fsspec.fields import StoredObjectField

def where(instance, filename):
    return f"documents/{filename}"

class Document(models.Model):
    file = StoredObjectField(upload_to=where, image=False, max_length=200, max_size=10)

    class Meta:
        indexes = [models.Index(F("file__filename"), name="by_path")]
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an installed app whose second migration converts its field."""
    name = f"app_{uuid.uuid4().hex[:8]}"
    migrations = tmp_path / name / "migrations"
    migrations.mkdir(parents=True)
    for package in (tmp_path / name, migrations):
        (package / "__init__.py").write_text("")
    (tmp_path / name / "models.py").write_text(MODELS)
    (migrations / "0001_initial.py").write_text(INITIAL)
    (migrations / "0002_convert.py").write_text(CONVERT.format(app=name))
    monkeypatch.syspath_prepend(str(tmp_path))
    with override_settings(
        INSTALLED_APPS=[*settings.INSTALLED_APPS, name],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    ):
        yield name
        call_command("migrate", name, "zero", verbosity=0)
    apps.all_models.pop(name, None)
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


def out_of(*arguments: Any, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, no_color=True, **options)
    return out.getvalue()


def test_the_commands_of_a_site(memory: None, app: str) -> None:
    assert "No changes detected" in out_of("makemigrations", app, check_changes=True, dry_run=True)
    call_command("migrate", app, "0001", verbosity=0)
    plan = out_of("migrate", app, plan=True)
    assert "Convert file field file on document to a StoredObjectField" in plan
    sql = out_of("sqlmigrate", app, "0002")
    assert "-- THIS OPERATION CANNOT BE WRITTEN AS SQL" in sql
    assert "DROP" not in sql
    assert ("CREATE INDEX" in sql) == connection.features.supports_expression_indexes
    store("documents/a.txt")
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {app}_document (file) VALUES ('documents/a.txt')")
    call_command("migrate", app, verbosity=0)
    document = apps.get_model(app, "Document").objects.get()
    assert (document.file.size, document.file.get_content()) == (15, b"documents/a.txt")
    assert "-- THIS OPERATION CANNOT" in out_of("sqlmigrate", app, "0002", backwards=True)
    call_command("migrate", app, "0001", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT file FROM {app}_document")
        assert list(cursor.fetchall()) == [("documents/a.txt",)]


def test_a_squashed_migration_is_run(memory: None, app: str) -> None:
    out_of("squashmigrations", app, "0002", interactive=False, verbosity=0)
    call_command("migrate", app, verbosity=0)
    assert not apps.get_model(app, "Document").objects.exists()
    assert "No changes detected" in out_of("makemigrations", app, check_changes=True, dry_run=True)
