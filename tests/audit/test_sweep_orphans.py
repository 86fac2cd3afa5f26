"""sweep_files: objects that no row holds, and what must never go."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import models
from fsspec.implementations.memory import MemoryFileSystem

from django_fsspec.audit.sweep import Sweep
from django_fsspec.core.stat import Stat
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests.helpers import audit
from tests.helpers.audit import (
    NAMES,
    NOW,
    fates,
    hold,
    options_of,
    put,
    put_json,
    run,
    said,
    storage_of,
    there,
)
from tests.helpers.backends import folder
from tests.library.models import Attachment, Paper, Shelf

pytestmark = pytest.mark.django_db(databases=["default", "other"])

place, default = audit.place, audit.default


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
        assert "without a modification time, never deleted: 1" in text


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
    former = (
        "an alias of former times: it is not in STORAGES, so the folder of its files is not known"
    )
    assert any(former in note for note in swept.notes)
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
