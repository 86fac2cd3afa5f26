"""What the hooks in models rely on: each version of Django that we allow has it so."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.db.models import QuerySet

from tests.helpers.row_files import text
from tests.library.models import Leaflet, Magazine, Paper

pytestmark = pytest.mark.django_db(transaction=True)


def signature(method: Any) -> list[str]:
    return list(inspect.signature(inspect.unwrap(method)).parameters)


def test_the_signatures_of_the_wrapped_methods() -> None:
    assert signature(models.Model._save_table) == [  # type: ignore[attr-defined]
        *("self", "raw", "cls", "force_insert", "force_update", "using", "update_fields")
    ]
    assert signature(QuerySet.bulk_create) == [
        *("self", "objs", "batch_size", "ignore_conflicts", "update_conflicts"),
        *("update_fields", "unique_fields"),
    ]
    assert signature(models.Model.from_db.__func__)[:2] == ["cls", "db"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", [Paper, Magazine, Leaflet])
def test_each_method_is_wrapped_once(model: Any) -> None:
    for method in (model._save_table, model.refresh_from_db, model.from_db.__func__):
        assert hasattr(method, "stores_files")
        assert not hasattr(method.__wrapped__, "stores_files")


def test_models_without_such_a_field_are_left_alone() -> None:
    assert not hasattr(models.Model._save_table, "stores_files")  # type: ignore[attr-defined]
    assert not hasattr(models.Model.refresh_from_db, "stores_files")


def test_the_callbacks_of_a_transaction(memory: None) -> None:
    with transaction.atomic():
        Paper.objects.create(file=text("one"))
        entries: list[Any] = list(connection.run_on_commit)
        with transaction.atomic():
            Paper.objects.create(file=text("two"))
            entries += connection.run_on_commit[len(entries) :]
            assert entries[-1][0] == set(connection.savepoint_ids)
    assert len(entries) == 3
    for savepoints, callback, robust in entries:
        assert isinstance(savepoints, set)
        assert callable(callback)
        assert isinstance(robust, bool)
    assert connection.run_on_commit == []
