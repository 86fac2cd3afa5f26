"""A row whose new file differs from the old one in case or Unicode form alone keeps its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.storage import storages

from django_fsspec import FileObject
from django_fsspec.testing import override_storage
from tests.helpers.backends import folder
from tests.helpers.folding import FORMS, TWINS, webdav
from tests.library.models import Paper, Shelf

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[False, True], ids=["creating", "overwriting"])
def overwriting(request: pytest.FixtureRequest) -> Iterator[bool]:
    """A storage that folds names, and what it does with one that is taken."""
    with override_storage(default={**webdav(), "allow_overwrite": request.param}):
        yield request.param


@pytest.mark.parametrize("names", [TWINS, FORMS, ("Docs/a.txt", "docs/a.txt")], ids=ascii)
def test_a_replaced_file(overwriting: bool, names: tuple[str, str]) -> None:
    old, new = names
    row = Paper.objects.create(file=FileObject("default", old, content=b"old"))
    row.file = FileObject("default", new, content=b"new")
    row.save()
    row = Paper.objects.get()
    assert (row.file.name == new) == overwriting
    assert row.file.get_content() == b"new"
    storage: Any = storages["default"]
    assert len(list(storage.walk())) == 1
    row.delete()
    assert list(storage.walk()) == []


def test_a_file_that_is_named_otherwise(overwriting: bool) -> None:
    row = Paper.objects.create(file=FileObject("default", TWINS[0], content=b"one"))
    row.file = {**row.file.to_dict(), "filename": TWINS[1]}
    row.save()
    assert Paper.objects.get().file.get_content() == b"one"


def test_a_list(overwriting: bool) -> None:
    files = [FileObject("default", name, content=b"one") for name in ("a.txt", TWINS[0])]
    row = Shelf.objects.create(files=files)
    other = FileObject.from_dict({**row.files[1].to_dict(), "filename": TWINS[1]})
    row.files = [other]
    row.save()
    assert [file.get_content() for file in Shelf.objects.get().files] == [b"one"]
    storage: Any = storages["default"]
    assert [stat.name for stat in storage.walk()] == [TWINS[0]]


def test_a_storage_that_tells_them_apart() -> None:
    with override_storage(default={"fs": "memory", "prefix": folder()}):
        row = Paper.objects.create(file=FileObject("default", TWINS[0], content=b"old"))
        row.file = FileObject("default", TWINS[1], content=b"new")
        row.save()
        assert Paper.objects.get().file.get_content() == b"new"
        # the old one stays, for a sweep
        storage: Any = storages["default"]
        assert [stat.name for stat in storage.walk()] == list(TWINS)
