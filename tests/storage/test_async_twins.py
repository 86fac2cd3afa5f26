"""Every public method that does I/O has its async twin, with the same signature."""

from __future__ import annotations

import inspect

import pytest
from django.core.files.storage import Storage

from django_fsspec.staticfiles import FSSpecStaticStorage
from django_fsspec.storage import FSSpecStorage
from django_fsspec.storage.open_files import ReadFile, StoredFile, WriteFile

#: methods that compute only, and what a command of Django is run in
PURE = {
    "check",
    "collecting",
    "deconstruct",
    "generate_filename",
    "get_alternative_name",
    "get_available_name",
    "get_valid_name",
    "path",
    "pinned",
    "url",
}


def public_methods(kind: type) -> dict[str, object]:
    return {
        name: member
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("kind", [FSSpecStorage, FSSpecStaticStorage])
def test_every_io_method_has_a_twin(kind: type) -> None:
    methods = public_methods(kind)
    for name in {n for n in methods if n not in PURE and not _is_twin(n, methods)}:
        twin = methods.get(f"a{name}")
        assert twin is not None, f"{kind.__name__}.{name}() has no a{name}()"
        ours, theirs = (inspect.signature(m).parameters for m in (methods[name], twin))  # type: ignore[arg-type]
        assert list(ours) == list(theirs), name
        assert [p.default for p in ours.values()] == [p.default for p in theirs.values()], name


def _is_twin(name: str, methods: dict[str, object]) -> bool:
    return name.startswith("a") and name[1:] in methods


def test_twins_are_async() -> None:
    methods = public_methods(FSSpecStorage)
    for name, method in methods.items():
        if not _is_twin(name, methods):
            continue
        is_async = inspect.iscoroutinefunction(method)
        is_stream = "AsyncIterator" in str(inspect.signature(method).return_annotation)  # type: ignore[arg-type]
        assert is_async or is_stream, name
        assert (method.__doc__ or "").startswith(f"See {name[1:]}()."), name


@pytest.mark.parametrize("kind", [StoredFile, ReadFile, WriteFile])
def test_files_have_async_close(kind: type) -> None:
    assert inspect.iscoroutinefunction(kind.aclose)  # type: ignore[attr-defined]


def test_save_is_djangos_own() -> None:
    assert FSSpecStorage.save is Storage.save
    assert FSSpecStorage.open is Storage.open
