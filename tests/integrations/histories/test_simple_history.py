"""django-simple-history: a history row of an unchanged file holds the same object."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_fsspec.audit.sweep import Sweep
from tests.helpers import row_faults
from tests.helpers.row_faults import assign
from tests.helpers.row_files import Mishap, text, there
from tests.servers import CountingProxy, RcloneS3

from .files import contents, counted, names, stored

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save

Save = Callable[..., None]


def document(models: Any, attribute: str, *files: str, title: str = "") -> Any:
    """Create a document with these files in one of its attributes."""
    row = models.Document(title=title)
    assign(row, attribute, *files)
    row.save()
    return row


# edits


def test_edits_of_the_title_copy_no_file(
    memory: None, models: Any, attribute: str, save: Save
) -> None:
    row = document(models, attribute, "one")
    for number in range(20):
        row.title = str(number)
        save(row)
    assert there() == ["one"]
    assert names(row.history.all(), attribute) == [stored()] * 21


def test_an_edit_of_a_row_that_was_read_copies_no_file(
    memory: None, models: Any, attribute: str, save: Save
) -> None:
    document(models, attribute, "one")
    for queryset in (models.Document.objects.all(), models.Document.objects.defer(attribute)):
        row = queryset.get()
        row.title = "edited"
        save(row)
        row.save(update_fields=["title"])
    assert there() == ["one"]
    assert names(models.Document.history.all(), attribute) == [stored()] * 5


def test_an_edit_of_the_title_costs_no_request(
    rclone: RcloneS3, proxy: CountingProxy, models: Any
) -> None:
    with counted(proxy, rclone):
        row = document(models, "files", "one", "two")
        row = models.Document.objects.get()
        proxy.reset()
        row.title = "edited"
        row.save()
        row.delete()
        assert proxy.requests() == []
        assert contents(models.Document.history.all(), "files") == [["one", "two"]] * 3


def test_the_queries_of_an_edit(memory: None, models: Any, attribute: str) -> None:
    document(models, attribute, "one")
    row = models.Document.objects.get()
    row.title = "edited"
    with CaptureQueriesContext(connection) as queries:
        row.save()
    statements = [query["sql"].split()[0] for query in queries.captured_queries]
    # the row's own statement, then the history row in a transaction that locks the row
    lock = ["SELECT"] if connection.features.has_select_for_update else ["UPDATE", "SELECT"]
    assert statements == ["UPDATE", "BEGIN", *lock, "INSERT", "COMMIT"]
    empty = models.Document.objects.create()
    empty.title = "edited"
    with CaptureQueriesContext(connection) as queries:
        empty.save()
    assert [query["sql"].split()[0] for query in queries.captured_queries] == ["UPDATE", "INSERT"]


def test_metadata_alone_changes_no_object(memory: None, models: Any) -> None:
    row = document(models, "file", "one")
    row.file.metadata["seen"] = True
    row.save()
    assert there() == ["one"]
    assert [row.file.metadata.get("seen") for row in row.history.order_by("pk")] == [None, True]


# replaced and deleted files


def test_history_keeps_what_was_replaced(
    memory: None, models: Any, attribute: str, save: Save
) -> None:
    row = document(models, attribute, "one")
    assign(row, attribute, "two")
    save(row)
    assign(row, attribute)
    save(row)
    assert there() == ["one", "two"]
    assert contents(row.history.all(), attribute) == [["one"], ["two"], []]


def test_a_list_that_grows_and_shrinks(memory: None, models: Any) -> None:
    row = document(models, "files", "one", "two")
    row.files.append(text("three"))
    row.save()
    del row.files[0]
    row.save()
    row.files.reverse()
    row.save()
    assert there() == ["one", "three", "two"]
    assert contents(row.history.all(), "files") == [
        ["one", "two"],
        ["one", "two", "three"],
        ["two", "three"],
        ["three", "two"],
    ]


@pytest.mark.parametrize("delete", ["row", "queryset"])
def test_history_keeps_the_files_of_a_deleted_row(
    memory: None, models: Any, attribute: str, delete: str
) -> None:
    row = document(models, attribute, "one")
    file = stored()
    (row if delete == "row" else models.Document.objects.all()).delete()
    assert (stored(), names(models.Document.history.all(), attribute)) == (file, [file, file])


def test_a_deletion_alone_leaves_the_files_to_its_history_row(
    memory: None, models: Any, attribute: str
) -> None:
    row = models.Document()
    assign(row, attribute, "one")
    row.save_without_historical_record()
    file = stored()
    with CaptureQueriesContext(connection) as queries:
        row.delete()
    statements = [query["sql"].split()[0] for query in queries.captured_queries]
    assert (stored(), names(models.Document.history.all(), attribute)) == (file, [file])
    # no look at the row, which is gone
    after = statements[statements.index("DELETE") + 1 :]
    assert after[:2] == ["INSERT", "COMMIT"]


def test_history_that_goes_with_the_row(memory: None, models: Any) -> None:
    note = models.Note.objects.create(file=text("one"))
    note.title = "edited"
    note.save()
    note.file = text("two")
    note.save()
    assert there() == ["one", "two"]
    note.delete()
    assert (there(), models.Note.history.count()) == ([], 0)


def test_files_that_outlive_their_rows(memory: None, models: Any) -> None:
    statute = models.Statute.objects.create(file=text("one"))
    statute.title = "edited"
    statute.save()
    assert there() == ["one"]
    statute.file = text("two")
    statute.save()
    assert there() == ["one", "two"]
    models.Statute.history.all().delete()
    assert there() == ["one", "two"]


# commands


def test_old_history_takes_its_files_along(memory: None, models: Any, attribute: str) -> None:
    row = document(models, attribute, "one")
    assign(row, attribute, "two")
    row.save()
    row.title = "edited"
    row.save()
    models.Document.history.update(history_date=timezone.now() - timedelta(days=31))
    call_command("clean_old_history", "histories.Document", verbosity=0)
    assert (models.Document.history.count(), there()) == (0, ["two"])
    row.delete()
    models.Document.history.update(history_date=timezone.now() - timedelta(days=31))
    call_command("clean_old_history", "--auto", verbosity=0)
    assert (models.Document.history.count(), there()) == (0, [])


def test_duplicates_are_seen_and_cleaned(memory: None, models: Any, attribute: str) -> None:
    row = document(models, attribute, "one")
    for _ in range(3):
        row.save()
    assert row.history.count() == 4
    call_command("clean_duplicate_history", "histories.Document", verbosity=0)
    assert (row.history.count(), there()) == (1, ["one"])
    row.title = "edited"
    row.save()
    last, first = row.history.all()
    assert last.diff_against(first).changed_fields == ["title"]


def test_populated_history(memory: None, models: Any, attribute: str) -> None:
    for content in ("one", "two", "three"):
        row = models.Document()
        assign(row, attribute, content)
        row.save_without_historical_record()
    call_command("populate_history", "histories.Document", verbosity=0, batchsize=2)
    assert there() == ["one", "three", "two"]
    assert contents(models.Document.history.all(), attribute) == [["one"], ["two"], ["three"]]


def test_the_reason_of_a_change_finds_its_history_row(memory: None, models: Any) -> None:
    from simple_history.utils import update_change_reason

    row = document(models, "file", "one", title="first")
    update_change_reason(row, "created")
    assert [each.history_change_reason for each in row.history.all()] == ["created"]
    assert there() == ["one"]


# many rows


def test_bulk_create_and_bulk_update(memory: None, models: Any, attribute: str) -> None:
    from simple_history.utils import bulk_create_with_history, bulk_update_with_history

    rows = [models.Document(title=str(number)) for number in range(10)]
    for row in rows:
        assign(row, attribute, row.title)
    rows = bulk_create_with_history(rows, models.Document)
    assert there() == [str(number) for number in range(10)]
    for row in rows:
        row.title = "edited"
    with CaptureQueriesContext(connection) as queries:
        bulk_update_with_history(rows, models.Document, ["title"])
    assert there() == [str(number) for number in range(10)]
    assert models.Document.history.count() == 20
    statements = [query["sql"].split()[0] for query in queries.captured_queries]
    lock = ["SELECT"] if connection.features.has_select_for_update else ["UPDATE", "SELECT"]
    assert statements == ["BEGIN", "UPDATE", *lock, "INSERT", "COMMIT"]
    models.Document.objects.all().delete()
    assert there() == [str(number) for number in range(10)]


def test_a_refused_bulk_create_leaves_nothing(memory: None, models: Any, attribute: str) -> None:
    from simple_history.utils import bulk_create_with_history

    rows = [models.Document() for _ in range(3)]
    for row in rows:
        assign(row, attribute, "one")
    with pytest.raises(Mishap), transaction.atomic():
        bulk_create_with_history(rows, models.Document)
        raise Mishap
    assert (there(), models.Document.history.count()) == ([], 0)


# other tables, other databases


def test_history_of_two_tables(memory: None, models: Any) -> None:
    report = models.Report(cover=text("cover"))
    assign(report, "file", "one")
    assign(report, "files", "two")
    report.save()
    report = models.Report.objects.get()
    report.title = "edited"
    report.save()
    assert there() == ["cover", "one", "two"]
    report.delete()
    assert there() == ["cover", "one", "two"]
    for name in ("cover", "file", "files"):
        assert len({str(each) for each in names(models.Report.history.all(), name)}) == 1
    assert models.Report.history.count() == 3
    models.Report.history.all().delete()
    models.Document.history.all().delete()
    assert there() == []


def test_history_in_the_database_of_its_row(
    memory: None, models: Any, attribute: str, save: Save
) -> None:
    row = models.Document()
    assign(row, attribute, "one")
    save(row, using="other")
    row.title = "edited"
    save(row, using="other")
    assert there() == ["one"]
    assert contents(models.Document.history.using("other"), attribute) == [["one"], ["one"]]
    row.delete()
    models.Document.history.using("other").delete()
    assert there() == []


def test_history_in_another_database_has_copies(memory: None, models: Any) -> None:
    statute = models.Statute(file=text("one"))
    statute.save(using="other")
    assert there() == ["one", "one"]
    statute = models.Statute.objects.using("other").get()
    # another row, by the same key
    models.Statute.objects.bulk_create([models.Statute(pk=statute.pk)])
    statute.title = "edited"
    statute.save()
    assert there() == ["one", "one", "one"]
    assert contents(models.Statute.history.all(), "file") == [["one"], ["one"]]


# commands that read all rows


def test_files_move_with_their_history(memory: None, models: Any, attribute: str) -> None:
    row = document(models, attribute, "one")
    for number in range(5):
        row.title = str(number)
        row.save()
    assign(row, attribute, "two")
    row.save()
    options = {"source": "default", "target": "second", "delete_source": True}
    call_command("migrate_files", "histories", no_progress=True, stdout=io.StringIO(), **options)
    assert (there(), there("second")) == ([], ["one", "two"])
    assert contents(models.Document.objects.all(), attribute) == [["two"]]
    assert contents(models.Document.history.all(), attribute) == [["one"]] * 6 + [["two"]]


def test_a_sweep_knows_files_of_histories(memory: None, models: Any, attribute: str) -> None:
    row = document(models, attribute, "one")
    row.delete()
    assert list(Sweep(delete=True, missing=True, min_age=timedelta()).run()) == []
    assert there() == ["one"]
