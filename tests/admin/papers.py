"""Rows that describe files of several types, sizes and storages; nothing is stored."""

from __future__ import annotations

from typing import Any

from django_fsspec import FileObject
from tests.library.models import Paper


def paper(number: int, **facts: Any) -> Paper:
    kind = ("image/png", "text/plain", "application/zip")[number % 3]
    file = FileObject(
        ("default", "second")[number % 2],
        f"papers/{number}.x",
        **{"content_type": kind, "size": 10 ** (number % 10), **facts},
    )
    return Paper(title=f"{number:03}", file=file)
