"""migrate_files in shards: each row is in one, and their ends travel as JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.core.files.base import ContentFile
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from django_fsspec.rows.columns import FileColumn
from django_fsspec.transfer import plan
from django_fsspec.transfer.plan import columns, key_ranges, rows_to_move
from django_fsspec.transfer.shards import decode, encode
from tests.helpers import transfer_tasks
from tests.helpers.transfer_tasks import enqueue, migrate, papers, there, with_database
from tests.library.models import Magazine, Paper, Record

memory = transfer_tasks.memory


def column(label: str = "library.Paper.file", **options: Any) -> FileColumn:
    (found,) = columns([label], source="default", **options)
    return found


@with_database
@pytest.mark.parametrize("size", [1, 3, 5, 10, 11])
@pytest.mark.parametrize("model", [Paper, Record])
def test_shards_cover_each_row_once(
    memory: None, monkeypatch: pytest.MonkeyPatch, size: int, model: Any
) -> None:
    monkeypatch.setattr(plan, "ENDS", 3)
    for _ in range(12):
        model.objects.create(file=ContentFile(b"x", name="x.txt"))
    migrate(model._meta.label, limit=2)
    keys = set(model.objects.filter(file__stored_on="default").values_list("pk", flat=True))
    chosen = column(f"{model._meta.label}.file")
    found = []
    for after, upto in key_ranges(chosen, size):
        rows = [row.pk for row in rows_to_move(chosen, 100, after, upto)]
        assert len(rows) == size or upto is None
        found += rows
    assert len(found) == len(keys)
    assert set(found) == keys


@with_database
def test_shards_are_one_query_and_a_last_one(memory: None) -> None:
    papers(25)
    with CaptureQueriesContext(connection) as queries:
        assert len(list(key_ranges(column(), 5))) == 5
    assert len(queries) == 2
    with CaptureQueriesContext(connection) as queries:
        assert list(key_ranges(column(conditions={"title": "none"}), 5)) == []
    assert len(queries) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (models.BigAutoField(), 12345678901),
        (models.UUIDField(), UUID("12345678-1234-5678-1234-567812345678")),
        (models.CharField(max_length=9), "a'\n\u20ac\U0001f600"),
        (models.DateField(), date(2026, 2, 3)),
        (models.DateTimeField(), datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)),
        (models.DecimalField(max_digits=9, decimal_places=4), Decimal("12.3400")),
        (models.FloatField(), 0.1),
        (models.BinaryField(), b"\x00\xff"),
        (models.OneToOneField(Paper, models.CASCADE, primary_key=True), 77),
    ],
    ids=lambda given: type(given).__name__,
)
def test_any_primary_key_travels_as_json(field: Any, value: Any) -> None:
    field.set_attributes_from_name("key")
    text = json.loads(json.dumps(encode(field, value)))
    found = decode(field, text)
    assert (type(found), found) == (memoryview if type(value) is bytes else type(value), value)
    assert decode(field, encode(field, None)) is None


@with_database
def test_tables_beside_their_parents(memory: None) -> None:
    for n in range(3):
        Magazine.objects.create(title=str(n), cover=ContentFile(f"c{n}", name="c.txt"))
    enqueue("library.Magazine.cover", shard_size=2)
    assert there("second") == ["c0", "c1", "c2"]
