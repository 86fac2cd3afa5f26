"""Saves that fail at Django's own boundary leave no file, no wrapper and no half-known row."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.storage import storages
from django.db import DatabaseError, connection, transaction
from django.db.models.signals import post_delete, pre_delete
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from tests.helpers import row_faults, row_files
from tests.helpers.row_faults import (
    UNREACHABLE,
    assign,
    contents_of,
    files_in,
    killed,
    left,
    stored_in,
    unreachable,
)
from tests.helpers.row_files import Mishap, receiving, text, there
from tests.library.models import Box, Cabinet, Folder, Journal, Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
place = row_files.place
save = row_faults.save
no_wrappers = row_faults.no_wrappers

Save = Callable[..., None]
adding = pytest.mark.parametrize("adding", [True, False], ids=["create", "update"])


def folder(attribute: str, *contents: str, adding: bool = False) -> Any:
    """Return a row with files, or one that was never saved."""
    row = Folder()
    if not adding:
        assign(row, attribute, *contents)
        row.save()
    return row


# 1: a statement that is refused before it is executed


@adding
@pytest.mark.parametrize(
    ("column", "value"),
    [("pages", "abc"), ("copies", "abc"), ("copies", 2**70)],
    ids=["compiled-before-the-file", "compiled-after-the-file", "executed"],
)
def test_the_save_after_a_refused_one_stores_the_file(
    memory: None, attribute: str, save: Save, adding: bool, column: str, value: Any
) -> None:
    row = folder(attribute, "one", adding=adding)
    rows, before = (0, []) if adding else (1, ["one"])
    assign(row, attribute, "two")
    setattr(row, column, value)
    with pytest.raises((ValueError, OverflowError, DatabaseError)):
        save(row)
    assert there() == before
    assert all(file.has_pending_data for file in files_in(row, attribute))
    assert Folder.objects.count() == rows
    setattr(row, column, 3)
    save(row)
    assert stored_in(Folder, attribute) == [["two"]]
    assert left() == {}


@adding
def test_a_save_refused_in_a_savepoint_can_be_repeated_in_its_transaction(
    memory: None, attribute: str, save: Save, adding: bool
) -> None:
    row = folder(attribute, "one", adding=adding)
    assign(row, attribute, "two")
    row.copies = "abc"
    with transaction.atomic():
        with pytest.raises(ValueError, match="abc"), transaction.atomic():
            save(row)
        assert there() == ([] if adding else ["one"])
        row.copies = 3
        save(row)
    assert stored_in(Folder, attribute) == [["two"]]
    assert left() == {}


def test_a_refused_row_of_another_model_takes_no_file_of_this_one(memory: None) -> None:
    shelf = Shelf.objects.create()
    first, second = Folder(file=text("one"), copies="abc"), Box(shelf=shelf, file=text("two"))
    with pytest.raises(ValueError, match="abc"):
        first.save()
    second.save()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name('library_folder')}")
        assert cursor.fetchone() == (0,)
    assert (there(), left()) == (["two"], {})


# 2: a database that can't be reached for a moment


class Once:
    """Content that can be read once, and tells whether it was."""

    def __init__(self, content: bytes) -> None:
        self.content, self.was_read = content, False

    def __iter__(self) -> Iterator[bytes]:
        assert not self.was_read
        self.was_read = True
        yield self.content


@adding
def test_a_database_that_cannot_be_reached_costs_no_upload(
    place: str, attribute: str, save: Save, adding: bool
) -> None:
    row = folder(attribute, "one", adding=adding)
    content = Once(b"two")
    file = FileObject("default", "b.txt", content=iter(content))
    setattr(row, attribute, [file] if attribute == "files" else file)
    with unreachable(), pytest.raises(UNREACHABLE):
        save(row)
    assert not content.was_read
    save(row)
    assert stored_in(Folder, attribute) == [["two"]]
    assert left() == {}


@adding
@pytest.mark.parametrize("then", ["list", "refresh", "save", "save another", "delete"])
def test_after_a_database_could_not_be_reached_all_is_as_before(
    memory: None, attribute: str, adding: bool, then: str
) -> None:
    rows = [folder(attribute, str(number)) for number in range(5)]
    row = folder(attribute, adding=True) if adding else rows[0]
    assign(row, attribute, "new")
    row.pages = 7
    with unreachable(), pytest.raises(UNREACHABLE):
        row.save()
    expected = [[str(number)] for number in range(5)]
    if then == "refresh":
        rows[0].refresh_from_db()
        assert (rows[0].pages, contents_of(rows[0], attribute)) == (0, ["0"])
    elif then == "delete":
        rows[4].delete()
        del expected[4]
    elif then == "save another":
        assign(rows[4], attribute, "another")
        rows[4].save()
        expected[4] = ["another"]
    elif then == "save":
        row.save()
        assert Folder.objects.get(pk=row.pk).pages == 7
        expected = [*expected, ["new"]] if adding else [["new"], *expected[1:]]
    assert len(list(Folder.objects.all())) == len(expected)
    assert stored_in(Folder, attribute) == expected
    assert left() == {}


def test_a_deletion_while_the_database_cannot_be_reached(memory: None, attribute: str) -> None:
    row = folder(attribute, "one")
    with unreachable(), pytest.raises(UNREACHABLE):
        row.delete()
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})
    row.delete()
    assert (there(), left()) == ([], {})


# 3: the wrappers of others


class Wrapper:
    """A wrapper of a user: notes statements, refuses those that begin with one of `refused`."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.statements = refused, list[str]()

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.statements.append(sql)
        if sql.startswith(self.refused):
            raise Mishap
        return execute(sql, params, many, context)


