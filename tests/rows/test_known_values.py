"""What a database is known to hold: for each database, after rollbacks, after reading again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from tests.helpers import row_faults
from tests.helpers.row_faults import assign, contents_of, files_in, left, stored_in
from tests.helpers.row_files import Mishap, text, there
from tests.library.models import Folder

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save
no_wrappers = row_faults.no_wrappers

Save = Callable[..., None]


def folder(attribute: str, *contents: str) -> Any:
    row = Folder()
    assign(row, attribute, *contents)
    row.save()
    return row


def in_both(attribute: str) -> list[list[list[str]]]:
    return [stored_in(Folder, attribute, using) for using in ("default", "other")]


# 5: two databases


def test_a_replaced_file_is_saved_to_each_database(
    memory: None, attribute: str, save: Save
) -> None:
    row = folder(attribute, "one")
    save(row, using="other")
    assert (in_both(attribute), left()) == ([[["one"]]] * 2, {})
    assign(row, attribute, "two")
    save(row, using="default")
    save(row, using="other")
    assert (in_both(attribute), left()) == ([[["two"]]] * 2, {})
    assign(row, attribute, "three")
    save(row, using="other")
    save(row, using="default")
    assert (in_both(attribute), left()) == ([[["three"]]] * 2, {})


def test_a_row_of_another_database_that_was_never_read_gets_the_file(
    memory: None, attribute: str, save: Save
) -> None:
    row = folder(attribute, "one")
    twin = Folder(pk=row.pk)
    assign(twin, attribute, "another's")
    twin.save(using="other")
    assign(row, attribute, "two")
    save(row, using="default")
    save(row, using="other")
    assert (in_both(attribute), left()) == ([[["two"]]] * 2, {})


def test_a_file_cleared_in_each_database(memory: None, attribute: str, save: Save) -> None:
    row = folder(attribute, "one")
    save(row, using="other")
    assign(row, attribute)
    save(row, using="default")
    save(row, using="other")
    assert (in_both(attribute), there()) == ([[[]]] * 2, [])


def test_other_columns_saved_in_turn_keep_the_file(
    memory: None, attribute: str, save: Save
) -> None:
    row = folder(attribute, "one")
    for number in range(1, 7):
        row.pages = number
        save(row, using="other" if number % 2 else "default")
    assert (in_both(attribute), left()) == ([[["one"]]] * 2, {})
    pages = [Folder.objects.using(using).get().pages for using in ("default", "other")]
    assert pages == [6, 5]


def test_a_rollback_of_one_database_is_repeated_there_alone(
    memory: None, attribute: str, save: Save
) -> None:
    row = folder(attribute, "one")
    save(row, using="other")
    assign(row, attribute, "two")
    save(row, using="default")
    with pytest.raises(Mishap), transaction.atomic(using="other"):
        save(row, using="other")
        raise Mishap
    assert (in_both(attribute), left()) == ([[["two"]], [["one"]]], {})
    save(row, using="other")
    assert (in_both(attribute), left()) == ([[["two"]]] * 2, {})


def test_a_row_with_a_deferred_file_is_saved_to_another_database(
    memory: None, attribute: str, save: Save
) -> None:
    folder(attribute, "one")
    save(Folder.objects.defer(attribute).get(), using="other")
    assert (in_both(attribute), left()) == ([[["one"]]] * 2, {})


# 6: reading again


Refresh = Callable[..., None]


@pytest.fixture(
    params=["refresh_from_db", pytest.param("arefresh_from_db", marks=row_faults.TWIN)]
)
def refresh(request: pytest.FixtureRequest) -> Refresh:
    """A function that reads a row again, sync or async."""

    def read(row: Any, **options: Any) -> None:
        method = getattr(row, request.param)
        method = method if request.param == "refresh_from_db" else async_to_sync(method)
        method(**options)

    return read


def assert_as_stored(row: Any, attribute: str, *contents: str) -> None:
    """Assert that a row holds what the database does, and that its next save is of the rest."""
    assert contents_of(row, attribute) == list(contents)
    assert not any(file.has_pending_data for file in files_in(row, attribute))
    row.pages += 1
    with CaptureQueriesContext(connection) as queries:
        row.save()
    assert len(queries) == 1
    assert stored_in(Folder, attribute) == [list(contents)]
    assert (there(), left()) == (sorted(contents), {})


@pytest.mark.parametrize("named", [True, False], ids=["fields", "all"])
@pytest.mark.parametrize("contents", [["two"], []], ids=["replaced", "cleared"])
@pytest.mark.parametrize("before", [["one"], []], ids=["one", "none"])
def test_reading_again_after_a_rollback_drops_what_was_rejected(
    memory: None, attribute: str, refresh: Refresh, named: bool, contents: Any, before: Any
) -> None:
    row = folder(attribute, *before)
    assign(row, attribute, *contents)
    with pytest.raises(Mishap), transaction.atomic():
        row.save()
        raise Mishap
    refresh(row, **({"fields": [attribute]} if named else {}))
    assert_as_stored(row, attribute, *before)


def test_reading_again_after_a_savepoint_was_rolled_back(
    memory: None, attribute: str, refresh: Refresh
) -> None:
    row = folder(attribute, "one")
    with transaction.atomic():
        assign(row, attribute, "two")
        with pytest.raises(Mishap), transaction.atomic():
            row.save()
            raise Mishap
        refresh(row)
        assert contents_of(row, attribute) == ["one"]
        row.pages = 5
        row.save()
    assert_as_stored(row, attribute, "one")


def test_reading_again_before_and_after_a_rollback(
    memory: None, attribute: str, refresh: Refresh
) -> None:
    row = folder(attribute, "one")
    with pytest.raises(Mishap), transaction.atomic():
        assign(row, attribute, "two")
        row.save()
        refresh(row)
        assert contents_of(row, attribute) == ["two"]
        raise Mishap
    refresh(row)
    assert_as_stored(row, attribute, "one")


@pytest.mark.parametrize("changed_by_another", [True, False])
@pytest.mark.parametrize("deferred", [True, False])
def test_reading_again_drops_what_was_never_saved(
    memory: None, attribute: str, refresh: Refresh, changed_by_another: bool, deferred: bool
) -> None:
    folder(attribute, "one")
    row: Any = Folder.objects.defer(attribute).get() if deferred else Folder.objects.get()
    if changed_by_another:
        other = Folder.objects.get()
        assign(other, attribute, "another's")
        other.save()
    assign(row, attribute, "two")
    # without names, Django reads a deferred field only once it was loaded
    refresh(row, fields=[attribute])
    assert_as_stored(row, attribute, "another's" if changed_by_another else "one")


def test_reading_other_fields_again_keeps_what_was_not_saved(
    memory: None, attribute: str, refresh: Refresh
) -> None:
    row = folder(attribute, "one")
    assign(row, attribute, "two")
    refresh(row, fields=["pages"])
    assert all(file.has_pending_data for file in files_in(row, attribute))
    row.save()
    assert (stored_in(Folder, attribute), left()) == ([["two"]], {})


def test_appending_to_a_list_that_was_read_again_after_a_rollback(
    memory: None, refresh: Refresh
) -> None:
    row = folder("files", "one", "two")
    with pytest.raises(Mishap), transaction.atomic():
        row.files.append(text("three"))
        del row.files[0]
        row.save()
        raise Mishap
    refresh(row)
    row.files.append(text("four"))
    row.save()
    assert stored_in(Folder, "files") == [["one", "two", "four"]]
    assert left() == {}


# 16: a clear that is rolled back and repeated


@pytest.mark.parametrize("row", ["deferred", "never read", "read"])
@pytest.mark.parametrize("named", [True, False], ids=["update_fields", "all"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_clear_that_was_rolled_back_is_repeated(
    memory: None, attribute: str, save: Save, row: str, named: bool, times: int
) -> None:
    pk = folder(attribute, "one").pk
    rows: dict[str, Callable[[], Any]] = {
        "deferred": Folder.objects.defer(attribute).get,
        "never read": lambda: Folder(pk=pk),
        "read": Folder.objects.get,
    }
    cleared = rows[row]()
    assign(cleared, attribute)
    options = {"update_fields": [attribute]} if named else {}
    for _ in range(times):
        with contextlib.suppress(Mishap), transaction.atomic():
            save(cleared, **options)
            raise Mishap
        assert (stored_in(Folder, attribute), there()) == ([["one"]], ["one"])
    save(cleared, **options)
    assert (stored_in(Folder, attribute), there(), left()) == ([[]], [], {})


def test_a_raw_save_that_was_rolled_back_is_not_known(memory: None, attribute: str) -> None:
    row = folder(attribute, "one")
    other = FileObject("default", "other.txt", content=b"two").save()
    fixture = Folder.objects.get()
    setattr(fixture, attribute, [other] if attribute == "files" else other)
    with pytest.raises(Mishap), transaction.atomic():
        fixture.save_base(raw=True)
        raise Mishap
    fixture.save()
    assert contents_of(Folder.objects.get(pk=row.pk), attribute) == ["two"]


def test_a_failure_after_the_statement_ends_its_transaction(
    memory: None, attribute: str, settings: Any
) -> None:
    settings.DJANGO_FSSPEC_UNDO_MEMORY = "64 MB"
    row: Any = Folder()
    assign(row, attribute, "one")
    with pytest.raises(TypeError):
        row.save()
    assert not connection.in_atomic_block
    assert (Folder.objects.count(), there()) == (0, [])


# raw saves


def test_what_a_raw_save_wrote_is_known(memory: None, attribute: str, save: Save) -> None:
    row, other = folder(attribute, "one"), folder(attribute, "two")
    before = getattr(row, attribute)
    setattr(row, attribute, [file.to_dict() for file in other.files] or other.file.to_dict())
    row.save_base(raw=True)
    with CaptureQueriesContext(connection) as queries:
        row.save()
    assert len(queries) == 1
    setattr(row, attribute, before)
    save(row)
    assert stored_in(Folder, attribute) == [["one"], ["two"]]
