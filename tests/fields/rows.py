"""Rows whose JSON is written and read past the field."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection

from django_fsspec import FileObject
from tests.library.models import Paper, Shelf


def described(name: str, **facts: Any) -> FileObject:
    """Return a file that is only said to be stored."""
    return FileObject("default", name, **facts)


def put(column: Any, table: str = "library_paper", name: str = "file", row: Any = None) -> None:
    row = row or Paper.objects.create(title="odd")
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {name} = %s WHERE id = %s", [json.dumps(column), row.pk]
        )


def held(row: Any) -> Any:
    return row.files if isinstance(row, Shelf) else row.file


def titles(**conditions: Any) -> str:
    rows = Paper.objects.filter(**conditions).order_by("title")
    return "".join(rows.values_list("title", flat=True))