@adding
@pytest.mark.parametrize("refused", [(), ("",), ("INSERT", "UPDATE")])
@pytest.mark.parametrize("atomic", [True, False])
def test_a_users_wrapper_leaves_the_connection_after_a_save(
    memory: None, attribute: str, save: Save, adding: bool, refused: Any, atomic: bool
) -> None:
    row = folder(attribute, "one", adding=adding)
    assign(row, attribute, "two")
    wrapper = Wrapper(*refused)
    fails = pytest.raises(Mishap) if refused else contextlib.nullcontext()
    with (
        transaction.atomic() if atomic else contextlib.nullcontext(),
        fails,
        transaction.atomic() if atomic else contextlib.nullcontext(),
        connection.execute_wrapper(wrapper),
    ):
        save(row)
    assert connection.execute_wrappers == []
    seen = len(wrapper.statements)
    save(row)
    assert len(wrapper.statements) == seen
    assert (stored_in(Folder, attribute), left()) == ([["two"]], {})


def refuse(**kwargs: Any) -> None:
    raise Mishap


DELETIONS: dict[str, Callable[[Any], Any]] = {
    "row": lambda row: row.delete(),
    "async row": lambda row: async_to_sync(row.adelete)(),
    "queryset": lambda row: type(row).objects.all().delete(),
    "async queryset": lambda row: async_to_sync(type(row).objects.all().adelete)(),
}


@pytest.mark.parametrize("deletion", DELETIONS)
@pytest.mark.parametrize("signal", [pre_delete, post_delete], ids=["pre", "post"])
@pytest.mark.parametrize("atomic", [True, False])
def test_a_users_wrapper_leaves_the_connection_after_a_refused_deletion(
    memory: None, deletion: str, signal: Any, atomic: bool
) -> None:
    shelf = Shelf.objects.create(files=[text("one")])
    for number in range(3):
        Box.objects.create(shelf=shelf, file=text(f"box {number}"))
    wrapper = Wrapper()
    with (
        transaction.atomic() if atomic else contextlib.nullcontext(),
        receiving(signal, refuse, Box),
        pytest.raises(Mishap),
        connection.execute_wrapper(wrapper),
        transaction.atomic() if atomic else contextlib.nullcontext(),
    ):
        DELETIONS[deletion](shelf)
    assert connection.execute_wrappers == []
    assert (Box.objects.count(), len(there()), left()) == (3, 4, {})
    DELETIONS[deletion](shelf)
    assert (there(), left()) == ([], {})


