"""sweep_files: links on disks and servers, and what rows reach through them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from django_fsspec.audit.findings import MissingFile
from django_fsspec.audit.sweep import Sweep
from django_fsspec.testing import override_storage
from tests.helpers.audit import NOW, failing, fates, hold, put, sweep
from tests.helpers.linked_folders import DISKS, Disk, Linked
from tests.helpers.twin_aliases import installed
from tests.library.models import Attachment

pytestmark = pytest.mark.django_db(databases=["default", "other"])

#: an FTP server without MLSD lists no times, and what has no time is not deleted
DATED = [disk for disk in DISKS if disk.name != "OldFTP"]


@pytest.fixture(params=DISKS, ids=str)
def linked(request: pytest.FixtureRequest) -> Iterator[Linked]:
    disk: Disk = request.param
    made = Linked(disk)
    with override_storage(default=made.options):
        yield made


def missing() -> list[str]:
    return [one.name for one in sweep(missing=True) if isinstance(one, MissingFile)]


dated = pytest.mark.parametrize("linked", DATED, indirect=True, ids=str)


@dated
def test_files_behind_a_link_are_no_orphans(linked: Linked) -> None:
    linked.put("p/a.txt", "p/orphan.txt")
    linked.link("current", "p")
    linked.link("itself", ".")
    hold("p/a.txt")
    assert fates(**NOW) == {"p/orphan.txt": "deleted"}
    assert linked.files() == ["p/a.txt"]
    assert (linked.root / "current" / "a.txt").exists()


@dated
def test_files_outside_are_left_alone(linked: Linked) -> None:
    (linked.outside / "other.txt").write_text("somebody else's")
    linked.put("orphan.txt")
    linked.link("shared", f"../{linked.outside.name}")
    assert fates(**NOW) == {"orphan.txt": "deleted"}
    assert (linked.outside / "other.txt").read_text() == "somebody else's"


@dated
def test_rows_that_reach_files_through_a_link(linked: Linked) -> None:
    linked.put("p/a.txt", "p/q/b.txt", "p/q/c.txt", "p/orphan.txt", "elsewhere/b.txt")
    (linked.outside / "other.txt").write_text("somebody else's")
    linked.link("current", "p")
    linked.link("deep/er", "../p/q")
    linked.link("shared", f"../{linked.outside.name}")
    hold("current/a.txt", "current/q/b.txt", "shared/other.txt")
    Attachment.objects.create(file="deep/er/c.txt")
    assert missing() == []
    assert fates(**NOW) == {"p/orphan.txt": "deleted", "elsewhere/b.txt": "deleted"}
    assert linked.files() == ["p/a.txt", "p/q/b.txt", "p/q/c.txt"]


@pytest.mark.parametrize("inside", [False, True], ids=["beside", "one in the other"])
@pytest.mark.parametrize("django", [False, True], ids=["ours", "Django's own"])
def test_rows_of_another_alias_that_reach_files_through_a_link(
    tmp_path: Path, inside: bool, django: bool
) -> None:
    outer, inner = tmp_path / "a", tmp_path / ("a/b" if inside else "b")
    (inner / "p").mkdir(parents=True)
    outer.mkdir(exist_ok=True)
    (outer / "sub").symlink_to(inner)
    (outer / "deep").mkdir()
    (outer / "deep/link").symlink_to(inner / "p")
    (outer / "row.txt").symlink_to(inner / "file.txt")
    (tmp_path / "other").symlink_to(outer)
    second: dict[str, Any] = {"fs": "file", "prefix": str(tmp_path / "other")}
    if django:
        second = {"location": str(tmp_path / "other")}
    with installed(default={"fs": "file", "prefix": str(inner)}, second=second):
        names = ["a.txt", "p/b.txt", "file.txt", "orphan.txt", "p/orphan.txt"]
        put(*names)
        hold("sub/a.txt", "deep/link/b.txt", "row.txt", "no/x", "x" * 5000, alias="second")
        expected = {"orphan.txt": "deleted", "p/orphan.txt": "deleted"}
        assert fates("default", **NOW) == expected
        assert storages["second"].exists("deep/link/b.txt")


@dated
def test_rows_that_reach_files_through_a_link_to_a_file(linked: Linked) -> None:
    linked.put("p/real name.txt", "p/orphan.txt")
    linked.link("row.txt", "p/real name.txt")
    linked.link("not in a row.txt", "p/orphan.txt")
    hold("row.txt")
    assert missing() == []
    assert set(fates(**NOW)) == {"p/orphan.txt", "not in a row.txt"}
    assert linked.files() == ["p/real name.txt"]
    assert linked.storage.get_content("row.txt") == b"p/real name.txt\n"


@dated
def test_a_folder_that_rows_reach_through_links(linked: Linked) -> None:
    linked.put("p/a.txt", "p/real name.txt", "p/orphan.txt", "elsewhere/orphan.txt")
    linked.link("current", "p")
    linked.link("elsewhere/link.txt", "../p/real name.txt")
    hold("current/a.txt", "elsewhere/link.txt")
    assert fates(prefix="p", **NOW) == {"p/orphan.txt": "deleted"}
    assert linked.files() == ["elsewhere/orphan.txt", "p/a.txt", "p/real name.txt"]


@dated
@pytest.mark.parametrize("prefix", ["current", "current/q"])
def test_a_folder_behind_a_link_is_not_swept(linked: Linked, prefix: str) -> None:
    linked.put("p/a.txt", "p/q/b.txt")
    linked.link("current", "p")
    swept = Sweep(["default"], prefix=prefix, **NOW)
    assert list(swept.run()) == []
    assert "link" in (swept.tallies["default"].problem or "")
    text, status = failing("default", "--prefix", prefix, "--delete", "--min-age", "0")
    assert status == 1
    assert "link" in text
    assert linked.files() == ["p/a.txt", "p/q/b.txt"]


@dated
def test_an_alias_whose_prefix_is_a_link(linked: Linked) -> None:
    linked.put("p/a.txt", "q/orphan.txt")
    linked.link("current", "p")
    inner = {**linked.options, "prefix": f"{linked.options['prefix']}/current"}
    with override_storage(default=linked.options, inner=inner):
        hold("a.txt", alias="inner")
        assert fates("default", **NOW) == {"q/orphan.txt": "deleted"}
        assert fates("inner", **NOW) == {}
    assert linked.files() == ["p/a.txt"]


@pytest.mark.timeout(60)
def test_special_files_stay(linked: Linked) -> None:
    names = linked.make_special_files("folder")
    linked.link("circle", "circle")
    assert fates(**NOW) == {}
    assert [name for name in names if (linked.root / name).exists()] == names


def test_files_without_a_time_stay() -> None:
    (disk,) = (disk for disk in DISKS if disk.name == "OldFTP")
    linked = Linked(disk)
    with override_storage(default=linked.options):
        linked.put("p/a.txt")
        linked.link("current", "p")
        assert fates(**NOW) == {"p/a.txt": "undated"}
        hold("current/a.txt", "current/gone.txt")
        assert missing() == ["current/gone.txt"]
