"""Which storages share files: what settings tell, and what a trial file finds out."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage, storages

from django_fsspec.storage import FSSpecStorage
from django_fsspec.storage.locations import Route, place_of
from django_fsspec.storage.shared_places import (
    Sharing,
    TrialFile,
    known_sharing,
    remember,
    remembered,
    routes_to_other_aliases,
    sharing_of,
)
from tests import servers
from tests.helpers.backends import _memory, _s3, folder, scratch
from tests.helpers.twin_aliases import BY_SETTINGS, BY_TRIAL, installed, twins

ONE = Sharing((Route(),))


def files(alias: str) -> list[str]:
    return storages[alias].listdir("")[1]


@pytest.mark.parametrize("kind", BY_SETTINGS)
def test_settings_tell_of_one_place(kind: str) -> None:
    with twins(kind):
        places = [place_of(storages[alias]) for alias in ("default", "second")]
        assert known_sharing(*places) == ONE
        assert sharing_of("default", ["second"]) == {"second": ONE}


@pytest.mark.parametrize("kind", BY_TRIAL)
def test_a_trial_file_finds_one_place(kind: str) -> None:
    with twins(kind, other=_memory(folder())):
        assert known_sharing(*(place_of(storages[a]) for a in ("default", "second"))) is None
        found = sharing_of("default", ["second", "other"])
        assert found == {"second": ONE, "other": Sharing()}
        assert files("default") == []


@pytest.mark.parametrize("kind", BY_TRIAL)
def test_a_trial_file_finds_a_place_in_the_other(kind: str) -> None:
    with twins(kind, inner="papers"):
        inner, outer = Route(strip="papers/"), Route(add="papers/")
        assert sharing_of("default", ["second"]) == {"second": Sharing((inner,))}
        with TrialFile(storages["second"]) as trial:
            assert trial.sharing_with(storages["default"]) == Sharing((outer,))


def test_a_trial_file_tells_two_servers_apart() -> None:
    name = folder()
    with installed(default=_s3(servers.SeaweedS3)(name), second=_s3(servers.MotoS3)(name)):
        assert sharing_of("default", ["second"]) == {"second": Sharing()}


@pytest.mark.parametrize(
    "storage", [InMemoryStorage(), FileSystemStorage(""), FSSpecStorage(fs="memory")]
)
def test_memory_is_like_no_other_place(storage: Storage) -> None:
    local = place_of(FSSpecStorage(fs="file", prefix=str(scratch())))
    assert known_sharing(local, place_of(storage)) in (Sharing(), None)
    assert known_sharing(local, place_of(InMemoryStorage())) == Sharing()


@pytest.mark.parametrize(
    ("fs", "here", "there", "told"),
    [
        ("sftp", {"username": "a"}, {"username": "b"}, False),
        ("sftp", {"username": "a"}, {"username": "a", "password": "x"}, True),
        ("ftp", {"username": "a"}, {}, False),
        ("webdav", {"auth": ("a", "x")}, {"auth": ("b", "x")}, False),
        ("webdav", {"auth": ("a", "x")}, {"auth": ["a", "y"]}, True),
        ("s3", {"key": "a", "secret": "x"}, {"key": "b", "secret": "x"}, True),
    ],
)
def test_a_user_may_have_a_root_of_its_own(
    fs: str, here: dict[str, Any], there: dict[str, Any], told: bool
) -> None:
    url = {"base_url": "http://h"} if fs == "webdav" else {} if fs == "s3" else {"host": "h"}
    one, two = (
        place_of(FSSpecStorage(fs=fs, prefix="x", fs_options={**url, **given}))
        for given in (here, there)
    )
    assert known_sharing(one, two) == (ONE if told else None)


class Refusing(FileSystemStorage):
    """Can't be asked."""

    def exists(self, name: str) -> bool:
        raise PermissionError(name)


def test_a_storage_that_refuses_may_share() -> None:
    with installed(default={"location": str(scratch())}):
        sharing = TrialFile(storages["default"]).sharing_with(Refusing("/nowhere"))
        assert sharing == Sharing((Route(),), "PermissionError")
        assert sharing.back == sharing


class Forgetful(FileSystemStorage):
    """Stores, and has the answer get lost."""

    def _save(self, name: str, content: Any) -> str:
        super()._save(name, content)  # type: ignore[misc]
        raise TimeoutError


def test_nothing_is_left_of_a_trial(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TimeoutError), TrialFile(Forgetful(tmp_path)) as trial:
        trial.store()
    with pytest.raises(KeyboardInterrupt), TrialFile(FileSystemStorage(tmp_path)) as trial:
        trial.store()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    storage = FileSystemStorage(tmp_path)
    with (
        caplog.at_level(logging.WARNING, "django_fsspec"),
        pytest.MonkeyPatch.context() as patch,
        TrialFile(storage) as trial,
    ):
        name = trial.store()
        patch.setattr(FileSystemStorage, "delete", Refusing.exists)
    assert f"The trial file {name!r} could not be deleted" in caplog.text


def test_answers_are_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with installed(default=_memory(folder()), second=_memory(folder())):
        now = time.monotonic()
        for sharing, seconds in ((Sharing(), 3600), (Sharing((Route(),), "TimeoutError"), 60)):
            remember("default", "second", sharing)
            assert remembered("second", "default") == sharing
            monkeypatch.setattr(time, "monotonic", lambda: now + seconds + 5)  # noqa: B023
            assert remembered("second", "default") is None
            monkeypatch.undo()
    with installed(default=_memory(folder()), second=_memory(folder())):
        assert remembered("second", "default") is None


def test_routes_need_no_other_client_library() -> None:
    name = folder()
    with installed(
        default=_memory(f"{name}/inner"),
        second=_memory(name),
        cloud={"fs": "gs", "prefix": "never-imported", "fs_options": {"nonsense": 1}},
        broken={"fs": "memory", "nonsense": 1},
    ):
        assert routes_to_other_aliases("default") == {Route(add="inner/")}
        assert routes_to_other_aliases("second") == {Route(strip="inner/")}
        assert routes_to_other_aliases("nowhere") == set()


@pytest.mark.parametrize(
    ("options", "route"),
    [
        ({"fs": "sftp", "prefix": "/srv/media/inner"}, Route(strip="inner/")),
        ({"fs": "sftp://host/srv/media/inner"}, Route(strip="inner/")),
        ({"fs": "ftp://host/srv", "prefix": "/media/inner/"}, Route(strip="inner/")),
        ({"fs": "sftp", "prefix": "/srv"}, Route(add="media/")),
        ({"fs": "webdav"}, Route(add="srv/media/")),
        ({"fs": "s3://bucket/media"}, None),
    ],
    ids=lambda value: "" if isinstance(value, Route | None) else str(value),
)
def test_a_folder_of_a_disk_that_is_mounted_and_served(
    options: dict[str, Any], route: Route | None
) -> None:
    """What the settings write is enough: no client library is imported."""
    routes = {route} if route else set()
    back = {route.back} if route else set()
    with installed(default={"location": "/srv/media"}, second=options):
        assert routes_to_other_aliases("default") == routes
        assert routes_to_other_aliases("second") == back
