"""sweep_files: rows of other databases, named or routed to."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import models
from django.test import override_settings

from django_fsspec.audit.sweep import Sweep
from django_fsspec.storage import FSSpecStorage
from tests.helpers import audit
from tests.helpers.audit import NOW, fates, hold, put, said
from tests.library.models import Paper

pytestmark = pytest.mark.django_db(databases=["default", "other"])

default = audit.default


def test_rows_of_another_database(default: FSSpecStorage) -> None:
    put("a.txt", "b.txt", "c.txt")
    hold("a.txt")
    Paper.objects.using("other").bulk_create([Paper(file=said("b.txt"))])
    assert set(fates(databases=["default", "other"], **NOW)) == {"c.txt"}
    swept = Sweep(["default"])
    assert [one.name for one in swept.run()] == ["b.txt"]
    assert "Rows in 'other' were not checked: add --database." in swept.notes


class PapersElsewhere:
    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        return "other" if model is Paper else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "other" if hints.get("model_name") == "paper" else None


def test_a_model_is_looked_for_where_the_router_reads_it(default: FSSpecStorage) -> None:
    put("a.txt", "b.txt")
    Paper.objects.using("other").bulk_create([Paper(file=said("a.txt"))])
    hold("b.txt")
    router = f"{__name__}.{PapersElsewhere.__name__}"
    with override_settings(DATABASE_ROUTERS=[router]):
        assert fates(**NOW) == {"b.txt": "deleted"}
