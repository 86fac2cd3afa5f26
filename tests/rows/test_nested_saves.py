"""A callable ``upload_to`` that saves other rows while the files of its own are stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django
import pytest

from tests.helpers.row_faults import left, stored_in
from tests.helpers.row_files import held, text
from tests.library.models import Chapter, Paper, Record

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

Naming = Callable[[Callable[[], object]], None]


@pytest.fixture
def when_named(monkeypatch: pytest.MonkeyPatch) -> Naming:
    """A function that has a call made once, when the file of a chapter is named."""

    def arrange(call: Callable[[], object]) -> None:
        calls = [call]

        def upload_to(instance: Any, filename: str) -> str:
            if calls:
                calls.pop()()
            return f"chapters/{filename}"

        monkeypatch.setattr(Chapter._meta.get_field("file"), "upload_to", upload_to)

    return arrange


def test_fields_whose_files_stay_are_not_written_after_it(
    memory: None, when_named: Naming
) -> None:
    Chapter.objects.create(notes=[text("old")])
    row, other = Chapter.objects.get(), Chapter.objects.get()
    other.notes = [text("new")]
    other.save()
    when_named(lambda: Paper.objects.create(file=text("another row's")))
    row.file = text("one")
    row.save()
    assert (held(), left()) == (["another row's"], {})
    assert stored_in(Chapter, "notes") == [["new"]]


def test_rows_of_the_same_model_keep_their_own_files(memory: None, when_named: Naming) -> None:
    def create() -> None:
        Chapter.objects.bulk_create([Chapter(file=text("two"), notes=[text("three")])])

    when_named(create)
    Chapter.objects.create(file=text("one"), notes=[text("four")])
    assert sorted(stored_in(Chapter, "file")) == [["one"], ["two"]]
    assert sorted(stored_in(Chapter, "notes")) == [["four"], ["three"]]
    assert left() == {}


def test_other_columns_are_asked_for_their_value_once(
    memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A callable ``upload_to`` reads times that Django sets; no other field is asked before."""
    asked: list[bool] = []
    field = Record._meta.get_field("unique")
    monkeypatch.setattr(field, "pre_save", lambda instance, add: asked.append(add))
    Record(file=text("one")).save(force_insert=True)
    # Django itself asks twice since 6.0
    assert asked == [True] * (2 if django.VERSION >= (6,) else 1)
