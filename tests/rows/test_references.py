"""Copies of rows have files of their own; one that rows share goes with the last of them."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from django_fsspec import FileObject
from django_fsspec.rows.values import refs_of
from tests.helpers.row_faults import left
from tests.helpers.row_files import held, text, there
from tests.library.models import Folder, Paper, Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.mark.parametrize("adding", [True, False])
def test_a_copy_of_a_row_has_a_file_of_its_own(memory: None, adding: bool) -> None:
    paper = Paper.objects.create(file=text("one"))
    twin = Paper.objects.get()
    twin.pk = None
    twin._state.adding = adding
    twin.save()
    assert (there(), held()) == (["one", "one"], ["one", "one"])
    paper.file = text("two")
    paper.save()
    assert (there(), held()) == (["one", "two"], ["two", "one"])
    paper.delete()
    assert there() == ["one"]
    twin.delete()
    assert there() == []


@pytest.mark.parametrize("created_by", ["save", "bulk_create"])
def test_a_copy_made_in_the_transaction_that_stored_the_file(
    memory: None, created_by: str
) -> None:
    paper = Paper(file=text("one"))
    with transaction.atomic():
        if created_by == "save":
            paper.save()
        else:
            Paper.objects.bulk_create([paper])
        first = paper.pk
        paper.pk = None
        paper._state.adding = True
        paper.save()
    assert (there(), held()) == (["one", "one"], ["one", "one"])
    Paper.objects.get(pk=first).delete()
    assert (there(), held()) == (["one"], ["one"])


def test_a_file_of_another_row_is_copied(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    shelf = Shelf.objects.create(files=[paper.file])
    assert shelf.files[0] is not paper.file
    # where its field has its files, and not named after the other's random part
    assert re.fullmatch(r"shelves/\d+/a_\w{7}\.txt", shelf.files[0].name)
    assert there() == ["one", "one"]
    paper.delete()
    assert there() == ["one"]
    shelf.files.append(paper.file)
    with pytest.raises(FileNotFoundError):
        shelf.save()
    shelf = Shelf.objects.get()
    shelf.files.clear()
    shelf.save()
    assert there() == []


def test_a_file_of_a_list_that_was_read_is_copied(memory: None) -> None:
    Shelf.objects.create(files=[text("one"), text("two")])
    read = Shelf.objects.get()
    Paper.objects.create(file=read.files[1])
    twin = Shelf.objects.create(files=[read.files[0], text("three")])
    assert there() == ["one", "one", "three", "two", "two"]
    read.delete()
    assert (there(), held()) == (["one", "three", "two"], ["two"])
    assert [file.get_content() for file in twin.files] == [b"one", b"three"]


def test_a_file_that_rows_share_stays_for_the_last(memory: None) -> None:
    data = FileObject("default", "a.txt", content=b"one").save().to_dict()
    first, second = Paper.objects.create(file=data), Paper.objects.create(file=data)
    assert there() == ["one"]
    first.delete()
    assert there() == ["one"]
    second.file = None
    second.save()
    assert there() == []


def test_a_copy_in_another_database_has_a_file_of_its_own(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    paper = Paper.objects.get()
    paper.save(using="other")
    assert there() == ["one", "one"]
    Paper.objects.all().delete()
    assert there() == ["one"]
    found = Paper.objects.using("other").get()
    assert found.file.get_content() == b"one"
    found.file = text("two")
    found.save()
    assert there() == ["two"]
    found.delete()
    assert there() == []


COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda row: pickle.loads(pickle.dumps(row)),
]


def test_copies_and_pickles_of_instances(memory: None) -> None:
    Paper.objects.create(file=text("one"))
    for make in COPIES:
        twin = make(Paper.objects.get())
        assert twin.file == Paper.objects.get().file
        twin.file = text("two")
        twin.save()
        assert there() == ["two"]
        twin.file = text("one")
        twin.save()
        assert there() == ["one"]
    shelf = Shelf.objects.create(files=[text("s")])
    for make in COPIES:
        twin = make(shelf)
        assert twin.files == shelf.files
        twin.files.append(text("x"))
        assert len(shelf.files) == 1


@pytest.mark.parametrize("attribute", ["file", "files"])
@pytest.mark.parametrize("way", ["save", "bulk_create"])
def test_a_copy_of_a_row_whose_file_was_not_used_yet(
    memory: None, way: str, attribute: str
) -> None:
    Folder.objects.create(file=text("one"), files=[text("two")])
    row = Folder.objects.get()
    twin = copy.copy(row)
    twin.pk = None
    if way == "save":
        twin.save()
    else:
        Folder.objects.bulk_create([twin])
    assert refs_of(getattr(row, attribute)).isdisjoint(refs_of(getattr(twin, attribute)))
    twin.delete()
    row.pages = 3
    row.save()
    assert (there(), left()) == (["one", "two"], {})


def test_a_copy_of_a_row_with_unsaved_content(memory: None) -> None:
    row: Any = Paper(file=text("one"))
    Paper.objects.bulk_create([row, copy.copy(row)])
    assert there() == ["one", "one"]
    row.delete()
    assert (there(), left()) == (["one"], {})


def test_deferred_files_are_copied_to_another_database(memory: None) -> None:
    Paper.objects.create(file=text("one"))
    Paper.objects.using("other").bulk_create(Paper.objects.defer("file"))
    Paper.objects.all().delete()
    assert (there(), left()) == (["one"], {})