@pytest.mark.parametrize("deletion", DELETIONS)
def test_a_deletion_that_a_wrapper_refuses_deletes_no_file(memory: None, deletion: str) -> None:
    row = folder("file", "one")
    with connection.execute_wrapper(Wrapper("DELETE")), pytest.raises(Mishap):
        DELETIONS[deletion](row)
    assert connection.execute_wrappers == []
    assert (stored_in(Folder, "file"), left()) == ([["one"]], {})
    DELETIONS[deletion](row)
    assert (there(), left()) == ([], {})


# 4: a model class with a __setattr__ of its own


def journal(*contents: str) -> Any:
    row = Journal(title="a")
    for name in ("file", "files", "outliving"):
        assign(row, name, *contents)
    row.save()
    return row


@pytest.mark.parametrize("deferred", [True, False])
def test_a_stale_row_of_a_class_with_setattr_keeps_the_newer_file(
    memory: None, attribute: str, save: Save, deferred: bool
) -> None:
    journal("one")
    stale: Any = Journal.objects.defer(attribute).get() if deferred else Journal.objects.get()
    fresh: Any = Journal.objects.get()
    assign(fresh, attribute, "two")
    assign(fresh, "outliving", "two")
    fresh.save()
    stale.title = "b"
    save(stale)
    assert Journal.objects.get().title == "b"
    assert stored_in(Journal, attribute) == stored_in(Journal, "outliving") == [["two"]]
    assert left().keys() <= {"orphans"}  # of the field without cleanup


@pytest.mark.parametrize("read", ["get", "refresh", "deferred", "created"])
def test_an_unchanged_row_of_a_class_with_setattr_costs_one_query(
    memory: None, save: Save, read: str
) -> None:
    row = journal("one")
    if read != "created":
        row = Journal.objects.get()
    if read == "refresh":
        row.refresh_from_db()
    elif read == "deferred":
        row = Journal.objects.defer("file", "files").get()
        assert contents_of(row, "file") == contents_of(row, "files") == ["one"]
    row.title = "b"
    with CaptureQueriesContext(connection) as queries:
        save(row)
    assert len(queries) == 1
    assert (there(), left()) == (["one"] * 3, {})


# 16: rows and databases that are gone


gone = pytest.mark.parametrize("model", [Cabinet, Folder], ids=["select_on_save", "update"])


def saved(model: Any, attribute: str, *contents: str) -> Any:
    row = model()
    assign(row, attribute, *contents)
    row.save()
    return row


def vanish(model: Any) -> None:
    """Delete all rows and their files, unseen by the rows in memory."""
    model.objects.all()._raw_delete("default")
    storage: Any = storages["default"]
    storage.delete_many([stat.name for stat in storage.walk()])


@gone
@pytest.mark.parametrize("files_too", [True, False])
@pytest.mark.parametrize("atomic", [True, False])
def test_a_row_that_is_gone_is_inserted_with_its_new_file_alone(
    memory: None, attribute: str, save: Save, model: Any, files_too: bool, atomic: bool
) -> None:
    row = saved(model, attribute, "one")
    if files_too:
        vanish(model)
    else:
        model.objects.all()._raw_delete("default")
    assign(row, attribute, "two")
    with transaction.atomic() if atomic else contextlib.nullcontext():
        save(row)
    assert (stored_in(model, attribute), left()) == ([["two"]], {})


@gone
@pytest.mark.parametrize("forced", ["force_update", "update_fields"])
def test_a_row_that_is_gone_is_not_updated_and_leaves_no_file(
    memory: None, attribute: str, save: Save, model: Any, forced: str
) -> None:
    row = saved(model, attribute, "one")
    vanish(model)
    assign(row, attribute, "two")
    with pytest.raises(DatabaseError):
        save(row, **{forced: True if forced == "force_update" else [attribute]})
    assert all(file.has_pending_data for file in files_in(row, attribute))
    assert (there(), left()) == ([], {})
    save(row)
    assert (stored_in(model, attribute), left()) == ([["two"]], {})


@adding
def test_a_connection_killed_before_a_save_leaves_no_file(
    place: str, attribute: str, save: Save, adding: bool
) -> None:
    row = folder(attribute, "one", adding=adding)
    assign(row, attribute, "two")
    with killed(), pytest.raises(UNREACHABLE):
        save(row)
    assert there() == ([] if adding else ["one"])
    assert left() == {}
    save(row)
    assert (stored_in(Folder, attribute), left()) == ([["two"]], {})
