"""Rows page by page: one query a page, because nobody counts the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)

ROWS_A_PAGE = 40


@dataclass
class Rows(Generic[M]):
    """One page of a queryset, which the first row too many says more of."""

    query: QuerySet[M]
    asked: str = "1"
    size: int = ROWS_A_PAGE

    def __post_init__(self) -> None:
        # no more digits than a database takes for an offset
        number = int(self.asked) if self.asked.isdecimal() and len(self.asked) < 7 else 1
        self.number = max(number, 1)
        start = (self.number - 1) * self.size
        found = list(self.query[start : start + self.size + 1])
        self.rows = found[: self.size]
        self.has_next = len(found) > self.size

    @property
    def previous(self) -> int:
        """The page before, 0 for none."""
        return self.number - 1

    @property
    def next(self) -> int:
        """The page after, 0 for none."""
        return self.number + 1 if self.has_next else 0
