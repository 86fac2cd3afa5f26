"""A storage finds its alias in STORAGES, whatever module its class is named by."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, InvalidStorageError, storages
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.storage import FSSpecStorage, get_storage
from tests.helpers import reexport

REEXPORTED = f"{reexport.__name__}.FSSpecStorage"
SUBCLASS = f"{reexport.__name__}.MediaStorage"
OURS = "django_fsspec.storage.FSSpecStorage"


def aliases(**backends: str) -> Any:
    """Override STORAGES: each alias has one of `backends` and the OPTIONS of all the others."""
    options = {"fs": "memory", "prefix": "aliases"}
    return override_settings(
        STORAGES={
            alias: {"BACKEND": backend, "OPTIONS": options} for alias, backend in backends.items()
        }
    )


@pytest.mark.parametrize("backend", [OURS, REEXPORTED, SUBCLASS])
def test_an_error_names_the_setting(backend: str) -> None:
    config = {"BACKEND": backend, "OPTIONS": {"fs": "memory", "chunk_size": "big"}}
    with override_settings(STORAGES={"ok": config}), pytest.raises(ImproperlyConfigured) as caught:
        _ = storages["ok"]
    assert str(caught.value).startswith("STORAGES['ok']['OPTIONS']['chunk_size'] ")


@pytest.mark.parametrize("backend", [OURS, REEXPORTED, SUBCLASS])
def test_a_storage_made_by_hand_of_the_options_of_an_alias(backend: str) -> None:
    kind = reexport.MediaStorage if backend == SUBCLASS else FSSpecStorage
    with aliases(ok=backend):
        assert kind(fs="memory", prefix="aliases").alias == "ok"
        assert kind(fs="memory", prefix="other").alias is None


def test_another_class_with_the_same_options_is_another_alias() -> None:
    with aliases(sub=SUBCLASS, reexported=REEXPORTED):
        assert FSSpecStorage(fs="memory", prefix="aliases").alias == "reexported"
        assert reexport.MediaStorage(fs="memory", prefix="aliases").alias == "sub"
        assert [storages[alias].alias for alias in ("sub", "reexported")] == [  # type: ignore[attr-defined]
            "sub",
            "reexported",
        ]
    with aliases(sub=SUBCLASS):
        assert FSSpecStorage(fs="memory", prefix="aliases").alias is None


def test_two_aliases_of_the_same_class_and_options() -> None:
    with aliases(one=REEXPORTED, two=OURS):
        assert storages["two"].alias == "two"  # type: ignore[attr-defined]
        assert storages["one"].alias == "one"  # type: ignore[attr-defined]


@pytest.mark.parametrize("broken", ["no.such.Storage", "tests.reexport.Missing", "Storage"])
def test_an_alias_that_cannot_be_imported_hides_no_other(broken: str) -> None:
    with aliases(broken=broken, ok=REEXPORTED):
        assert FSSpecStorage(fs="memory", prefix="aliases").alias == "ok"


def test_a_backend_whose_import_fails_hides_no_other(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_backend.py").write_text("raise RuntimeError('not now')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with aliases(broken="failing_backend.Storage", ok=REEXPORTED):
        assert FSSpecStorage(fs="memory", prefix="aliases").alias == "ok"


def test_positional_arguments_are_no_options_of_an_alias() -> None:
    config = {"BACKEND": f"{reexport.__name__}.PlacedStorage"}
    with override_settings(STORAGES={"ok": config}):
        assert storages["ok"].alias == "ok"  # type: ignore[attr-defined]
        assert reexport.PlacedStorage().alias == "ok"
        by_hand = reexport.PlacedStorage("elsewhere")
        assert by_hand.alias is None
        with pytest.raises(ImproperlyConfigured, match="is not in STORAGES"):
            by_hand.url("a.txt")
        with pytest.raises(ImproperlyConfigured, match="made by hand"):
            by_hand.deconstruct()


def test_djangos_storage_by_hand() -> None:
    """Django names its class by a path other than the module that defines it."""
    config = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": "/srv/media"},
    }
    with override_settings(STORAGES={"disk": config}):
        assert FileObject(FileSystemStorage(location="/srv/media"), "a.txt").backend == "disk"


@pytest.mark.parametrize("backend", [OURS, REEXPORTED, SUBCLASS])
def test_get_storage_returns_the_storage_of_an_alias(backend: str) -> None:
    with aliases(media=backend):
        assert get_storage("media") is storages["media"]


def test_get_storage_names_the_setting_of_another_class() -> None:
    config = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    with override_settings(STORAGES={"media": config}):
        with pytest.raises(ImproperlyConfigured) as caught:
            get_storage("media")
        with pytest.raises(InvalidStorageError, match="'nowhere'"):
            get_storage("nowhere")
    text = str(caught.value)
    assert text.startswith("STORAGES['media']['BACKEND'] is django.core.files.storage.")
    assert "not an FSSpecStorage" in text
