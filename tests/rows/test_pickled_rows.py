"""Rows from a pickle, as a cache holds them."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from django.core import serializers

from tests.helpers import row_faults
from tests.helpers.row_faults import assign, files_in, left, stored_in
from tests.helpers.row_files import text
from tests.library.models import Folder

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save


def row_of(attribute: str, way: str) -> Any:
    """Return a saved row, whose file was assigned, replaced in place or copied."""
    row = Folder()
    assign(row, attribute, "one")
    row.save()
    if way == "replaced":
        files_in(row, attribute)[0].save("b.txt", text("one"))
    elif way == "copied":
        row.pk = None
        row.save()
        Folder.objects.exclude(pk=row.pk).delete()
    return row


@pytest.mark.parametrize("way", ["assigned", "replaced", "copied"])
def test_a_row_is_saved_again(memory: None, attribute: str, save: Any, way: str) -> None:
    row = pickle.loads(pickle.dumps(row_of(attribute, way)))
    row.pages = 3
    save(row)
    assert Folder.objects.get().pages == 3
    assert (stored_in(Folder, attribute), left()) == ([["one"]], {})
    files_in(row, attribute)[0].metadata["seen"] = True
    save(row)
    assert files_in(Folder.objects.get(), attribute)[0].metadata["seen"]
    assign(row, attribute, "two")
    save(row)
    assert (stored_in(Folder, attribute), left()) == ([["two"]], {})


@pytest.mark.parametrize("way", ["assigned", "replaced", "copied"])
def test_a_row_is_written_to_a_fixture(memory: None, attribute: str, way: str) -> None:
    row = row_of(attribute, way)
    loaded = pickle.loads(pickle.dumps(row))
    assert serializers.serialize("json", [loaded]) == serializers.serialize("json", [row])
