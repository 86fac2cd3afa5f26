"""sweep_files --delete: one place that is reached in two ways is found by a trial file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.test import override_settings

from django_fsspec.audit.columns import BadArguments
from django_fsspec.audit.names_in_use import SETTING
from django_fsspec.audit.sweep import Sweep
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.audit import NOW, failing, fates, hold, put, run, summary, sweep, there
from tests.helpers.backends import _memory, _s3, _sftp, folder, server
from tests.helpers.twin_aliases import BY_TRIAL, installed, twins
from tests.helpers.utils import started
from tests.library.models import Attachment

pytestmark = pytest.mark.django_db(databases=["default", "other"])

ATTACHED = Attachment._meta.get_field("file")


@pytest.fixture(params=list(BY_TRIAL))
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    with twins(request.param):
        yield request.param


@pytest.mark.parametrize("alias", ["default", "second"])
def test_rows_of_the_other_alias_hold_their_files(place: str, alias: str) -> None:
    put("a.txt", "b.txt", "c.txt")
    hold("a.txt")
    hold("b.txt", alias="second")
    assert fates(alias, **NOW) == {"c.txt": "deleted"}
    assert there() == ["a.txt", "b.txt"]


def test_both_aliases_count_once(place: str) -> None:
    put("a.txt", "b.txt")
    hold("a.txt", alias="second")
    due: list[Any] = []

    def confirm(files: Any) -> bool:
        due.append(files)
        return True

    found = sweep("default", "second", confirm=confirm, missing=True, **NOW)
    assert [one.name for one in found] == ["b.txt"]
    assert [list(files) for files in due] == [["default"]]


def test_a_row_that_comes_late(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put("a.txt", "b.txt")
    walk = FSSpecStorage.walk

    def walk_slowly(self: FSSpecStorage, prefix: str = "") -> Iterator[Any]:
        yield from walk(self, prefix)
        hold("a.txt", alias="second")

    monkeypatch.setattr(FSSpecStorage, "walk", walk_slowly)
    assert fates("default", **NOW) == {"a.txt": "referenced", "b.txt": "deleted"}


@pytest.mark.parametrize("kind", BY_TRIAL)
def test_one_place_inside_the_other(kind: str) -> None:
    with twins(kind, inner="papers"):
        put("a.txt", "papers/b.txt", "papers/c.txt", "papers/d.txt")
        hold("papers/b.txt")
        hold("c.txt", alias="second")
        assert fates("default", **NOW) == {"a.txt": "deleted"}
        assert fates("second", **NOW) == {"d.txt": "deleted"}
        assert there() == ["papers/b.txt", "papers/c.txt"]


@pytest.mark.parametrize("kind", ["sftp and mounted"])
def test_a_storage_that_a_field_was_given_by_hand(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = folder()
    mounted = server(servers.OpenSSH).root / name
    monkeypatch.setattr(ATTACHED, "storage", FileSystemStorage(mounted))
    with installed(default=_sftp(servers.OpenSSH)(name)):
        put("a.txt", "b.txt")
        Attachment.objects.create(file="a.txt")
        assert fates("default", **NOW) == {"b.txt": "deleted"}


def test_static_files_of_the_same_place(place: str) -> None:
    put("site.css")
    static = {
        **settings.STORAGES["second"],
        "BACKEND": "django_fsspec.staticfiles.FSSpecStaticStorage",
    }
    with override_settings(STORAGES={**settings.STORAGES, "static": static}):
        assert Sweep(["default"]).refused == set()
        with pytest.raises(BadArguments, match="'static' store their files in one place"):
            Sweep(["default"], **NOW)
    assert there() == ["site.css"]


@pytest.mark.parametrize("kind", BY_TRIAL)
def test_static_files_inside(kind: str) -> None:
    with twins(kind, inner="static"):
        put("static/site.css", "a.txt")
        static = {
            **settings.STORAGES["second"],
            "BACKEND": "django_fsspec.staticfiles.FSSpecStaticStorage",
        }
        with override_settings(STORAGES={**settings.STORAGES, "staticfiles": static}):
            assert fates("default", **NOW) == {"a.txt": "deleted"}
            assert there() == ["static/site.css"]


def in_use(alias: str) -> list[str]:
    return ["kept/", "b.txt"] if alias == "second" else []


def test_names_in_use_of_the_other_alias(place: str) -> None:
    put("a.txt", "b.txt", "kept/c.txt")
    with override_settings(**{SETTING: [f"{__name__}.in_use"]}):
        assert fates("default", **NOW) == {"a.txt": "deleted"}


@pytest.mark.parametrize("kind", ["memory", *BY_TRIAL])
def test_names_in_use_of_an_alias_inside_or_around(kind: str) -> None:
    with twins(kind, inner="kept/inner"), override_settings(**{SETTING: [f"{__name__}.in_use"]}):
        put("a.txt", "kept/inner/b.txt", "kept/inner/kept/c.txt", "kept/inner/d.txt")
        assert fates("default", **NOW) == {"a.txt": "deleted"}
        assert fates("second", **NOW) == {"d.txt": "deleted"}

    with twins(kind, inner="kept/inner"), override_settings(**{SETTING: [f"{__name__}.around"]}):
        put("kept/inner/b.txt")
        assert fates("second", **NOW) == {}


def around(alias: str) -> list[str]:
    return ["kept/"] if alias == "default" else []


# what a trial costs, and where it fails


def through(proxy: servers.CountingProxy, name: str) -> dict[str, Any]:
    options = _s3(servers.SeaweedS3)(name)
    return {
        **options,
        "retries": 0,
        "timeout": 3,
        "fs_options": {**options["fs_options"], "endpoint_url": proxy.url},
    }


def test_requests() -> None:
    name = folder()
    with (
        started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy,
        installed(
            default=through(proxy, name), second=_s3(servers.SeaweedS3)(folder()), m=_memory(name)
        ),
    ):
        put("a.txt")
        proxy.reset()
        Sweep(["default"])
        assert proxy.requests() == []
        Sweep(["default"], **NOW)
        assert [one.method for one in proxy.requests()] == ["PUT", "DELETE"]


def test_an_alias_that_does_not_answer_may_share() -> None:
    name = folder()
    with (
        started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy,
        installed(
            default=_s3(servers.SeaweedS3)(name),
            second=through(proxy, name),
            third=_s3(servers.SeaweedS3)(folder()),
        ),
    ):
        put("a.txt", "b.txt")
        hold("a.txt", alias="second")
        proxy.stop()
        options = ("--delete", "--no-input", "--min-age=0", "--no-progress")
        said = run("default", "third", *options)
        for alias in ("default", "third"):
            assert (
                f"{alias}: whether 'second' stores its files in the same place could not" in said
            )
        assert there() == ["a.txt"]
        static = {
            **settings.STORAGES["second"],
            "BACKEND": "django_fsspec.staticfiles.FSSpecStaticStorage",
        }
        with (
            override_settings(STORAGES={**settings.STORAGES, "static": static}),
            pytest.raises(BadArguments, match="could not be found out: 'static' did not answer"),
        ):
            Sweep(["default"], **NOW)


def test_rows_of_an_alias_that_does_not_answer_are_not_missing() -> None:
    name = folder()
    with (
        started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy,
        installed(
            default=_memory(name), second=through(proxy, name), third=_s3(servers.SeaweedS3)(name)
        ),
    ):
        put("a.txt", alias="third")
        hold("a.txt", "b.txt", alias="second")
        proxy.stop()
        assert sweep("third", missing=True, **NOW) == []


def test_a_swept_alias_that_takes_no_trial_file(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with installed(
        default={"fs": "file", "prefix": str(blocked / "x")},
        second=_s3(servers.SeaweedS3)(folder()),
    ):
        said, status = failing("default", "--delete", "--no-input", "--json", "--no-progress")
        assert status == 1
        assert summary(said)["problem"].startswith("A trial file can't be stored in 'default'")


def test_a_trial_needs_no_folder_of_its_own(place: str) -> None:
    storages["default"].save("a.txt", ContentFile(b"1"))
    hold("a.txt")
    assert fates("default", **NOW) == {}
    assert there() == ["a.txt"]
