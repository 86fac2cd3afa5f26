"""Random steps on rows: every row's objects are there, and no other object is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.helpers.backends import folder

from .property_machine import RowMachine

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class InMemory(RowMachine):
    @staticmethod
    def options() -> dict[str, Any]:
        return {"fs": "memory", "prefix": folder()}


def test_rows_and_objects_agree_in_memory() -> None:
    run_state_machine_as_test(
        InMemory,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
