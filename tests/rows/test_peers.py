"""Deferred files that Django 6.1 reads for all rows of a query at once."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import models

from tests.helpers import row_faults
from tests.helpers.row_faults import assign, left, stored_in
from tests.library.models import Folder

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save


@pytest.mark.parametrize("contents", [[], ["new"]], ids=["cleared", "replaced"])
def test_a_row_that_was_changed_before_another_was_read(
    memory: None, attribute: str, save: Any, contents: list[str]
) -> None:
    for content in ("one", "two"):
        row = Folder()
        assign(row, attribute, content)
        row.save()
    rows: Any = Folder.objects.fetch_mode(models.FETCH_PEERS)  # type: ignore[attr-defined]
    read, changed = rows.defer(attribute).order_by("pk")
    assign(changed, attribute, *contents)
    assert getattr(read, attribute)
    save(changed)
    assert (stored_in(Folder, attribute), left()) == ([["one"], contents], {})
