"""Files that a field gives to new rows: they stay when no row has them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.forms import modelform_factory

from django_fsspec import FileObject
from tests.helpers import row_faults
from tests.helpers.row_files import text, there
from tests.library.models import Member

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

save = row_faults.save

DEFAULTS = ["badge", "file", "picture"]


@pytest.fixture(autouse=True)
def files(memory: None) -> None:
    for name, content in (("default", "file"), ("badge", "badge"), ("picture", "picture")):
        storages["default"].save(f"members/{name}.txt", ContentFile(content))


def member(save: Any) -> Any:
    row = Member()
    save(row)
    row.refresh_from_db()
    return row


@pytest.mark.parametrize("field", ["file", "badge"])
@pytest.mark.parametrize("change", ["replaced", "cleared", "deleted", "deleted by a query"])
def test_they_stay(save: Any, field: str, change: str) -> None:
    row = member(save)
    if change == "deleted":
        row.delete()
    elif change == "deleted by a query":
        Member.objects.all().delete()
    else:
        setattr(row, field, text("own") if change == "replaced" else None)
        save(row)
    new = member(save)
    assert [new.file.get_content(), new.badge.get_content()] == [b"file", b"badge"]
    if change == "replaced":
        row.delete()
    assert there() == DEFAULTS


def test_a_row_of_ones_own_costs_no_file_of_others(save: Any) -> None:
    row = member(save)
    row.file = text("own")
    save(row)
    row.file = text("another")
    save(row)
    assert there() == ["another", "badge", "file", "picture"]


def test_a_sweep_keeps_them(capsys: pytest.CaptureFixture[str]) -> None:
    FileObject("default", "members/orphan.txt", content=b"orphan").save()
    call_command("sweep_files", "default", "--delete", "--min-age=0", "--no-input")
    assert there() == DEFAULTS
    assert "members/default.txt" not in capsys.readouterr().out


def test_a_form_without_an_upload_takes_them() -> None:
    form = modelform_factory(Member, fields=["name", "file"])({"name": "a"})
    assert form.is_valid(), form.errors
    row = form.save()
    row.refresh_from_db()
    assert (row.file.get_content(), there()) == (b"file", DEFAULTS)
    row.delete()
    assert there() == DEFAULTS


def test_a_default_that_raises_deletes_nothing(
    save: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise LookupError

    row = member(save)
    row.file = text("own")
    save(row)
    field = Member._meta.get_field("file")
    monkeypatch.setattr(field, "_get_default", fail)
    row.file = None
    save(row)
    assert there() == sorted([*DEFAULTS, "own"])
    assert "could not be deleted" in caplog.text
