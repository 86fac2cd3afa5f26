"""Values of a field in memory: lists, what equals what, and what a message lists."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.db import connection, transaction

from django_fsspec import FileObject
from django_fsspec.fields import FileList
from django_fsspec.rows.file_changes import FileChange
from django_fsspec.rows.loaded_values import entry_of, remember
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.rollbacks import listed
from django_fsspec.rows.values import Ref, refs_of, same_json, unmerge
from tests.helpers import row_faults
from tests.helpers.row_faults import (
    UNREACHABLE,
    assign,
    contents_of,
    files_in,
    left,
    unreachable,
)
from tests.helpers.row_files import Mishap, text, there
from tests.library.models import Folder, Record, Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
no_wrappers = row_faults.no_wrappers


# lists


def test_a_list_given_to_another_row_is_a_list_of_its_own(memory: None) -> None:
    first: Any = Shelf.objects.create(files=[text("one")])
    second: Any = Shelf(files=first.files)
    second.files.append(text("two"))
    assert (len(first.files), len(second.files)) == (1, 2)
    second.save()
    assert there() == ["one", "one", "two"]


def test_a_list_made_without_a_row(memory: None) -> None:
    files = FileList()
    files.append(text("one"))
    files += [FileObject("default", "a.txt", content=b"two")]
    with pytest.raises(TypeError, match="None is not a file"):
        files.append(None)  # type: ignore[arg-type]
    row: Any = Shelf(files=files)
    row.save()
    assert contents_of(row, "files") == there() == ["one", "two"]


def test_a_list_is_not_extended_by_half(memory: None) -> None:
    row: Any = Shelf()
    with pytest.raises(TypeError, match="None is not a file"):
        row.files.extend([text("one"), None])
    assert row.files == []


def test_a_list_that_a_rollback_does_not_find_is_left_alone(memory: None) -> None:
    Shelf.objects.create(files=[text("one"), text("two")])
    mine, theirs = Shelf.objects.get(), Shelf.objects.get()
    mine.files.append(text("three"))
    with contextlib.suppress(Mishap), transaction.atomic():
        del theirs.files[0]
        theirs.save()
        mine.save()
        del vars(mine)["files"]  # is loaded when it is read
        raise Mishap
    assert contents_of(mine, "files") == there() == ["one", "two"]


def test_a_merge_is_taken_back_from_a_list_in_another_order() -> None:
    one, two, three, new = (FileObject("default", f"{number}.txt") for number in range(4))
    value = [three, two, new]
    unmerge(value, former=[one, two, three], merged=[two, three])
    assert value == [three, two, new, one]


# files


def test_where_a_file_goes_is_asked_again_after_a_failure(memory: None) -> None:
    row: Any = Record(tenant="default", file=text("one"))
    with unreachable(), pytest.raises(UNREACHABLE):
        row.save(force_update=True)
    row.tenant = "second"
    row.save()
    assert (row.file.backend, row.file.name.partition("/")[0]) == ("second", "second")
    assert (there("default"), there("second"), left()) == ([], ["one"], {})


def test_a_file_without_a_storage_is_no_reference() -> None:
    for data in ({"filename": "a.txt"}, {"filename": "a.txt", "backend": None}):
        assert refs_of(FileObject._from_json(data)) == set()


def test_the_order_of_keys_makes_no_difference() -> None:
    # PostgreSQL keeps keys in an order of its own
    assert same_json({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})
    assert not same_json({"a": 1}, {"a": True})


def test_changes_of_one_block_are_undone_from_the_last_to_the_first(
    memory: None, attribute: str
) -> None:
    row = Folder()
    assign(row, attribute, "one")
    with contextlib.suppress(Mishap), transaction.atomic():
        row.save()
        row.pk, row._state.adding = None, True
        row.save()  # another row, with a copy of the file
        raise Mishap
    assert (there(), [file.has_pending_data for file in files_in(row, attribute)]) == ([], [True])
    row.pk = None
    row.save()
    assert (there(), left()) == (["one"], {})


def test_an_undone_change_leaves_what_was_read_since(memory: None, attribute: str) -> None:
    """A traceback may keep the callback of a transaction beyond it."""
    row = Folder()
    assign(row, attribute, "one")
    row.save()
    field: Any = Folder._meta.get_field(attribute)
    change = FileChange(lambda: row, field, text="null")  # type: ignore[arg-type]
    change.remember_written("default")
    newer = remember(row, field, "default", "[]")
    change.undo()
    assert entry_of(row, field, "default") is newer


# messages and queries


@pytest.mark.parametrize("count", [1, 20, 21, 23])
def test_a_message_lists_20_files(count: int) -> None:
    refs = [Ref("default", f"{number:02}.txt") for number in range(count)]
    names = ", ".join(f"default:{number:02}.txt" for number in range(min(count, 20)))
    more = f" and {count - 20} more" if count > 20 else ""
    assert listed(refs).startswith(f"{names}{more}. Find ")


def test_many_files_are_looked_for_in_several_queries() -> None:
    """Databases bound the number of parameters."""
    bound: list[int] = []

    def count(execute: Any, sql: str, params: Any, *rest: Any) -> Any:
        bound.append(len(params or ()))
        return execute(sql, params, *rest)

    refs = {Ref("default", f"{number}.txt") for number in range(1801)}
    with connection.execute_wrapper(count):
        assert unreferenced("default", refs) == sorted(refs)
    assert max(bound) <= 900
