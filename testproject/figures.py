"""The figures of the overview: each is one query, shown beside the code that makes it."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Sum

from .models import Album, Document

MOST = 10


def documents() -> Any:
    return Document.objects.count()


def total() -> Any:
    return Document.objects.aggregate(Sum("file__size"))


def photos() -> Any:
    return Album.objects.aggregate(Sum("photos__len"))


def by_type() -> Any:
    return (
        Document.objects.values(label=F("file__content_type"))
        .annotate(files=Count("pk"), bytes=Sum("file__size"))
        .order_by("-bytes")
    )


def by_storage() -> Any:
    return (
        Document.objects.values(label=F("file__backend"))
        .annotate(files=Count("pk"), bytes=Sum("file__size"))
        .order_by("-bytes")
    )


def largest() -> Any:
    return Document.objects.order_by("-file__size")[:MOST]


def code_of(function: Callable[[], object]) -> str:
    """Return what a function returns, as it is written."""
    body = inspect.getsource(function).partition("return ")[2].rstrip()
    if body.startswith("("):
        body = textwrap.dedent(body[1:-1].strip("\n")).rstrip().replace("\n.", "\n    .")
    return body.replace("MOST", str(MOST))


@dataclass(frozen=True)
class Bar:
    """A line of a chart; `share`, of the longest bar, is in percent."""

    label: str
    bytes: int
    share: str
    files: int | None = None
    pk: int | None = None


@dataclass(frozen=True)
class Figure:
    """One number."""

    label: str
    value: int
    code: str
    is_bytes: bool = False


@dataclass(frozen=True)
class Chart:
    """Bars, the longest first."""

    label: str
    bars: list[Bar]
    code: str


def figures() -> list[Figure]:
    """Return the numbers."""
    return [
        Figure("Documents", documents(), code_of(documents)),
        Figure(
            "Bytes in documents", total()["file__size__sum"] or 0, code_of(total), is_bytes=True
        ),
        Figure("Photos in albums", photos()["photos__len__sum"] or 0, code_of(photos)),
    ]


def charts(titled: Callable[[str], str]) -> list[Chart]:
    """Return the charts; `titled` says what people call a storage."""
    types = [(row["label"], row["bytes"], row["files"], None) for row in by_type()]
    stores = [(titled(row["label"]), row["bytes"], row["files"], None) for row in by_storage()]
    files = [(row.title, row.file.size, None, row.pk) for row in largest()]
    return [
        Chart("By content type", _bars(types), code_of(by_type)),
        Chart("By storage", _bars(stores), code_of(by_storage)),
        Chart(f"The {MOST} largest", _bars(files), code_of(largest)),
    ]


def _bars(rows: Iterable[tuple[str, int | None, int | None, int | None]]) -> list[Bar]:
    known = [(label, size or 0, files, pk) for label, size, files, pk in rows]
    longest = max((size for _, size, _, _ in known), default=0) or 1
    return [
        Bar(label, size, f"{max(0.6, 100 * size / longest):.2f}", files, pk)
        for label, size, files, pk in known
    ]
