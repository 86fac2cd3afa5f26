"""Transactions by hand (issue 13, 15): files follow commit() and rollback(), not atomic()."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from tests.helpers import row_faults
from tests.helpers.row_faults import assign, files_in, left, stored_in
from tests.helpers.row_files import Mishap, text, there
from tests.library.models import Folder

attribute = row_faults.attribute
save = row_faults.save
no_wrappers = row_faults.no_wrappers
autocommit = row_faults.autocommit

Save = Callable[..., None]


pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.parametrize("atomic", [True, False], ids=["in atomic()", "plain"]),
]


def block(atomic: bool) -> contextlib.AbstractContextManager[Any]:
    return transaction.atomic() if atomic else contextlib.nullcontext()


def committed_by_django(atomic: bool) -> bool:
    """Return whether the block has committed: SQLite's outermost savepoint does when it ends.

    Django's page on transactions says so, and that atomic() is not for SQLite without autocommit.
    """
    return atomic and connection.vendor == "sqlite"


def assert_nothing_is_lost(attribute: str, *contents: str) -> None:
    """Assert what the row holds; where nobody can tell what was committed, more files may stay."""
    assert stored_in(Folder, attribute) == [list(contents)]
    assert left().keys() <= {"orphans"}


def folder(attribute: str, *contents: str) -> Any:
    row = Folder()
    assign(row, attribute, *contents)
    row.save()
    return row


def test_a_committed_row_keeps_its_file_after_a_later_rollback(
    memory: None, attribute: str, save: Save, atomic: bool
) -> None:
    row: Any = Folder()
    assign(row, attribute, "one")
    transaction.set_autocommit(False)
    with block(atomic):
        save(row)
    transaction.commit()
    transaction.rollback()
    transaction.set_autocommit(True)
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})


def test_a_committed_replacement_stays_after_a_later_rollback(
    memory: None, attribute: str, save: Save, atomic: bool
) -> None:
    row = folder(attribute, "one")
    assign(row, attribute, "two")
    transaction.set_autocommit(False)
    with block(atomic):
        save(row)
    transaction.commit()
    row.pages = 2
    row.save()
    transaction.rollback()
    transaction.set_autocommit(True)
    # Django forgets with the rollback what was to be done after the commit
    assert_nothing_is_lost(attribute, "two")


def test_atomic_after_a_statement_commits_nothing(
    memory: None, attribute: str, save: Save, atomic: bool
) -> None:
    first, second = folder(attribute, "one"), folder(attribute, "two")
    assign(first, attribute, "three")
    assign(second, attribute, "four")
    transaction.set_autocommit(False)
    save(first)
    with block(atomic):
        save(second)
    transaction.rollback()
    transaction.set_autocommit(True)
    assert (sorted(stored_in(Folder, attribute)), left()) == ([["one"], ["two"]], {})


def test_a_file_stored_before_the_transaction_is_kept_when_atomic_commits(
    memory: None, save: Save, atomic: bool
) -> None:
    row: Any = folder("file", "one")
    transaction.set_autocommit(False)
    row.file.save("b.txt", text("two"), save=False)
    with block(atomic):
        save(row)
    transaction.rollback()
    transaction.set_autocommit(True)
    assert_nothing_is_lost("file", "two" if committed_by_django(atomic) else "one")


def test_a_new_row_that_was_rolled_back_leaves_no_file(
    memory: None, attribute: str, save: Save, atomic: bool
) -> None:
    row: Any = Folder()
    assign(row, attribute, "one")
    transaction.set_autocommit(False)
    with block(atomic):
        save(row)
    transaction.rollback()
    transaction.set_autocommit(True)
    if committed_by_django(atomic):
        assert_nothing_is_lost(attribute, "one")
        return
    assert (there(), left()) == ([], {})
    assert all(file.has_pending_data for file in files_in(row, attribute))
    save(row)
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})


@pytest.mark.parametrize("contents", [["two"], []], ids=["replaced", "cleared"])
def test_a_change_that_was_rolled_back_keeps_the_old_file(
    memory: None, attribute: str, save: Save, atomic: bool, contents: Any
) -> None:
    row = folder(attribute, "one")
    assign(row, attribute, *contents)
    transaction.set_autocommit(False)
    with block(atomic):
        save(row)
    transaction.rollback()
    transaction.set_autocommit(True)
    if committed_by_django(atomic):
        assert_nothing_is_lost(attribute, *contents)
        return
    assert (stored_in(Folder, attribute), there(), left()) == ([["one"]], ["one"], {})
    save(row)
    assert (stored_in(Folder, attribute), left()) == ([contents], {})


@pytest.mark.parametrize("contents", [["two"], []], ids=["replaced", "cleared"])
def test_the_old_file_is_deleted_once_the_change_is_committed(
    memory: None, attribute: str, save: Save, atomic: bool, contents: Any
) -> None:
    row = folder(attribute, "one")
    assign(row, attribute, *contents)
    transaction.set_autocommit(False)
    with block(atomic):
        save(row)
    assert there() == sorted(["one", *contents])
    transaction.commit()
    # when Django runs what follows a commit
    transaction.set_autocommit(True)
    assert (stored_in(Folder, attribute), left()) == ([contents], {})


def test_a_second_transaction_that_is_rolled_back_keeps_the_file_of_the_first(
    memory: None, attribute: str, save: Save, atomic: bool
) -> None:
    row = folder(attribute, "one")
    transaction.set_autocommit(False)
    for content in ("two", "three"):
        assign(row, attribute, content)
        with block(atomic):
            save(row)
        if content == "two":
            transaction.commit()
    transaction.rollback()
    transaction.set_autocommit(True)
    assert_nothing_is_lost(attribute, "three" if committed_by_django(atomic) else "two")


def test_a_deletion_follows_the_transaction(memory: None, attribute: str, atomic: bool) -> None:
    row = folder(attribute, "one")
    pk = row.pk
    transaction.set_autocommit(False)
    with block(atomic):
        row.delete()
    assert there() == ["one"]
    transaction.rollback()
    transaction.set_autocommit(True)
    if committed_by_django(atomic):
        assert (Folder.objects.count(), left().keys() <= {"orphans"}) == (0, True)
        return
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})
    transaction.set_autocommit(False)
    with block(atomic):
        Folder.objects.get(pk=pk).delete()
    transaction.commit()
    transaction.set_autocommit(True)
    assert (there(), left()) == ([], {})


def test_a_block_that_fails_is_undone_and_the_rest_is_committed(
    memory: None, attribute: str, save: Save, atomic: bool
) -> None:
    row, failing = folder(attribute, "one"), Folder()
    assign(row, attribute, "two")
    assign(failing, attribute, "three")
    transaction.set_autocommit(False)
    with block(atomic):
        save(row)
    with pytest.raises(Mishap), transaction.atomic():
        save(failing)
        raise Mishap
    assert there() == ["one", "two"]
    transaction.commit()
    transaction.set_autocommit(True)
    assert (stored_in(Folder, attribute), left()) == ([["two"]], {})


@pytest.mark.parametrize("committed", [True, False])
def test_rows_of_bulk_create_follow_the_transaction(
    memory: None, attribute: str, atomic: bool, committed: bool
) -> None:
    rows = [Folder(), Folder()]
    for row in rows:
        assign(row, attribute, "one")
    transaction.set_autocommit(False)
    with block(atomic):
        Folder.objects.bulk_create(rows)
    if committed:
        transaction.commit()
    transaction.rollback()
    transaction.set_autocommit(True)
    count = 2 if committed or committed_by_django(atomic) else 0
    assert stored_in(Folder, attribute) == [["one"]] * count
    assert left() == {}
