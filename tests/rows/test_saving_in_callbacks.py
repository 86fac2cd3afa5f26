"""Rows saved by a callback of ``on_commit()``, whose transactions fail."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from tests.helpers import row_faults
from tests.helpers.row_faults import assign, files_in, left, stored_in
from tests.helpers.row_files import Mishap, held, text, there
from tests.library.models import Box, Folder, Paper

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save


def after_commit(callback: Callable[[], None], using: str = "default") -> None:
    with transaction.atomic(using=using):
        transaction.on_commit(callback, using=using)


def test_a_rollback_in_a_callback_deletes_the_new_file(
    memory: None, caplog: pytest.LogCaptureFixture, attribute: str, save: Any
) -> None:
    row = Folder()
    assign(row, attribute, "one")

    def callback() -> None:
        with contextlib.suppress(Mishap), transaction.atomic():
            save(row)
            raise Mishap
        assert there() == []
        assert files_in(row, attribute)[0].has_pending_data
        save(row)

    after_commit(callback)
    assert (stored_in(Folder, attribute), left(), caplog.messages) == ([["one"]], {}, [])


def test_a_rollback_in_a_callback_keeps_the_old_file(
    memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    row = Paper.objects.create(file=text("one"))

    def callback() -> None:
        with contextlib.suppress(Mishap), transaction.atomic():
            row.file = text("two")
            row.save()
            raise Mishap

    after_commit(callback)
    assert (held(), left(), caplog.messages) == (["one"], {}, [])


def test_a_row_that_is_refused_at_the_commit_in_a_callback(
    memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    def callback() -> None:
        with contextlib.suppress(IntegrityError):
            Box.objects.create(shelf_id=12345, file=text("one"))

    after_commit(callback)
    assert (Box.objects.count(), left(), caplog.messages) == (0, {}, [])


def test_a_callback_of_a_callback(memory: None, caplog: pytest.LogCaptureFixture) -> None:
    def inner() -> None:
        with contextlib.suppress(Mishap), transaction.atomic():
            Paper.objects.create(file=text("three"))
            raise Mishap

    def outer() -> None:
        with transaction.atomic():
            Paper.objects.create(file=text("two"))
            transaction.on_commit(inner)

    with transaction.atomic():
        Paper.objects.create(file=text("one"))
        transaction.on_commit(outer)
    assert (held(), left(), caplog.messages) == (["one", "two"], {}, [])


def test_a_raising_callback_in_a_callback_keeps_what_is_committed(memory: None) -> None:
    def fail() -> None:
        raise Mishap

    def callback() -> None:
        with contextlib.suppress(Mishap), transaction.atomic():
            transaction.on_commit(fail)
            Paper.objects.create(file=text("one"))

    after_commit(callback)
    assert (held(), left()) == (["one"], {})


def test_another_database(memory: None, caplog: pytest.LogCaptureFixture) -> None:
    def callback() -> None:
        for using in ("default", "other"):
            with contextlib.suppress(Mishap), transaction.atomic(using=using):
                Paper(file=text(using)).save(using=using)
                raise Mishap

    after_commit(callback, using="other")
    assert (there(), left(), caplog.messages) == ([], {}, [])
