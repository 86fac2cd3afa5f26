"""django-cleanup deletes the files of file fields and leaves ours to us."""

from __future__ import annotations

import os

import pytest

from tests.helpers.workers import Worker
from tests.integrations.other_packages import cleanup

pytestmark = [pytest.mark.once, pytest.mark.slow]


def test_each_field_is_cleaned_by_its_own() -> None:
    environment = {**os.environ, "PACKAGE": "cleanup"}
    with Worker(f"{cleanup.__package__}.settings", environment) as worker:
        steps = worker.call(cleanup.left)
    assert steps == {
        "made": ["1", "2", "3", "4"],
        # a file of a FileField stays after a rollback, as without django-cleanup
        "rolled back": ["1", "2", "3", "4", "6"],
        "replaced": ["3", "5", "6", "6", "7"],
        "saved again": ["3", "5", "6", "6", "7"],
        "deleted": ["6"],
        "asked of django-cleanup": ["scan", "scan"],
    }
