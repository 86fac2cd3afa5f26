"""sweep_files: objects that no row holds, rows whose object is gone, and what must never go."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test import override_settings
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from s3fs import S3FileSystem

from django_fsspec import FileObject
from django_fsspec.catalogue import Catalogue
from django_fsspec.exceptions import StorageError
from django_fsspec.findings import MissingFile, Orphan
from django_fsspec.holdings import Refused
from django_fsspec.places import Place, Route, place_of
from django_fsspec.stat import Stat
from django_fsspec.storage import FSSpecStorage
from django_fsspec.sweep import Sweep
from django_fsspec.testing import override_storage
from tests import servers
from tests.backends import _s3, folder, scratch
from tests.library.models import Attachment, Paper, Shelf
from tests.soak import memory, sweeping

pytestmark = pytest.mark.django_db(databases=["default", "other"])

NAMES = [
    "quo'te\".txt",
    "100%.txt",
    "%s {0}.txt",
    "\U0001f600/\U0001f600.txt",
    "caf\u00e9.txt",
    "cafe\u0301 2.txt",
    "\uff21\ue000.txt",
    "a-b/c.txt",
    "a/b.txt",
    "a b.txt",
    "a/b/c/d.txt",
]


def options_of(kind: str) -> dict[str, Any]:
    if kind == "s3":
        return _s3(servers.SeaweedS3)(folder())
    prefix = folder()
    return (
        {"fs": "file", "prefix": str(scratch() / prefix)} if kind == "local" else _memory(prefix)
    )


def _memory(prefix: str) -> dict[str, Any]:
    return {"fs": "memory", "prefix": prefix}


@pytest.fixture(params=["memory", "local", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    with override_storage(default=options_of(request.param)):
        yield request.param


@pytest.fixture
def default() -> Iterator[FSSpecStorage]:
    """The default storage, in memory."""
    with override_storage("default"):
        yield storage_of("default")


def storage_of(alias: str) -> FSSpecStorage:
    storage = storages[alias]
    assert isinstance(storage, FSSpecStorage)
    return storage


def put(*names: str, alias: str = "default") -> None:
    for name in names:
        assert storage_of(alias).save(name, ContentFile(b"1234567")) == name


def there(alias: str = "default") -> list[str]:
    return sorted(stat.name for stat in storage_of(alias).walk())


def said(name: str, alias: str = "default") -> FileObject:
    """Return a file that is only said to be stored."""
    return FileObject(alias, name)


def hold(*names: str, alias: str = "default") -> None:
    Paper.objects.bulk_create([Paper(file=said(name, alias)) for name in names])


def put_json(row: models.Model, column: str, data: Any) -> None:
    """Write a column as anybody may who has access to the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {row._meta.db_table} SET {column} = %s WHERE id = %s",
            [json.dumps(data), row.pk],
        )


def sweep(*aliases: str, **options: Any) -> list[Orphan | MissingFile]:
    return list(Sweep(aliases or ["default"], **options).run())


def fates(*aliases: str, **options: Any) -> dict[str, str]:
    found = sweep(*aliases, **options)
    return {one.name: one.fate for one in found if isinstance(one, Orphan)}


#: options that delete whatever the age
NOW: dict[str, Any] = {"delete": True, "min_age": timedelta(0)}


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("sweep_files", *arguments, stdout=out, stderr=StringIO(), no_color=True)
    return out.getvalue()


