"""Others at work: rows read long ago, replaced, deleted or filled by another meanwhile."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.db import transaction
from django.db.models.signals import pre_delete

from tests.helpers.row_files import held, receiving, text, there
from tests.library.models import Box, Paper, Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def test_a_row_read_long_ago_does_not_bring_a_deleted_file_back(memory: None) -> None:
    Paper.objects.create(title="a", file=text("one"))
    stale = Paper.objects.get()
    fresh = Paper.objects.get()
    fresh.file = text("two")
    fresh.save()
    stale.title = "b"
    stale.save()
    assert (there(), held()) == (["two"], ["two"])
    assert Paper.objects.get().title == "b"
    stale.file.metadata["seen"] = True
    stale.save()
    assert held() == ["two"]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_deleted_row_that_is_saved_again_has_no_missing_file(memory: None, atomic: bool) -> None:
    Paper.objects.create(file=text("one"))
    stale = Paper.objects.get()
    Paper.objects.get().delete()
    stale.title = "again"
    with (
        transaction.atomic() if atomic else contextlib.nullcontext(),
        pytest.raises(FileNotFoundError),
    ):
        stale.save()
    assert (there(), held()) == ([], [])
    stale.file = text("two")
    with transaction.atomic() if atomic else contextlib.nullcontext():
        stale.save()
    assert (there(), held()) == (["two"], ["two"])


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("change", ["append", "remove", "move", "none"])
def test_a_deleted_row_that_is_inserted_again_takes_copies(
    memory: None, atomic: bool, change: str
) -> None:
    Paper.objects.create(file=text("0"))
    Shelf.objects.create(files=[text("1"), text("2")])
    stale, paper = Shelf.objects.get(), Paper.objects.get()
    # somebody deletes the rows, and is about to delete their files
    for model in (Paper, Shelf):
        model.objects.all()._raw_delete("default")
    if change == "append":
        stale.files.append(text("3"))
    elif change == "remove":
        del stale.files[0]
    elif change == "move":
        stale.files.reverse()
    with transaction.atomic() if atomic else contextlib.nullcontext():
        stale.save()
        paper.save()
    rows = {"append": ["1", "2", "3"], "remove": ["2"], "move": ["1", "2"], "none": ["1", "2"]}
    # what the row itself let go of goes with its transaction
    left = ["0", "2"] if change == "remove" else ["0", "1", "2"]
    assert there() == sorted([*left, "0", *rows[change]])
    found = Shelf.objects.get()
    assert sorted(file.get_content().decode() for file in found.files) == rows[change]
    found.delete()
    Paper.objects.get().delete()
    assert there() == left


@pytest.mark.parametrize("atomic", [True, False])
def test_two_transactions_replace_one_file(memory: None, atomic: bool) -> None:
    Paper.objects.create(file=text("one"))
    first, second = Paper.objects.get(), Paper.objects.get()
    for row, content in ((first, "two"), (second, "three")):
        row.file = text(content)
        with transaction.atomic() if atomic else contextlib.nullcontext():
            row.save()
    assert (there(), held()) == (["three"], ["three"])


def test_a_row_deleted_that_another_changed(memory: None) -> None:
    Paper.objects.create(file=text("one"))
    first, second = Paper.objects.get(), Paper.objects.get()
    first.file = text("two")
    first.save()
    second.delete()
    assert there() == []


def test_files_replaced_between_the_reading_and_the_deletion(memory: None) -> None:
    shelf = Shelf.objects.create()
    boxes = [Box.objects.create(shelf=shelf, file=text(str(number))) for number in range(3)]
    Box.objects.create(shelf=Shelf.objects.create(), file=text("stays"))

    def meanwhile(**kwargs: Any) -> None:
        # another transaction, as far as the Collector knows
        box = Box.objects.get(pk=boxes[1].pk)
        box.file = text("another's")
        box.save()

    with receiving(pre_delete, meanwhile, Shelf):
        Shelf.objects.filter(pk=shelf.pk).delete()
    assert (there(), held(Box)) == (["stays"], ["stays"])


def test_a_first_file_for_a_row_that_has_one_by_now(memory: None) -> None:
    paper = Paper.objects.create()
    early = Paper.objects.get()
    paper.file = text("another's")
    paper.save()
    early.file = text("mine")
    with transaction.atomic():
        early.save()
    assert (there(), held()) == (["mine"], ["mine"])
