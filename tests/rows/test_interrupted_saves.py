"""Saves that end early: by Ctrl-C, a worker's time limit, or a database that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from django_fsspec import FileObject
from tests.helpers import row_faults
from tests.helpers.row_faults import (
    UNREACHABLE,
    assign,
    files_in,
    left,
    stored_in,
    unreachable,
)
from tests.helpers.row_files import Mishap, there
from tests.library.models import Folder

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save
no_wrappers = row_faults.no_wrappers

Save = Callable[..., None]
#: by this value a statement that writes a row is told from one that locks it
PAGES = 77


class Interruption(BaseException):
    """As KeyboardInterrupt and SystemExit, which would end the tests."""


def interrupt(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    result = execute(sql, params, many, context)
    if PAGES in (params or ()):
        raise Interruption
    return result


def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    if PAGES in (params or ()):
        raise Mishap
    return execute(sql, params, many, context)


def changed_row(attribute: str, *, is_new: bool) -> Any:
    """Return a row with a new file that is not saved yet."""
    row = Folder()
    if not is_new:
        assign(row, attribute, "one")
        row.save()
    row.pages = PAGES
    assign(row, attribute, "two")
    return row


@pytest.mark.parametrize("is_new", [True, False])
def test_a_transaction_goes_on_after_an_interrupted_save(
    memory: None, attribute: str, save: Save, is_new: bool
) -> None:
    """The row was written, and its file is undone: such a row is never committed."""
    row = changed_row(attribute, is_new=is_new)
    with (
        transaction.atomic(),
        connection.execute_wrapper(interrupt),
        pytest.raises(Interruption),
    ):
        save(row)
    assert (stored_in(Folder, attribute), left()) == ([] if is_new else [["one"]], {})
    assert all(file.has_pending_data for file in files_in(row, attribute))


@pytest.mark.parametrize("is_new", [True, False])
def test_an_interrupted_rollback_leaves_no_file(
    memory: None, attribute: str, save: Save, is_new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = changed_row(attribute, is_new=is_new)
    rollback = connection.rollback

    def interrupted() -> None:
        rollback()
        raise Interruption

    with monkeypatch.context() as patched, connection.execute_wrapper(refuse):
        patched.setattr(connection, "rollback", interrupted)
        with pytest.raises(Interruption):
            save(row)
    assert there() == ([] if is_new else ["one"])
    assert all(file.has_pending_data for file in files_in(row, attribute))
    save(row)
    assert (stored_in(Folder, attribute), left()) == ([["two"]], {})


@pytest.mark.parametrize("way", ["insert", "update", "bulk_create"])
def test_a_database_that_cannot_be_reached_costs_no_upload(
    memory: None, attribute: str, save: Save, way: str
) -> None:
    read: list[str] = []

    def content() -> Iterator[bytes]:
        read.append("all")
        yield b"one"

    row: Any = Folder()
    if way == "update":
        row.save()
    file = FileObject("default", "a.txt", content=content())
    setattr(row, attribute, [file] if attribute == "files" else file)
    with unreachable(), pytest.raises(UNREACHABLE):
        if way == "bulk_create":
            Folder.objects.bulk_create([row])
        else:
            save(row)
    assert read == []
    save(row)
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})
