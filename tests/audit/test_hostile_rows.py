"""Commands over rows with invalid JSON: each is reported, and the others are done."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import TextField
from django.db.models.functions import Cast

from django_fsspec.testing import override_storage
from tests.helpers.hostile_rows import (
    GOOD,
    HALVES,
    INVALID,
    ODD,
    REFUSED,
    STATIC,
    UNREADABLE,
    invalid,
    paper,
    shelf,
)
from tests.library.models import Paper, Shelf

pytestmark = [pytest.mark.django_db(databases=["default", "other"])]
FIELDS = ["library.Paper.file", "library.Shelf.files"]


def is_invalid(key: str) -> bool:
    """Return whether the JSON itself is, and not only its alias or name refused."""
    return key not in REFUSED


@pytest.fixture(autouse=True)
def rows() -> Iterator[None]:
    with override_storage("default", "second"):
        for title, value in invalid().items():
            paper(title, value.text)
        for title, text in {**ODD, "static": STATIC, "good": GOOD}.items():
            paper(title, text)
        shelf(*(value.text for value in invalid().values()), *ODD.values(), STATIC, GOOD)
        storages["default"].save("papers/good.txt", ContentFile(b"good"))
        yield


def lines(*arguments: str) -> list[str]:
    """Return what a command prints that finds problems."""
    out = StringIO()
    with pytest.raises((CommandError, SystemExit)):
        call_command(*arguments, stdout=out, stderr=out, no_color=True)
    return out.getvalue().encode().decode().splitlines()


def raw() -> list[Any]:
    field = Cast("file", TextField())
    return list(Paper.objects.order_by("pk").values_list(field, flat=True)[: len(invalid())])


def test_a_refresh_lists_each_and_refreshes_the_others() -> None:
    before = raw()
    found = lines("refresh_files", *FIELDS)
    for row in Paper.objects.all():
        listed = [line for line in found if f"library.Paper {row.pk} file" in line]
        assert [line.split()[0] for line in listed] == (
            ["invalid"]
            if is_invalid(row.title) and row.title in INVALID
            else ["missing"]
            if row.title == "dots"
            else []
        ), row.title
    total = 2 * sum(map(is_invalid, invalid()))
    assert f"files with invalid JSON, left as they are: {total}" in found
    assert any(line.startswith("nowhere: ") for line in found)
    assert any(line.startswith("staticfiles: ") for line in found)
    assert raw() == before
    for title in [*ODD, "good"]:
        assert Paper.objects.get(title=title).file.size == 4
        assert Paper.objects.get(title=title).file.last_modified > 1.7e9


def test_a_sweep_deletes_no_file_of_an_invalid_row() -> None:
    Paper.objects.exclude(title="year 10000").delete()
    Shelf.objects.all().delete()
    storages["default"].save("papers/orphan.txt", ContentFile(b"1"))
    call_command("sweep_files", "default", "--delete", "--min-age=0", stdout=StringIO())
    assert storages["default"].listdir("papers")[1] == ["good.txt"]


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("model", [Paper, Shelf])
def test_a_file_of_a_row_that_python_can_not_read_stays(model: type[Any], text: str) -> None:
    if connection.vendor == "mysql" and text == UNREADABLE["levels"]:
        return  # it takes 32
    Paper.objects.all().delete()
    Shelf.objects.all().delete()
    row = paper("unreadable", text) if model is Paper else shelf(GOOD, text)
    call_command("sweep_files", "default", "--delete", "--min-age=0", stdout=StringIO())
    assert storages["default"].listdir("papers")[1] == ["good.txt"]
    # nor is it deleted with another row that holds it
    with transaction.atomic():
        paper("readable", GOOD).delete()
    assert storages["default"].listdir("papers")[1] == ["good.txt"]
    label = f"{model._meta.label} {row.pk} {'file' if model is Paper else 'files'}"
    (invalid_line,) = (line for line in lines("refresh_files", *FIELDS) if label in line)
    assert invalid_line.startswith("invalid")


def test_a_sweep_lists_rows_without_their_file() -> None:
    found = lines("sweep_files", "default", "--missing")
    for title in (title for title in HALVES if title == "name" and "half name" in invalid()):
        row = Paper.objects.get(title=f"half {title}")
        assert any(f"missing  library.Paper {row.pk} file" in line for line in found)
    assert any("../../secret.txt" in line for line in found)


def test_a_move_fails_for_each_and_moves_the_others() -> None:
    found = lines("migrate_files", *FIELDS, "--from", "default", "--to", "second")
    for row in Paper.objects.all():
        failed = [line for line in found if f"library.Paper.file {row.pk}:" in line]
        moved = row.file.backend == "second"
        assert moved == (row.title in ODD or row.title == "good"), row.title
        assert bool(failed) == (row.file.backend == "default"), row.title
    assert {file.backend for file in Shelf.objects.get().files if file} == {
        "second",
        "nowhere",
        "",
        "default",
        "staticfiles",
    }
