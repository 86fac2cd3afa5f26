"""Every public path can be imported, and names the same thing wherever it is named."""

from __future__ import annotations

import inspect
from pathlib import Path
from pkgutil import resolve_name
from typing import get_type_hints

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.storage import Storage, storages
from django.core.management import get_commands
from django.test import override_settings

import django_fsspec
from django_fsspec.core.stat import Stat
from tests.promises.paths import OLD, PUBLIC, WRITTEN, documents, named_in


@pytest.mark.parametrize("path", [*PUBLIC, *WRITTEN, *OLD])
def test_a_public_path_can_be_imported(path: str) -> None:
    assert resolve_name(path) is not None


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.stem)
def test_what_a_document_names_can_be_imported(document: Path) -> None:
    for path in named_in(document.read_text()):
        assert resolve_name(path) is not None


def test_the_list_has_all_that_documents_name() -> None:
    named = {path for document in documents() for path in named_in(document.read_text())}
    missing = [
        path
        for path in sorted(named)
        if path not in PUBLIC and not inspect.ismodule(resolve_name(path))
    ]
    assert missing == []


def test_a_path_is_found_in_prose_and_in_imports() -> None:
    text = (
        "See `django_fsspec.forms.Field`. (`django_fsspec.E001`)\n"
        "from django_fsspec.a import (\n    B,\n    C,\n)\nfrom django_fsspec import d\n"
    )
    assert set(named_in(text)) == {
        "django_fsspec.forms.Field",
        "django_fsspec.a",
        "django_fsspec.a.B",
        "django_fsspec.a.C",
        "django_fsspec.d",
    }


def test_type_hints_of_stat_resolve() -> None:
    """They are looked up in the module that the class names."""
    assert get_type_hints(Stat)["size"] == int | None


def test_two_paths_of_one_class() -> None:
    assert django_fsspec.FileObject is resolve_name("django_fsspec.objects.FileObject")
    assert resolve_name("django_fsspec.fields.FileList") is resolve_name(
        "django_fsspec.values.FileList"
    )


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("django_fsspec.storage.FSSpecStorage", {"fs": "memory"}),
        ("django_fsspec.staticfiles.FSSpecStaticStorage", {"fs": "memory"}),
        ("django_fsspec.staticfiles.FSSpecManifestStaticStorage", {"fs": "memory"}),
        (
            "django_fsspec.readthrough.ReadThroughStorage",
            {"primary": "default", "fallback": "other"},
        ),
    ],
)
def test_a_backend_in_the_settings(backend: str, options: dict[str, str]) -> None:
    config = {"BACKEND": backend, "OPTIONS": options}
    with override_settings(STORAGES={"default": config, "staticfiles": config}):
        assert type(storages["default"]) is resolve_name(backend)
        assert isinstance(storages["default"], Storage)
        assert staticfiles_storage.__class__ is resolve_name(backend)


def test_the_commands() -> None:
    ours = {name for name, app in get_commands().items() if app == "django_fsspec"}
    assert ours >= {"check_storages", "migrate_files", "refresh_files", "sweep_files"}