def failing(*arguments: str) -> tuple[str, int]:
    """Return what a sweep prints that does not end with 0, and with what it ends."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("sweep_files", *arguments, stdout=out, no_color=True)
    return out.getvalue() or str(caught.value), caught.value.returncode


def summary(text: str, alias: str = "default") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)["aliases"][alias]
    return found


# objects that no row holds


def test_orphans_are_listed_and_kept(place: str) -> None:
    put("papers/a.txt", "papers/b.txt", "x/y/z/orphan.txt")
    hold("papers/a.txt", "papers/b.txt")
    assert fates(min_age=timedelta(0)) == {"x/y/z/orphan.txt": "orphan"}
    assert len(there()) == 3


def test_orphans_are_deleted_and_nothing_else(place: str) -> None:
    Paper.objects.create(file=ContentFile("1", name="paper.txt"))
    Shelf.objects.create(files=[ContentFile("1", name="1.txt"), ContentFile("2", name="2.txt")])
    Attachment.objects.create(file=ContentFile("1", name="attached.txt"))
    kept = there()
    assert len(kept) == 4
    put("papers/orphan.txt", "documents/2020/orphan.txt", "orphan.txt", "p/q/r/orphan.txt")
    assert set(fates(**NOW).values()) == {"deleted"}
    assert there() == kept
    assert fates(**NOW) == {}


def test_odd_names(place: str) -> None:
    lone = [f"lone/{name}" for name in NAMES]
    put(*NAMES, *lone)
    hold(*NAMES[::2])
    Shelf.objects.create(files=[said(name) for name in NAMES[1::2]])
    assert fates() == dict.fromkeys(lone, "young")
    assert set(fates(**NOW)) == set(lone)
    assert there() == sorted(NAMES)
    for file_field in NAMES:
        Attachment.objects.create(file=file_field)
    Paper.objects.all().delete()
    Shelf.objects.all().delete()
    assert fates(**NOW) == {}


def test_both_forms_of_unicode_are_two_files(place: str) -> None:
    composed, decomposed = "caf\u00e9.txt", "cafe\u0301.txt"
    put(composed, decomposed)
    hold(composed)
    assert fates(**NOW) == {decomposed: "deleted"}
    assert there() == [composed]


def test_more_than_one_request_can_delete(tmp_path: Path) -> None:
    for number in range(2100):
        (tmp_path / f"{number}.txt").touch()
    hold("7.txt", "2099.txt")
    with override_storage(default={"fs": "file", "prefix": str(tmp_path)}):
        assert len(fates(**NOW)) == 2098
        assert there() == ["2099.txt", "7.txt"]


def test_a_folder_is_swept_alone(place: str) -> None:
    put("in/a.txt", "in/b/c.txt", "inside.txt", "out/a.txt", "in/held.txt")
    hold("in/held.txt")
    assert set(fates(prefix="in", **NOW)) == {"in/a.txt", "in/b/c.txt"}
    assert there() == ["in/held.txt", "inside.txt", "out/a.txt"]
    assert fates(prefix="nowhere", **NOW) == {}


# what may not go


def test_young_objects_are_kept(place: str) -> None:
    put("young.txt")
    assert fates(delete=True) == {"young.txt": "young"}
    assert there() == ["young.txt"]


def test_old_objects_go() -> None:
    with override_storage(default=options_of("local")):
        put("old.txt", "young.txt")
        yesterday = time.time() - 25 * 3600
        os.utime(storage_of("default").path("old.txt"), (yesterday, yesterday))
        assert fates(delete=True) == {"old.txt": "deleted", "young.txt": "young"}
        assert fates(delete=True, min_age=timedelta(hours=26)) == {"young.txt": "young"}
        assert there() == ["young.txt"]


class Timeless(MemoryFileSystem):  # type: ignore[misc]
    """Does not tell when a file was stored."""

    store: dict[str, Any] = {}  # noqa: RUF012 - as in its parent
    pseudo_dirs: list[str] = [""]  # noqa: RUF012

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return _untimed(super().info(path, **kwargs))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        return list(map(_untimed, super().ls(path, detail=True, **kwargs)))


def _untimed(info: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in info.items() if key != "created"}


def test_what_has_no_time_is_never_deleted() -> None:
    with override_storage(default={"fs": Timeless, "prefix": folder()}):
        put("a.txt")
        assert fates(**NOW) == {"a.txt": "undated"}
        assert there() == ["a.txt"]
        text = run("default", "--delete", "--min-age", "0")
        assert "without a time, never deleted: 1" in text


@pytest.mark.parametrize("kind", ["paper", "shelf", "attachment"])
def test_a_row_written_after_the_listing_keeps_its_file(
    place: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a/late.txt", "a/orphan.txt")
    storage = storage_of("default")
    walk = storage.walk

    def walk_slowly(prefix: str = "") -> Iterator[Stat]:
        yield from walk(prefix)
        if kind == "paper":
            hold("a/late.txt")
        elif kind == "shelf":
            Shelf.objects.create(files=[said("other.txt"), said("a/late.txt")])
        else:
            Attachment.objects.create(file="a/late.txt")

    monkeypatch.setattr(storage, "walk", walk_slowly)
    assert fates(**NOW) == {"a/late.txt": "referenced", "a/orphan.txt": "deleted"}
    assert there() == ["a/late.txt"]


def test_odd_json_keeps_what_it_names(default: FSSpecStorage) -> None:
    put("a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "orphan.txt")
    for data in (
        [{"filename": "a.txt", "backend": "default"}],
        {"filename": "b.txt"},
        {"filename": "c.txt", "backend": "an alias of former times"},
        {"filename": "d.txt", "backend": 5, "size": "much"},
        "text",
        [None, 5, {"filename": None}],
    ):
        put_json(Paper.objects.create(), "file", data)
    put_json(Shelf.objects.create(), "files", [5, {"filename": "e.txt", "backend": "default"}])
    swept = Sweep(["default"], **NOW)
    assert [one.name for one in swept.run()] == ["orphan.txt"]
    assert any("an alias of former times: where its files lie" in note for note in swept.notes)
    assert any("JSON without a backend" in note for note in swept.notes)


def test_rows_that_a_manager_hides_count(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.txt")
    hold("a.txt")
    monkeypatch.setattr(Paper._meta, "base_manager", Nothing())
    monkeypatch.setattr(Paper._meta.base_manager, "model", Paper)
    assert Paper._base_manager.count() == 0
    assert fates() == {}


class Nothing(models.Manager[Any]):
    def get_queryset(self) -> Any:
        return super().get_queryset().none()


# whose files they are


def test_two_aliases_in_one_place(default: FSSpecStorage) -> None:
    prefix = default.options.prefix
    with override_storage(
        default=_memory(prefix),
        twin={**_memory(prefix), "timeout": 5},
        inner=_memory(f"{prefix}/inner"),
    ):
        put("a.txt", "b.txt", "c.txt", "inner/d.txt", "inner/e.txt", "inner/f.txt", "inner/g.txt")
        hold("a.txt", "inner/d.txt")
        hold("b.txt", "inner/e.txt", alias="twin")
        hold("f.txt", alias="inner")
        assert set(fates("default")) == set(fates("twin")) == {"c.txt"}
        assert fates("inner", **NOW) == {"g.txt": "deleted"}
        swept = Sweep(["default"])
        list(swept.run())
        assert swept.tallies["default"].objects == 3
        assert "default: inner/ was left to 'inner', which is at home there." in swept.notes
        assert [one.fate for one in Sweep(**NOW).run()] == ["deleted"]  # type: ignore[union-attr]
        assert "inner/d.txt" in there()


def test_a_late_row_of_an_alias_in_the_same_place(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = default.options.prefix
    with override_storage(default=_memory(f"{prefix}/inner"), outer=_memory(prefix)):
        put("a.txt", "b.txt")
        storage = storage_of("default")
        walk = storage.walk

        def walk_slowly(prefix: str = "") -> Iterator[Stat]:
            yield from walk(prefix)
            hold("inner/a.txt", alias="outer")

        monkeypatch.setattr(storage, "walk", walk_slowly)
        assert fates(**NOW) == {"a.txt": "referenced", "b.txt": "deleted"}


def test_rows_of_another_storage_hold_nothing_here(default: FSSpecStorage) -> None:
    with override_storage("other", default=_memory(default.options.prefix)):
        put("a.txt")
        hold("a.txt", alias="other")
        assert set(fates()) == {"a.txt"}


ATTACHED = Attachment._meta.get_field("file")


def test_djangos_own_storage_of_the_same_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setattr(ATTACHED, "storage", FileSystemStorage(tmp_path / "real" / "sub"))
    with override_storage(default={"fs": "file", "prefix": str(tmp_path / "link")}):
        put("sub/a.txt", "sub/b.txt")
        Attachment.objects.create(file="a.txt")
        assert fates(**NOW) == {"sub/b.txt": "deleted"}


def test_a_storage_that_a_field_was_given_by_hand(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**_memory(default.options.prefix), "url_expires_in": 5}
    monkeypatch.setattr(ATTACHED, "storage", FSSpecStorage(**options))
    put("a.txt", "b.txt")
    Attachment.objects.create(file="a.txt")
    gone = Attachment.objects.create(file="gone.txt")
    missing, orphan = sorted(sweep(missing=True), key=lambda one: one.name, reverse=True)
    assert isinstance(missing, MissingFile)
    assert (missing.alias, missing.pk) == ("default", gone.pk)
    assert orphan.name == "b.txt"


def test_a_storage_that_nothing_is_known_of(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ATTACHED, "storage", Storage())
    put("a.txt", "b.txt")
    Attachment.objects.create(file="a.txt")
    swept = Sweep(["default"], **NOW)
    assert [one.name for one in swept.run()] == ["b.txt"]
    assert any(note.startswith("library.Attachment.file: where its") for note in swept.notes)


def test_static_files_are_no_orphans(tmp_path: Path) -> None:
    files = {"fs": "file", "prefix": str(tmp_path)}
    with (
        override_storage(default=files),
        override_settings(STATIC_ROOT=str(tmp_path / "static")),
    ):
        put("static/site.css", "a.txt")
        assert set(fates(**NOW)) == {"a.txt"}
        assert there() == ["static/site.css"]
    with override_storage(default=files, staticfiles=files):
        assert list(Sweep().tallies) == ["default"]
        for alias in ("default", "staticfiles"):
            with pytest.raises(Refused, match="'staticfiles' keep their files in one place"):
                Sweep([alias], delete=True)


class Forgiving(MemoryFileSystem):  # type: ignore[misc]
    """Has names in small letters, and finds them by any."""

    store: dict[str, Any] = {}  # noqa: RUF012 - as in its parent
    pseudo_dirs: list[str] = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(path).lower()


def test_a_filesystem_that_ignores_case() -> None:
    with override_storage(default={"fs": Forgiving, "prefix": folder()}):
        for name in ("Photos/A.txt", "Photos/B.txt"):
            storage_of("default").save(name, ContentFile(b"1"))
        assert there() == ["photos/a.txt", "photos/b.txt"]
        hold("Photos/A.txt")
        assert fates(**NOW, missing=True) == {"photos/b.txt": "deleted"}
        assert sweep(missing=True) == []


def test_case_matters_where_it_does(place: str) -> None:
    put("a.txt")
    hold("A.txt")
    found = sweep(missing=True)
    assert [type(one) for one in found] == [Orphan, MissingFile]


# databases


def test_rows_of_another_database(default: FSSpecStorage) -> None:
    put("a.txt", "b.txt", "c.txt")
    hold("a.txt")
    Paper.objects.using("other").bulk_create([Paper(file=said("b.txt"))])
    assert set(fates(databases=["default", "other"], **NOW)) == {"c.txt"}
    swept = Sweep(["default"])
    assert [one.name for one in swept.run()] == ["b.txt"]
    assert "Rows in 'other' were not looked at: add --database." in swept.notes


class PapersElsewhere:
    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        return "other" if model is Paper else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "other" if hints.get("model_name") == "paper" else None


def test_a_model_is_looked_for_where_the_router_reads_it(default: FSSpecStorage) -> None:
    put("a.txt", "b.txt")
    Paper.objects.using("other").bulk_create([Paper(file=said("a.txt"))])
    hold("b.txt")
    router = f"{__name__}.{PapersElsewhere.__name__}"
    with override_settings(DATABASE_ROUTERS=[router]):
        assert fates(**NOW) == {"b.txt": "deleted"}


# rows whose object is gone


def test_missing_objects(place: str) -> None:
    put("a.txt", "b.txt", "c.txt", "sub/d.txt")
    hold("a.txt", "gone.txt", "sub/gone too.txt")
    shelf = Shelf.objects.create(files=[said("b.txt"), said("gone.txt")])
    attached = Attachment.objects.create(file="c.txt")
    Attachment.objects.update(picture="no.png")  # else it is looked at for its size
    hold("elsewhere.txt", alias="other")
    found = [one for one in sweep(missing=True) if isinstance(one, MissingFile)]
    told = sorted((one.model, one.field, one.name, one.alias) for one in found)
    assert told == [
        ("library.Attachment", "picture", "no.png", "default"),
        ("library.Paper", "file", "gone.txt", "default"),
        ("library.Paper", "file", "sub/gone too.txt", "default"),
        ("library.Shelf", "files", "gone.txt", "default"),
    ]
    assert {attached.pk, shelf.pk} <= {one.pk for one in found}
    inside = sweep(missing=True, prefix="sub")
    assert [one.name for one in inside if isinstance(one, MissingFile)] == ["sub/gone too.txt"]
    text, status = failing("default", "--missing")
    assert status == 1
    assert f"default  missing  library.Shelf {shelf.pk} files  gone.txt" in text
    assert "rows whose object is gone: 4" in text


def test_missing_through_an_alias_inside_another(default: FSSpecStorage) -> None:
    prefix = default.options.prefix
    with override_storage(default=_memory(prefix), inner=_memory(f"{prefix}/inner")):
        hold("inner/gone.txt")
        hold("gone.txt", alias="inner")
        found = [one.alias for one in sweep("default", "inner", missing=True)]
        assert found == ["default", "inner"]
        assert sweep("default", missing=True) == []


def test_nothing_is_missing(place: str) -> None:
    put("a.txt")
    hold("a.txt", "a.txt")
    assert sweep(missing=True) == []
    assert summary(run("default", "--missing", "--json"))["missing_rows"] == 0
    assert summary(run("default", "--json"))["missing_rows"] is None


# what goes wrong


def test_what_can_not_be_deleted_is_told(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.txt", "b.txt")

    def fail(names: list[str]) -> None:
        error = StorageError("One is locked.")
        error.names = ["a.txt"]
        raise error

    monkeypatch.setattr(default, "delete_many", fail)
    text, status = failing("default", "--delete", "--min-age", "0")
    assert status == 1
    assert "default  failed      a.txt" in text
    assert "could not be deleted: 1" in text
    assert "One is locked." in text


def test_names_that_the_storage_refuses(tmp_path: Path) -> None:
    with override_storage(default={"fs": "file", "prefix": str(tmp_path)}):
        put("a.txt")
        (tmp_path / "~x").touch()
        Path(os.fsdecode(bytes(tmp_path) + b"/no\xfftext")).touch()
        assert fates(**NOW) == {"a.txt": "deleted", "no\udcfftext": "failed", "~x": "failed"}
        report = tmp_path.parent / f"{folder()}.jsonl"
        _, status = failing("default", "--delete", "--min-age", "0", "--report", str(report))
        assert status == 1
        names = [json.loads(line)["name"] for line in report.read_text().splitlines()]
        assert names == ["no\udcfftext", "~x"]


def test_a_storage_that_does_not_answer(default: FSSpecStorage) -> None:
    lost = {
        "fs": "s3",
        "prefix": "bucket",
        "fs_options": {
            "endpoint_url": f"http://127.0.0.1:{servers.closed_port()}",
            "key": "key",
            "secret": "secret",
        },
        "retries": 0,
    }
    with override_storage(lost=lost, default=_memory(default.options.prefix)):
        put("a.txt")
        hold("b.txt", alias="lost")
        text, status = failing("lost", "default", "--missing", "--json")
        assert status == 1
        assert "STORAGES['lost']" in summary(text, "lost")["problem"]
        assert summary(text, "lost")["missing_rows"] is None
        assert summary(text)["orphans"] == 1


# the command


def test_the_command_tells_and_deletes_nothing_by_itself(default: FSSpecStorage) -> None:
    put("a.txt", "b.txt", "c\u2028d.txt")
    hold("b.txt")
    text = run("default", "--min-age", "0")
    assert "default  orphan      a.txt  7\xa0bytes" in text
    assert "'c\\u2028d.txt'" in text
    assert "default: 3 objects, 21\xa0bytes\n  orphans: 2, 14\xa0bytes\n" in text
    assert len(there()) == 3
    assert "deleted: 2, 14\xa0bytes" in run("default", "--min-age", "0", "--delete")
    assert there() == ["b.txt"]


def test_long_lists_are_cut(default: FSSpecStorage) -> None:
    put(*(f"{n:03}.txt" for n in range(150)))
    assert run("default").count(".txt") == 100
    assert run("default", "-v", "2").count(".txt") == 150


def test_the_result_as_json(default: FSSpecStorage, tmp_path: Path) -> None:
    put("a.txt", "b.txt", "c.txt")
    hold("b.txt", "gone.txt")
    report = tmp_path / "report.jsonl"
    text, _ = failing("default", "--json", "--missing", "--report", str(report))
    assert summary(text) == {
        "objects": 3,
        "bytes": 21,
        "orphans": 2,
        "orphan_bytes": 14,
        "too_young": 2,
        "undated": 0,
        "deleted": 0,
        "deleted_bytes": 0,
        "failed": 0,
        "missing_rows": 1,
        "problem": None,
    }
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(line["kind"], line["name"]) for line in lines] == [
        ("orphan", "a.txt"),
        ("orphan", "c.txt"),
        ("missing", "gone.txt"),
    ]
    assert lines[0]["fate"] == "young"
    assert lines[2]["model"] == "library.Paper"
    deleted = summary(run("default", "--json", "--delete", "--min-age", "0"))
    assert (deleted["deleted"], deleted["deleted_bytes"]) == (2, 14)


def test_all_of_ours_are_swept(default: FSSpecStorage) -> None:
    others = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    with override_settings(STORAGES={**_settings(default), "plain": others}):
        assert list(json.loads(run("--json"))["aliases"]) == ["default"]
    with override_settings(STORAGES={"default": others}):
        assert failing() == ("No alias of STORAGES is one of django_fsspec's.", 2)


def _settings(storage: FSSpecStorage) -> dict[str, Any]:
    options = _memory(storage.options.prefix)
    backend = f"{FSSpecStorage.__module__}.{FSSpecStorage.__name__}"
    return {"default": {"BACKEND": backend, "OPTIONS": options}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "No such alias in STORAGES: 'nope'"),
        (["staticfiles"], "not of django_fsspec"),
        (["default", "--database", "nope"], "No such database in DATABASES: 'nope'"),
        (["default", "--prefix", "../x"], "has a '.' or '..' part"),
        (["default", "--min-age", "-1"], "--min-age"),
        (["default", "--min-age", "nan"], "--min-age"),
        (["default", "--report", "/no/such/folder/x"], "--report"),
        (["broken"], "STORAGES['broken']['OPTIONS']['fs']"),
        (["misspelled"], "STORAGES['misspelled']['OPTIONS']['prefx']"),
        (["archive", "--delete"], "'archive' is read-only"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(default: FSSpecStorage, arguments: list[str], message: str) -> None:
    archive = {"fs": "zip", "fs_options": {"fo": str(scratch() / "no.zip")}}
    with override_storage(
        default=_memory(default.options.prefix),
        broken={"fs": "s4"},
        misspelled={"fs": "memory", "prefx": ""},
        archive=archive,
    ):
        text, status = failing(*arguments)
    assert message in text
    assert status == 2


# where storages keep their files


def s3_place(**options: Any) -> Place:
    place = place_of(FSSpecStorage(**{"fs": "s3", "prefix": "b/x", **options}))
    assert place is not None
    return place


@pytest.mark.parametrize(
    ("options", "route"),
    [
        ({}, Route()),
        ({"timeout": 3, "fs_options": {"key": "another", "secret": "s"}}, Route()),
        ({"fs": "s3://b/x", "prefix": ""}, Route()),
        ({"fs": "dir::s3://b/x", "prefix": ""}, Route()),
        ({"fs": "filecache::s3"}, Route()),
        ({"prefix": "b"}, Route(strip="x/")),
        ({"prefix": "b/x/y/z"}, Route(add="y/z/")),
        ({"prefix": "b/xy"}, None),
        ({"prefix": "c/x"}, None),
        ({"fs_options": {"endpoint_url": "http://one/"}}, Route()),
        ({"fs": "memory"}, None),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_places(options: dict[str, Any], route: Route | None) -> None:
    here, other = s3_place(), s3_place(**options)
    assert other.route_to(here) == route
    assert here.route_to(other) == (None if route is None else route.back)


def test_a_filesystem_given_as_it_is() -> None:
    fs = S3FileSystem(anon=True, endpoint_url="http://one")
    for given in (DirFileSystem("b/x", fs), DirFileSystem("x", DirFileSystem("b", fs))):
        place = s3_place(fs=given, prefix="")
        assert place.route_to(s3_place(fs_options={"endpoint_url": "http://one"})) == Route()
        assert place.route_to(s3_place(fs_options={"endpoint_url": "http://two"})) is None


def test_servers_tell_places_apart() -> None:
    def at(url: str) -> Place:
        return s3_place(fs_options={"client_kwargs": {"endpoint_url": url}})

    assert at("http://one/").route_to(at("http://ONE")) == Route()
    assert at("http://one/").route_to(at("http://two")) is None
    text = "DefaultEndpointsProtocol=http;AccountName={};AccountKey={}"
    accounts = [
        place_of(
            FSSpecStorage(
                fs="abfs",
                prefix="c",
                fs_options={"connection_string": text.format(account, key)},
            )
        )
        for account, key in (("a", "k"), ("a", "l"), ("b", "k"))
    ]
    routes = [one and accounts[0] and accounts[0].route_to(one) for one in accounts]
    assert routes == [Route(), Route(), None]
    hosts = [place_of(FSSpecStorage(fs=f"ftp://{host}/x")) for host in ("one", "two")]
    assert hosts[0] is not None
    assert hosts[1] is not None
    assert not hosts[0].may_share_filesystem(hosts[1])


# the catalogue


def test_folders_that_hold_all_names() -> None:
    with Catalogue() as catalogue:
        catalogue.hold(0, [f"a/2024/{n % 3:02}/{n}.txt" for n in range(9)])
        assert catalogue.folders(0, 1) == ["a/2024"]
        assert catalogue.folders(0, 3) == ["a/2024/00", "a/2024/01", "a/2024/02"]
        catalogue.hold(0, ["a/2025/1.txt"])
        assert catalogue.folders(0, 1) == ["a"]
        assert catalogue.folders(0, 2) == ["a/2024", "a/2025"]
        catalogue.hold(0, ["a/1.txt"])
        assert catalogue.folders(0, 9) == ["a"]
        catalogue.hold(0, ["1.txt"])
        assert catalogue.folders(0, 9) == [""]


# a million


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat() -> None:
    prove(20_000, 40)


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat_for_a_million_names_and_rows() -> None:
    swept = prove(1_000_000, 75)
    print(
        f"\nsweep | 1,000,000 names, 1,000,000 rows | {swept.seconds:.0f} s, peak "
        f"{swept.peak / memory.MEGABYTE:.0f} MB, {swept.above / memory.MEGABYTE:.0f} MB above idle"
    )
    assert swept.peak < 150 * memory.MEGABYTE
    assert swept.seconds < 900


def prove(count: int, megabytes: int) -> sweeping.Took:
    took = sweeping.command(count, "sweep_files", "--json", "--missing", "--delete")
    expected = {
        "objects": count,
        "orphans": sweeping.ODD,
        "deleted": sweeping.ODD,
        "missing_rows": sweeping.ODD,
    }
    assert expected.items() <= summary(took.printed).items()
    assert took.above < megabytes * memory.MEGABYTE
    return took
