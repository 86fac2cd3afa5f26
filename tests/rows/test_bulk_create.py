"""bulk_create(): conflicts and failures leave no file without a row."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, IntegrityError, NotSupportedError, connection, transaction

from django_fsspec import FileObject
from tests.helpers import row_faults
from tests.helpers.row_faults import (
    UNREACHABLE,
    assign,
    files_in,
    killed,
    left,
    stored_in,
    unreachable,
)
from tests.helpers.row_files import Mishap, held, text, there
from tests.library.models import Box, Folder, Leaflet, Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
no_wrappers = row_faults.no_wrappers

Create = Callable[..., None]


@pytest.fixture(params=["bulk_create", pytest.param("abulk_create", marks=row_faults.TWIN)])
def bulk_create(request: pytest.FixtureRequest) -> Create:
    """A function that inserts rows by a manager, sync or async."""

    def create(manager: Any, rows: Any, **options: Any) -> None:
        manager.bulk_create(rows, **options)

    async def create_later(manager: Any, rows: Any, **options: Any) -> None:
        await manager.abulk_create(rows, **options)

    return create if request.param == "bulk_create" else async_to_sync(create_later)


def folder(attribute: str, *contents: str, **columns: Any) -> Any:
    row = Folder(**columns)
    assign(row, attribute, *contents)
    return row


# 8: conflicts


def handling(conflicts: str, attribute: str) -> dict[str, Any]:
    """Return options that ignore conflicts, or update the files or another column of the rows."""
    if conflicts == "ignored":
        return {"ignore_conflicts": True}
    updated = attribute if conflicts == "files updated" else "pages"
    options: dict[str, Any] = {"update_conflicts": True, "update_fields": [updated]}
    if connection.features.supports_update_conflicts_with_target:
        options["unique_fields"] = ["code"]
    return options


handled = pytest.mark.parametrize("conflicts", ["ignored", "pages updated"])


@handled
@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("batch_size", [None, 1])
def test_a_row_that_was_not_inserted_leaves_no_file(
    memory: None,
    attribute: str,
    bulk_create: Create,
    conflicts: str,
    atomic: bool,
    batch_size: int | None,
) -> None:
    folder(attribute, "one", code="a").save()
    rows = [
        folder(attribute, "two", code="b", pages=2),
        folder(attribute, "three", code="a", pages=3),
        folder(attribute, "four", code="c", pages=4),
    ]
    with transaction.atomic() if atomic else contextlib.nullcontext():
        bulk_create(Folder.objects, rows, batch_size=batch_size, **handling(conflicts, attribute))
    pages = list(Folder.objects.order_by("code").values_list("pages", flat=True))
    assert pages == [0 if conflicts == "ignored" else 3, 2, 4]
    assert sorted(stored_in(Folder, attribute)) == [["four"], ["one"], ["two"]]
    assert left() == {}
    # its content is unsaved again, and can go into another row
    assert [file.has_pending_data for row in rows for file in files_in(row, attribute)] == [
        *(False, True, False)
    ]
    rows[1].pk, rows[1].code = None, "d"
    rows[1].save()
    assert sorted(stored_in(Folder, attribute)) == [["four"], ["one"], ["three"], ["two"]]
    assert left() == {}


@handled
def test_rows_that_were_rolled_back_leave_no_file(
    memory: None, attribute: str, bulk_create: Create, conflicts: str
) -> None:
    folder(attribute, "one", code="a").save()
    rows = [folder(attribute, "two", code="b"), folder(attribute, "three", code="a")]
    with pytest.raises(Mishap), transaction.atomic():
        bulk_create(Folder.objects, rows, **handling(conflicts, attribute))
        raise Mishap
    assert (stored_in(Folder, attribute), there(), left()) == ([["one"]], ["one"], {})
    assert all(file.has_pending_data for row in rows for file in files_in(row, attribute))


@handled
def test_a_file_that_was_stored_before_stays(memory: None, attribute: str, conflicts: str) -> None:
    folder(attribute, "one", code="a").save()
    file = FileObject("default", "b.txt", content=b"two").save()
    row = Folder(code="a")
    setattr(row, attribute, [file] if attribute == "files" else file)
    Folder.objects.bulk_create([row], **handling(conflicts, attribute))
    assert (stored_in(Folder, attribute), there()) == ([["one"]], ["one", "two"])


@pytest.mark.parametrize("contents", [["two"], []], ids=["replaced", "cleared"])
@pytest.mark.parametrize("atomic", [True, False])
def test_replacing_files_of_rows_that_are_not_known_is_refused(
    memory: None, attribute: str, bulk_create: Create, contents: list[str], atomic: bool
) -> None:
    folder(attribute, "one", code="a").save()
    rows = [Folder(code="b"), folder(attribute, *contents, code="a")]
    with transaction.atomic() if atomic else contextlib.nullcontext():
        with pytest.raises(NotSupportedError, match=r"update_or_create\(\)"):
            bulk_create(Folder.objects, rows, **handling("files updated", attribute))
        assert (stored_in(Folder, attribute), there()) == ([["one"]], ["one"])
    assert all(file.has_pending_data for row in rows for file in files_in(row, attribute))
    assert left() == {}


@pytest.mark.parametrize("using", ["default", "other"])
def test_rows_of_other_managers_that_are_ignored(memory: None, using: str) -> None:
    shelf = Shelf.objects.using(using).create()
    Box.objects.using(using).create(pk=1, shelf=shelf, file=text("old"))
    Leaflet.objects.using(using).create(pk=1, file=text("older"))
    box = Box(pk=1, shelf=shelf, file=text("one"))
    leaflet: Any = Leaflet(pk=1, file=text("two"))
    managers: list[tuple[Any, Any]] = [
        (shelf.box_set, box),
        (Box.objects.using(using).filter(pk=1), box),
        (Leaflet.objects.using(using), leaflet),
    ]
    for manager, row in managers:
        manager.bulk_create([row], ignore_conflicts=True)
        assert row.file.has_pending_data
    assert (there(), left()) == (["old", "older"], {})


@pytest.mark.parametrize("conflicts", ["ignored", "pages updated"])
def test_rows_without_files_are_inserted_where_conflicts_are_handled(
    memory: None, attribute: str, bulk_create: Create, conflicts: str
) -> None:
    folder(attribute, "one", code="a").save()
    rows = [Folder(code="a", pages=5), Folder(code="b", pages=6)]
    bulk_create(Folder.objects, rows, **handling(conflicts, attribute))
    pages = list(Folder.objects.order_by("code").values_list("code", "pages"))
    assert pages == [("a", 0 if conflicts == "ignored" else 5), ("b", 6)]
    assert (sorted(stored_in(Folder, attribute)), left()) == ([[], ["one"]], {})


# 1, 2, 3, 16: failures


# far from those that a sequence gives
ONE, THREE = 10**9 + 1, 10**9 + 3
keys = pytest.mark.parametrize(
    "keys",
    [[None] * 4, [ONE, ONE + 1, THREE, THREE + 1], [ONE, None, THREE, None]],
    ids=["none", "all", "some"],
)
batches = pytest.mark.parametrize("batch_size", [None, 1, 3])


@keys
@batches
@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("refused", [{"copies": "abc"}, {"code": "a"}, {"copies": 2**70}], ids=str)
def test_a_refused_row_leaves_no_file_of_any(
    memory: None, attribute: str, keys: Any, batch_size: int | None, atomic: bool, refused: Any
) -> None:
    rows = [folder(attribute, str(key), pk=pk) for key, pk in enumerate(keys)]
    rows[0].code = "a"
    vars(rows[-1]).update(refused)
    with (
        pytest.raises((ValueError, OverflowError, DatabaseError)),
        transaction.atomic() if atomic else contextlib.nullcontext(),
    ):
        Folder.objects.bulk_create(rows, batch_size=batch_size)
    assert (Folder.objects.count(), there(), left()) == (0, [], {})
    assert all(file.has_pending_data for row in rows for file in files_in(row, attribute))
    rows[-1].copies, rows[-1].code = 0, None
    for row, pk in zip(rows, keys, strict=True):
        row.pk = pk
    Folder.objects.bulk_create(rows, batch_size=batch_size)
    assert sorted(stored_in(Folder, attribute)) == [[str(key)] for key in range(4)]
    assert left() == {}


@batches
@pytest.mark.parametrize("fault", [unreachable, killed])
def test_rows_that_met_a_broken_database_can_be_inserted_again(
    memory: None, attribute: str, bulk_create: Create, batch_size: int | None, fault: Any
) -> None:
    rows = [folder(attribute, str(number)) for number in range(4)]
    with fault(), pytest.raises(UNREACHABLE):
        bulk_create(Folder.objects, rows, batch_size=batch_size)
    assert (Folder.objects.count(), there(), left()) == (0, [], {})
    bulk_create(Folder.objects, rows, batch_size=batch_size)
    assert stored_in(Folder, attribute) == [[str(number)] for number in range(4)]
    assert left() == {}


@pytest.mark.parametrize("refuses", [True, False])
def test_a_users_wrapper_leaves_the_connection_after_bulk_create(
    memory: None, attribute: str, bulk_create: Create, refuses: bool
) -> None:
    def wrapper(execute: Any, sql: str, *arguments: Any) -> Any:
        if refuses and sql.startswith("INSERT"):
            raise Mishap
        return execute(sql, *arguments)

    rows = [folder(attribute, str(number)) for number in range(4)]
    fails = pytest.raises(Mishap) if refuses else contextlib.nullcontext()
    with fails, connection.execute_wrapper(wrapper):
        bulk_create(Folder.objects, rows)
    assert connection.execute_wrappers == []
    assert (len(there()), Folder.objects.count(), left()) == (*([0, 0] if refuses else [4, 4]), {})


def test_a_foreign_key_refused_by_the_database(memory: None, bulk_create: Create) -> None:
    shelf = Shelf.objects.create()
    rows = [Box(shelf=shelf, file=text("one")), Box(shelf_id=12345, file=text("nobody's"))]
    with pytest.raises(IntegrityError):
        bulk_create(Box.objects, rows)
    assert (Box.objects.count(), there(), left()) == (0, [], {})
    assert rows[0].file.has_pending_data


def test_an_unsaved_related_row_leaves_the_transaction_usable(memory: None) -> None:
    # as in Django, which checks this before its own transaction begins
    with transaction.atomic():
        with pytest.raises(ValueError, match="unsaved related object"):
            Box.objects.bulk_create([Box(shelf=Shelf(), file=text("one"))])
        Box.objects.bulk_create([Box(shelf=Shelf.objects.create(), file=text("two"))])
    assert (held(Box), left()) == (["two"], {})
