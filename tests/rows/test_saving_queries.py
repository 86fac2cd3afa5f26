"""How many queries a save costs: one look at the row more than Django, and only for a change."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.test.utils import CaptureQueriesContext

from tests.helpers import row_faults
from tests.helpers.row_faults import assign, contents_of, left, stored_in
from tests.helpers.row_files import text, there
from tests.library.models import Folder, Magazine, Paper

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save
no_wrappers = row_faults.no_wrappers

Save = Callable[..., None]
atomic = pytest.mark.parametrize("atomic", [True, False])


def block(atomic: bool) -> contextlib.AbstractContextManager[Any]:
    return transaction.atomic() if atomic else contextlib.nullcontext()


def folder(attribute: str, *contents: str) -> Any:
    row = Folder()
    assign(row, attribute, *contents)
    row.save()
    return row


def statements(function: Callable[[], object]) -> list[str]:
    """Return the first words of what a call executes, up to its commit.

    What follows the commit asks whether another row holds a replaced file. Before SQLite reads a
    row, an UPDATE that changes nothing may lock it.
    """
    with CaptureQueriesContext(connection) as queries:
        function()
    words = [query["sql"].split()[0] for query in queries.captured_queries]
    if "COMMIT" in words:
        del words[words.index("COMMIT") + 1 :]
    pairs = zip(words, [*words[1:], ""], strict=True)
    locks = connection.vendor == "sqlite"
    return [word for word, then in pairs if not (locks and (word, then) == ("UPDATE", "SELECT"))]


def test_creating_a_row_with_files_is_a_transaction_of_its_own(
    memory: None, attribute: str, save: Save
) -> None:
    row = Folder()
    assign(row, attribute, "one")
    assert statements(lambda: save(row)) == ["BEGIN", "INSERT", "COMMIT"]
    with transaction.atomic():
        row = Folder()
        assign(row, attribute, "two")
        assert statements(lambda: save(row)) == ["INSERT"]
    row = Folder(file=text("1"), files=[text("2"), text("3")])
    assert statements(lambda: save(row)) == ["BEGIN", "INSERT", "COMMIT"]


@atomic
def test_what_stores_no_file_costs_what_django_does(
    memory: None, attribute: str, save: Save, atomic: bool
) -> None:
    with block(atomic):
        assert statements(lambda: save(Folder())) == ["INSERT"]
        folder(attribute, "one")
        row: Any = Folder.objects.latest("pk")
        assert statements(lambda: save(row)) == ["UPDATE"]
        row.pages = 5
        assert statements(lambda: save(row)) == ["UPDATE"]
        assert contents_of(row, attribute) == ["one"]
        assert statements(lambda: save(row, update_fields=["pages"])) == ["UPDATE"]
        row = Folder.objects.defer(attribute).latest("pk")
        assert statements(lambda: save(row)) == ["UPDATE"]
        assert statements(lambda: list(Folder.objects.all())) == ["SELECT"]
        assert statements(Folder.objects.first) == ["SELECT"]
        assert statements(row.refresh_from_db) == ["SELECT"]


@atomic
def test_metadata_alone_is_one_update(memory: None, save: Save, atomic: bool) -> None:
    Paper.objects.create(file=text("one"))
    paper: Any = Paper.objects.get()
    paper.file.metadata["seen"] = True
    with block(atomic):
        assert statements(lambda: save(paper)) == ["UPDATE"]
    assert Paper.objects.get().file.metadata["seen"] is True
    assert (there(), left()) == (["one"], {})


@pytest.mark.parametrize("contents", [["two"], []], ids=["replaced", "cleared"])
def test_a_changed_file_costs_one_look_at_the_row(
    memory: None, attribute: str, save: Save, contents: Any
) -> None:
    row = folder(attribute, "one")
    assign(row, attribute, *contents)
    assert statements(lambda: save(row)) == ["BEGIN", "SELECT", "UPDATE", "COMMIT"]
    assign(row, attribute, "three")
    save(row)
    assign(row, attribute, *contents)
    with transaction.atomic():
        assert statements(lambda: save(row)) == ["SELECT", "UPDATE"]
    assert (stored_in(Folder, attribute), left()) == ([contents], {})


def test_creating_a_row_with_an_expression_looks_at_no_row(
    memory: None, attribute: str, save: Save
) -> None:
    value: Any = [] if attribute == "files" else None
    row = Folder(**{attribute: models.Value(value, models.JSONField())})
    assert statements(lambda: save(row)) == ["INSERT"]


def test_a_transaction_outside_of_any_is_of_the_table_with_files(memory: None, save: Save) -> None:
    magazine: Any = Magazine(file=text("one"), cover=text("two"))
    # Django itself saves a parent and its child in one transaction
    assert statements(lambda: save(magazine)) == ["BEGIN", "INSERT", "INSERT", "COMMIT"]
    magazine.title = "title"
    assert statements(lambda: save(magazine)) == ["BEGIN", "UPDATE", "UPDATE", "COMMIT"]
    assert left() == {}


@atomic
def test_bulk_create_costs_one_insert(memory: None, attribute: str, atomic: bool) -> None:
    rows = [Folder() for _ in range(3)]
    for row in rows:
        assign(row, attribute, "one")
    with block(atomic):
        words = statements(lambda: Folder.objects.bulk_create(rows))
    assert words == (["INSERT"] if atomic else ["BEGIN", "INSERT", "COMMIT"])
    assert (stored_in(Folder, attribute), left()) == ([["one"]] * 3, {})
