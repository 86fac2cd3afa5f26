"""Forms of rows with invalid JSON: what a form leaves alone stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from tests.forms.submissions import attributes, form_of, upload
from tests.helpers.hostile_rows import GOOD, invalid, shelf, write
from tests.library.models import Box, Paper, Shelf

pytestmark = [
    pytest.mark.django_db(databases=["default", "other"]),
    pytest.mark.usefixtures("memory"),
]

#: all nine keys, as they are written
KEYS = FileObject.from_dict(json.loads(GOOD)).to_dict()


def column(row: Any) -> Any:
    """Return the JSON that the database holds for a row."""
    name = "files" if isinstance(row, Shelf) else "file"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name} FROM {row._meta.db_table} WHERE id = %s", [row.pk])
        raw = cursor.fetchone()[0]
    return json.loads(raw) if isinstance(raw, str) else raw


@pytest.mark.parametrize("model", [Paper, Box])
def test_a_form_keeps_a_file_that_is_invalid_until_it_gets_another(model: Any) -> None:
    content = ContentFile(b"1", name="1.txt")
    owner = Shelf.objects.create()
    pk = model.objects.create(file=content, **({"shelf": owner} if model is Box else {})).pk
    data = {"shelf": str(owner.pk)} if model is Box else {"title": "second"}
    for title, value in invalid().items():
        write(model.objects.get(pk=pk), value.text)
        row = model.objects.get(pk=pk)
        before = column(row)
        shown = form_of(model, instance=row).as_p()
        assert value.error in shown, title
        assert " required" not in shown.partition('type="file"')[2].partition(">")[0], title
        form = form_of(model, data, instance=row)
        assert form.is_valid(), form.errors
        assert "file" not in form.changed_data
        form.save()
        assert column(row) == before, title
        form = form_of(model, data, upload(data=b"new"), instance=model.objects.get(pk=pk))
        form.save()
        assert model.objects.get(pk=pk).file.read() == b"new", title


@pytest.mark.parametrize("text", [f'[{json.dumps(KEYS)}, 5, {{}}, "x"]', "[[1]]", "5", '{"a": 1}'])
def test_a_form_keeps_invalid_files_of_a_list(text: str) -> None:
    row = shelf()
    write(row, text)
    for data in ({}, {"files-place-x": "1"}):
        form = form_of(Shelf, data, instance=Shelf.objects.get())
        assert form.is_valid(), form.errors
        form.save()
        assert column(row) == json.loads(text)
    before = column(row) if isinstance(column(row), list) else [column(row)]
    form = form_of(Shelf, {}, upload(), instance=Shelf.objects.get())
    form.save()
    *kept, new = column(row)
    assert kept == before
    assert new["metadata"]["original_name"] == "up.txt"


def test_a_form_removes_and_moves_invalid_files_one_by_one() -> None:
    row = shelf(json.dumps(KEYS), "5", "{}")
    good, five, _ = attributes(form_of(Shelf, instance=Shelf.objects.get()).as_p(), "-remove")
    data = {"files-remove": [five], f"files-place-{good}": "9"}
    form = form_of(Shelf, data, instance=Shelf.objects.get())
    assert form.is_valid(), form.errors
    form.save()
    assert column(row) == [{}, KEYS]


def test_full_clean_accepts_invalid_json_of_the_column_and_no_other() -> None:
    row = shelf("5", GOOD)
    found = Shelf.objects.get(pk=row.pk)
    with CaptureQueriesContext(connection) as queries:
        found.full_clean()
    assert not queries.captured_queries
    found.files = [{"size": 5}]
    with pytest.raises(ValidationError, match="This is not a file"):
        found.full_clean()
    with pytest.raises(ValidationError, match="This is not a file"):
        Shelf(files=[{"size": 5}]).full_clean()
