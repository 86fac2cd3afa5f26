"""sweep_files: ages are counted on the clock of the storage, whatever that shows."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from fsspec.implementations.memory import MemoryFileSystem

from django_fsspec.audit.clock import read_clock
from django_fsspec.audit.sweep import Sweep
from django_fsspec.storage import FSSpecStorage
from django_fsspec.storage.shared_places import TrialFile
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers import audit
from tests.helpers.audit import NOW, failing, fates, put, run, there
from tests.helpers.backends import folder, server
from tests.library.models import Paper

pytestmark = pytest.mark.django_db(databases=["default", "other"])

place, default = audit.place, audit.default

HOUR = 3600


def ftp(kind: type[servers.PyFTP], prefix: str = "") -> dict[str, Any]:
    return {"fs": "ftp", "prefix": prefix or folder(), "fs_options": server(kind).fs_options}


def s3(kind: type[servers.S3Server]) -> dict[str, Any]:
    here = server(kind)
    return {"fs": "s3", "prefix": f"{here.bucket}/{folder()}", "fs_options": here.fs_options}


BEHIND = {"ftp": lambda: ftp(servers.BehindFTP), "s3": lambda: s3(servers.BehindS3)}
AHEAD = {"ftp": lambda: ftp(servers.AheadFTP), "s3": lambda: s3(servers.AheadS3)}


@pytest.fixture(params=BEHIND)
def behind(request: pytest.FixtureRequest) -> Iterator[None]:
    with override_storage(default=BEHIND[request.param]()):
        yield


@pytest.fixture(params=AHEAD)
def ahead(request: pytest.FixtureRequest) -> Iterator[None]:
    with override_storage(default=AHEAD[request.param]()):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("behind")
def test_a_young_file_of_a_clock_behind_stays() -> None:
    with transaction.atomic():
        put("young.txt")
        # the transaction that stored it is open: no row is to be seen
        assert fates(delete=True) == {"young.txt": "young"}
    assert there() == ["young.txt"]
    # with any age, there is nothing to be compared
    assert fates(**NOW) == {"young.txt": "deleted"}


def test_an_old_file_of_a_clock_behind_goes() -> None:
    prefix = folder()
    with override_storage(default=ftp(servers.BehindFTP, prefix)):
        put("a/old.txt", "a/young.txt")
        # times of the disk: the server tells two days less
        modified = time.time() - 25 * HOUR
        os.utime(server(servers.BehindFTP).root / prefix / "a/old.txt", (modified, modified))
        assert fates(delete=True) == {"a/old.txt": "deleted", "a/young.txt": "young"}
        assert fates(delete=True, min_age=timedelta(hours=26)) == {"a/young.txt": "young"}
        assert there() == ["a/young.txt"]


def test_a_clock_ahead_keeps_no_old_file() -> None:
    prefix = folder()
    with override_storage(default=ftp(servers.AheadFTP, prefix)):
        put("old.txt", "young.txt")
        modified = time.time() - 25 * HOUR
        os.utime(server(servers.AheadFTP).root / prefix / "old.txt", (modified, modified))
        assert fates(delete=True) == {"old.txt": "deleted", "young.txt": "young"}


@pytest.mark.slow
@pytest.mark.usefixtures("ahead")
def test_a_young_file_of_a_clock_ahead_stays() -> None:
    put("young.txt")
    assert fates(delete=True) == {"young.txt": "young"}


@pytest.mark.usefixtures("behind")
def test_the_skew_is_noted() -> None:
    put("young.txt")
    text = run("default", "--delete")
    assert re.search(r"default: its clock is (2 days|1 day, 23:59:\d\d)", text)
    assert "behind this machine's" in text
    assert "too young (--min-age 24 hours): 1" in text


@pytest.mark.usefixtures("ahead")
def test_a_clock_ahead_is_noted() -> None:
    put("young.txt")
    assert "ahead of this machine's" in run("default", "--delete")


def test_nothing_is_left_of_the_measurement(place: str) -> None:
    put("young.txt")
    swept = Sweep(["default"], delete=True)
    assert [one.name for one in swept.run()] == ["young.txt"]
    assert swept.tallies["default"].objects == 1
    assert not any("clock" in note for note in swept.notes)
    assert there() == ["young.txt"]


def test_nothing_is_written_without_a_deletion(default: FSSpecStorage) -> None:
    put("a.txt")
    stored: list[str] = []
    original = TrialFile.store

    def store(self: TrialFile) -> str:
        stored.append(original(self))
        return stored[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrialFile, "store", store)
        fates()
        fates(**NOW)
        assert stored == []
        put("b.txt")
        fates(delete=True)
        assert len(stored) == 1


def test_nothing_is_deleted_where_the_clock_cannot_be_measured() -> None:
    prefix = folder()
    with override_storage(default=ftp(servers.DeletingFTP, prefix)):
        root = server(servers.DeletingFTP).root / prefix
        root.mkdir()
        (root / "old.txt").write_text("old")
        modified = time.time() - 25 * HOUR
        os.utime(root / "old.txt", (modified, modified))
        text, status = failing("default", "--delete")
        assert status == 1
        assert "clock" in text
        assert there() == ["old.txt"]
        assert fates() == {"old.txt": "orphan"}
        assert fates(**NOW) == {"old.txt": "deleted"}


def test_a_measurement_that_can_not_be_deleted_is_told(
    default: FSSpecStorage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: FSSpecStorage, name: str) -> None:
        raise PermissionError(name)

    monkeypatch.setattr(FSSpecStorage, "delete", refuse)
    with caplog.at_level(logging.WARNING, "django_fsspec"):
        assert read_clock(default) is not None
    assert "could not be deleted" in caplog.text


class Timeless(MemoryFileSystem):  # type: ignore[misc]
    """Does not tell when a file was stored."""

    store: dict[str, Any] = {}  # noqa: RUF012 - as in its parent
    pseudo_dirs: list[str] = [""]  # noqa: RUF012

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return {k: v for k, v in super().info(path, **kwargs).items() if k != "created"}

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        return [self.info(one["name"]) for one in super().ls(path, detail=True, **kwargs)]


def test_a_storage_without_times_has_no_clock() -> None:
    with override_storage(default={"fs": Timeless, "prefix": folder()}):
        put("a.txt")
        assert fates(delete=True) == {"a.txt": "undated"}
        assert there() == ["a.txt"]


def test_each_alias_has_its_own_clock() -> None:
    with override_storage(default=ftp(servers.BehindFTP), other=ftp(servers.AheadFTP)):
        put("a.txt")
        put("b.txt", alias="other")
        Paper.objects.create()
        assert fates("default", "other", delete=True) == {"a.txt": "young", "b.txt": "young"}
