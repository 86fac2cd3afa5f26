"""Totals of stored files by storage and content type, from the database alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, Sum
from django.utils.translation import gettext

from django_fsspec.core.content_types import UNKNOWN_TYPE
from django_fsspec.forms.type_names import name_of_type
from django_fsspec.rows.values import files_of
from django_fsspec.storage.aliases import label_of

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from django_fsspec.rows.protocols import StoredField

#: content types with a colour of their own; the others share one
_MOST = 7
#: width of the chart in SVG units
WIDTH = 1000.0


@dataclass
class Amount:
    """A number of files and their bytes."""

    files: int = 0
    bytes: int = 0

    def add(self, files: int, size: int) -> None:
        """Add `files` files of `size` bytes in all."""
        self.files += files
        self.bytes += size


@dataclass(frozen=True)
class Segment:
    """A part of a bar; `x` and `width` are in SVG units."""

    label: str
    files: int
    bytes: int
    x: float
    width: float
    #: number of the colour
    colour: int

    @property
    def name(self) -> str:
        """The name of its content type for people."""
        return _type_name(self.label)


@dataclass(frozen=True)
class Bar:
    """One bar of the chart, with a segment for each content type."""

    label: str
    files: int
    bytes: int
    segments: list[Segment]

    @property
    def name(self) -> str:
        """The name of its storage for people."""
        return label_of(self.label)


@dataclass
class Overview:
    """Amounts by storage and content type."""

    amounts: dict[tuple[str, str], Amount] = field(default_factory=dict)

    def count(self, field: StoredField, rows: QuerySet[Any]) -> None:
        """Add the files of a field: 1 query; a field with several files is read row by row."""
        name = field.name
        if field.multiple:
            for value in rows.order_by().values_list(name, flat=True).iterator(chunk_size=2000):
                for file in files_of(value):
                    self._add(file.backend, file._content_type, 1, file.size)
            return
        keys = {"alias": F(f"{name}__backend"), "content_type": F(f"{name}__content_type")}
        groups = rows.order_by().exclude(**{f"{name}__isnull": True}).values(**keys)
        for row in groups.annotate(files=Count("pk"), bytes=Sum(f"{name}__size")):
            self._add(row["alias"], row["content_type"], row["files"], row["bytes"])

    def _add(
        self, alias: str | None, content_type: str | None, files: int, size: int | None
    ) -> None:
        key = (alias or "", content_type or UNKNOWN_TYPE)
        self.amounts.setdefault(key, Amount()).add(files, size or 0)

    @property
    def total(self) -> Amount:
        """All files."""
        return _sum(self.amounts.values())

    @property
    def types(self) -> list[tuple[str, Amount]]:
        """Amounts by content type, the largest first."""
        return self._by(1)

    @property
    def backends(self) -> list[tuple[str, Amount]]:
        """Amounts by storage, the largest first."""
        return self._by(0)

    def _by(self, part: int) -> list[tuple[str, Amount]]:
        groups: dict[str, list[Amount]] = {}
        for key, amount in self.amounts.items():
            groups.setdefault(key[part], []).append(amount)
        summed = [(label, _sum(amounts)) for label, amounts in groups.items()]
        return sorted(summed, key=lambda group: (-group[1].bytes, group[0]))

    @property
    def legend(self) -> list[tuple[str, int]]:
        """Content types with their colours; "" stands for all without a colour of their own."""
        labels = [label for label, _ in self.types[:_MOST]]
        rest = [("", _MOST)] if len(self.types) > _MOST else []
        return [*((label, number) for number, label in enumerate(labels)), *rest]

    @property
    def named_types(self) -> list[tuple[str, str, Amount]]:
        """Content types, their names for people, and their amounts."""
        return [(label, _type_name(label), amount) for label, amount in self.types]

    @property
    def named_legend(self) -> list[tuple[str, int]]:
        """Names of content types for people, with their colours."""
        return [(_type_name(label), colour) for label, colour in self.legend]

    @property
    def bars(self) -> list[Bar]:
        """A bar for each storage; the longest is as wide as the chart."""
        longest = max((amount.bytes for _, amount in self.backends), default=0) or 1
        return [
            Bar(alias, amount.files, amount.bytes, self._segments(alias, longest))
            for alias, amount in self.backends
        ]

    def _segments(self, alias: str, longest: int) -> list[Segment]:
        colours = dict(self.legend)
        sizes: Counter[str] = Counter()
        files: Counter[str] = Counter()
        for (backend, content_type), amount in self.amounts.items():
            if backend == alias:
                label = content_type if content_type in colours else ""
                sizes[label] += amount.bytes
                files[label] += amount.files
        x, segments = 0.0, []
        for label, size in sorted(sizes.items(), key=lambda item: colours[item[0]]):
            width = WIDTH * size / longest
            segments.append(
                Segment(label, files[label], size, round(x, 2), round(width, 2), colours[label])
            )
            x += width
        return segments


def _type_name(label: str) -> str:
    return name_of_type(label) if label else gettext("other")


def _sum(amounts: Iterable[Amount]) -> Amount:
    total = Amount()
    for amount in amounts:
        total.add(amount.files, amount.bytes)
    return total
