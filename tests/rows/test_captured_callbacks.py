"""``captureOnCommitCallbacks()`` of Django's tests: callbacks that run before the rollback."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase

from django_fsspec.rows import row_signals, transactions
from tests.helpers import row_faults
from tests.helpers.row_faults import assign, left
from tests.helpers.row_files import Mishap, text, there
from tests.library.models import Folder

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute


def test_files_replaced_after_other_saves_of_a_test(memory: None, attribute: str) -> None:
    with pytest.raises(Mishap), transaction.atomic():
        row = Folder()
        assign(row, attribute, "one")
        row.save()
        for content in ("two", "three"):
            with TestCase.captureOnCommitCallbacks(execute=True):
                assign(row, attribute, content)
                row.save()
            assert (there(), left()) == ([content], {})
        with TestCase.captureOnCommitCallbacks(execute=True):
            row.delete()
        assert there() == []
        raise Mishap


def test_files_stored_inside_are_deleted_by_the_rollback(memory: None) -> None:
    with pytest.raises(Mishap), transaction.atomic():
        with TestCase.captureOnCommitCallbacks(execute=True):
            Folder.objects.create(file=text("one"), files=[text("two")])
        assert there() == ["one", "two"]
        raise Mishap
    assert there() == []


def test_each_change_is_handled_once(memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # each of the callbacks went over all changes: 4,000 rows took 18 s
    handled: list[int] = []
    send = row_signals.send_committed

    def count(changes: list[Any], *others: Any) -> None:
        handled.append(len(changes))
        send(changes, *others)

    monkeypatch.setattr(transactions, "send_committed", count)
    with pytest.raises(Mishap), transaction.atomic():
        for _ in range(2):
            with TestCase.captureOnCommitCallbacks(execute=True):
                for number in range(3):
                    Folder.objects.create(pages=number)
        raise Mishap
    # a row has two fields
    assert sum(handled) == 12
