"""Several files in a field: what happens to the list, and lists that are merged."""

from __future__ import annotations

import contextlib

import pytest
from django.db import transaction

from tests.helpers import row_files
from tests.helpers.row_files import Mishap, text, there
from tests.library.models import Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

place = row_files.place


def test_a_list_notices_what_happens_to_it(place: str) -> None:
    shelf = Shelf.objects.create(files=[text("1", "1.txt"), text("2", "2.txt")])
    shelf = Shelf.objects.get()
    shelf.files.append(text("3", "3.txt"))
    shelf.save()
    assert there() == ["1", "2", "3"]
    shelf = Shelf.objects.get()
    assert [file.original_name for file in shelf.files] == ["1.txt", "2.txt", "3.txt"]
    shelf.files.reverse()
    shelf.save()
    shelf = Shelf.objects.get()
    assert [file.original_name for file in shelf.files] == ["3.txt", "2.txt", "1.txt"]
    del shelf.files[1]
    shelf.files += [text("4", "4.txt")]
    shelf.files[0] = text("0", "0.txt")
    shelf.files.insert(1, text("5", "5.txt"))
    shelf.save()
    assert there() == ["0", "1", "4", "5"]
    assert [f.get_content() for f in Shelf.objects.get().files] == [b"0", b"5", b"1", b"4"]
    shelf.files[1].delete()
    assert there() == ["0", "1", "4"]
    shelf.files = []
    shelf.save()
    assert there() == []


def test_a_file_that_is_twice_in_a_list_is_stored_once(memory: None) -> None:
    shelf = Shelf()
    shelf.files.append(text("one"))
    shelf.files.append(shelf.files[0])
    shelf.save()
    assert (there(), [file.get_content() for file in shelf.files]) == (["one"], [b"one"] * 2)
    shelf.delete()
    assert there() == []


def test_lists_of_two_transactions_are_merged(memory: None) -> None:
    Shelf.objects.create(files=[text("1"), text("2")])
    mine, theirs = Shelf.objects.get(), Shelf.objects.get()
    del theirs.files[0]
    theirs.files.append(text("3"))
    theirs.save()
    mine.files.append(text("4"))
    with transaction.atomic():
        mine.save()
    found = [file.get_content().decode() for file in Shelf.objects.get().files]
    assert found == ["2", "4", "3"]
    assert there() == ["2", "3", "4"]


def test_what_a_rolled_back_save_merged_is_not_copied_by_the_next(memory: None) -> None:
    Shelf.objects.create(files=[text("1")])
    mine, theirs = Shelf.objects.get(), Shelf.objects.get()
    theirs.files.append(text("2"))
    theirs.save()
    mine.files.append(text("3"))
    with contextlib.suppress(Mishap), transaction.atomic():
        mine.save()
        raise Mishap
    assert len(mine.files) == 2
    mine.save()
    assert [file.get_content() for file in Shelf.objects.get().files] == [b"1", b"3", b"2"]
    assert there() == ["1", "2", "3"]


@pytest.mark.parametrize("changed_since", [False, True], ids=["as it was", "changed since"])
def test_what_a_merge_removed_is_in_the_list_again_after_a_rollback(
    place: str, changed_since: bool
) -> None:
    """Otherwise the next save would remove files from the row that nobody removed."""
    Shelf.objects.create(files=[text("1"), text("2")])
    mine, theirs = Shelf.objects.get(), Shelf.objects.get()
    mine.files.append(text("3"))
    with contextlib.suppress(Mishap), transaction.atomic():
        del theirs.files[0]
        theirs.save()
        mine.save()
        assert [file.get_content() for file in mine.files] == [b"2", b"3"]
        if changed_since:
            mine.files.append(text("4"))
        raise Mishap
    mine.save()
    added = ["3", "4"] if changed_since else ["3"]
    assert there() == ["1", "2", *added]
    stored = [file.get_content().decode() for file in Shelf.objects.get().files]
    assert stored == (["2", "3", "4", "1"] if changed_since else ["1", "2", "3"])
