"""What cannot be done once rows are committed is logged, and the rest is left as it was."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from django.core.files.storage import storages
from django.db import OperationalError, connection, connections, transaction

from django_fsspec.rows.file_changes import FileChange
from django_fsspec.rows.transactions import settle
from django_fsspec.rows.values import Ref
from tests.helpers import heard as helper
from tests.helpers import row_faults
from tests.helpers.heard import Heard, numbers
from tests.helpers.row_faults import assign, files_in, left, stored_in
from tests.helpers.row_files import held, text, there
from tests.library.models import Folder, Paper

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

heard = helper.heard
attribute = row_faults.attribute
save = row_faults.save
no_wrappers = row_faults.no_wrappers


def lost_after_the_commit(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    if sql.startswith("SELECT") and not connection.in_atomic_block:
        raise OperationalError("the connection is lost")
    return execute(sql, params, many, context)


def test_a_query_for_other_rows_that_fails_is_logged_not_raised(
    memory: None, heard: Heard, attribute: str, save: Any, caplog: pytest.LogCaptureFixture
) -> None:
    row = Folder()
    assign(row, attribute, "one")
    row.save()
    [replaced] = [file.name for file in files_in(row, attribute)]
    heard.clear()
    assign(row, attribute, "two")
    with connection.execute_wrapper(lost_after_the_commit):
        save(row)
    [record] = caplog.records
    assert record.name == "django_fsspec"
    assert f"could not be deleted: default:{replaced}" in record.message
    assert (stored_in(Folder, attribute), there(), numbers(heard)) == (
        [["two"]],
        ["one", "two"],
        (1, 0),
    )


def test_a_file_replaced_in_its_own_transaction_is_not_unsaved_again(
    memory: None, attribute: str, save: Any
) -> None:
    row = Folder()
    with transaction.atomic():
        assign(row, attribute, "one")
        save(row)
        first = files_in(row, attribute)
        assign(row, attribute, "two")
        save(row)
    assert not any(file.has_pending_data for file in first)
    assert (there(), left()) == (["two"], {})


def test_a_connection_that_is_gone_tells_of_no_rollback(
    memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    """As that of a thread that ended within a transaction: it may be committed by hand."""
    storage: Any = storages["default"]
    name = storage.save("a.txt", text())
    gone = connection.copy()
    settle(gone, [FileChange(stored=Ref("default", name))])
    del gone
    gc.collect()
    assert there() == ["one"]
    assert "It is unknown whether the transaction was committed, so none" in caplog.text
    assert f"default:{name}" in caplog.text
    [record] = caplog.records
    assert (record.name, vars(record)["files"]) == ("django_fsspec", [("default", name)])


def test_a_file_stored_before_the_first_query_of_a_thread_stays(memory: None) -> None:
    """Without a connection there is no transaction that a rollback could undo."""

    def work() -> None:
        try:
            paper = Paper(file=text("never"))
            paper.file.save("a.txt", text("one"), save=False)
            paper.save()
        finally:
            for each in connections.all(initialized_only=True):
                if each.connection is not None:
                    # Django's close() keeps a database in memory, of which Python 3.13 warns
                    each.connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (held(), left()) == (["one"], {})


def test_a_save_that_changes_no_file_leaves_no_callback(
    memory: None, attribute: str, save: Any
) -> None:
    row = Folder()
    assign(row, attribute, "one")
    row.save()
    row.pages = 7
    with transaction.atomic():
        save(row)
        assert connection.run_on_commit == []
