"""A warning of files whose rows the database deletes: DB_CASCADE of Django 6.1."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.db import models

from tests.library.models import Box, Chapter

# Django's own checks ask the database for its version
pytestmark = pytest.mark.django_db(databases=["default", "other"])


def warnings() -> list[CheckMessage]:
    return [message for message in run_checks() if message.id == "django_fsspec.W009"]


def set_on_delete(monkeypatch: pytest.MonkeyPatch, model: Any, name: str, rule: str) -> None:
    related = model._meta.get_field(name).remote_field
    monkeypatch.setattr(related, "on_delete", getattr(models, rule))


def test_a_row_that_the_database_deletes(monkeypatch: pytest.MonkeyPatch) -> None:
    set_on_delete(monkeypatch, Box, "shelf", "DB_CASCADE")
    set_on_delete(monkeypatch, Chapter, "folder", "DB_SET_NULL")
    [warning] = warnings()
    assert warning.obj is Box._meta.get_field("file")
    monkeypatch.setattr(warning.obj, "cleanup", False)
    assert warnings() == []


def test_rows_that_django_deletes() -> None:
    assert warnings() == []
