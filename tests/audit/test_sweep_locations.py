"""sweep_files: whose files they are where storages lie in one another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from django.test import override_settings
from fsspec.implementations.memory import MemoryFileSystem

from django_fsspec.audit.columns import BadArguments
from django_fsspec.audit.findings import MissingFile, Orphan
from django_fsspec.audit.sweep import Sweep
from django_fsspec.core.stat import Stat
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests.helpers import audit
from tests.helpers.audit import NOW, fates, hold, in_memory, put, storage_of, sweep, there
from tests.helpers.backends import folder
from tests.library.models import Attachment

pytestmark = pytest.mark.django_db(databases=["default", "other"])

place, default = audit.place, audit.default


def test_two_aliases_in_one_place(default: FSSpecStorage) -> None:
    prefix = default.options.prefix
    with override_storage(
        default=in_memory(prefix),
        twin={**in_memory(prefix), "timeout": 5},
        inner=in_memory(f"{prefix}/inner"),
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
        assert "default: inner/ was skipped, because it is the root of 'inner'." in swept.notes
        assert [one.fate for one in Sweep(**NOW).run()] == ["deleted"]  # type: ignore[union-attr]
        assert "inner/d.txt" in there()


def test_a_late_row_of_an_alias_in_the_same_place(
    default: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = default.options.prefix
    with override_storage(default=in_memory(f"{prefix}/inner"), outer=in_memory(prefix)):
        put("a.txt", "b.txt")
        storage = storage_of("default")
        walk = storage.walk

        def walk_slowly(prefix: str = "") -> Iterator[Stat]:
            yield from walk(prefix)
            hold("inner/a.txt", alias="outer")

        monkeypatch.setattr(storage, "walk", walk_slowly)
        assert fates(**NOW) == {"a.txt": "referenced", "b.txt": "deleted"}


def test_rows_of_another_storage_hold_nothing_here(default: FSSpecStorage) -> None:
    with override_storage("other", default=in_memory(default.options.prefix)):
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
    options = {**in_memory(default.options.prefix), "url_expires_in": 5}
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
    prefix = "library.Attachment.file: the folder of its files"
    assert any(note.startswith(prefix) for note in swept.notes)


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
        with pytest.raises(BadArguments, match="'staticfiles' store their files in one place"):
            Sweep(["default"], delete=True)
        with pytest.raises(BadArguments, match="'staticfiles' has static files"):
            Sweep(["staticfiles"])


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
