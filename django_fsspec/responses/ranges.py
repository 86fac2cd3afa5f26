"""Parse ``Range`` headers, and lay out bodies of several ranges (RFC 9110 section 14).

Pure: text and numbers in, values out.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django_fsspec.core.batches import batches

#: Ranges of one request. Each costs a request to the storage; RFC 9110 15.5.17 allows 416 for "an
#: excessive request of small or overlapping ranges". Video players and viewers ask for few.
MAX_RANGES = 32

#: the grammar has no spaces inside; nginx accepts them
_SPEC = re.compile(r"[ \t]*(?:([0-9]+) *- *([0-9]*)|- *([0-9]+))[ \t]*")
#: digits of a size at most; int() raises for thousands of them
_DIGITS = 19


class NotSatisfiable(Exception):
    """No range is in the file, the header is malformed, or there are too many ranges."""


class Span(NamedTuple):
    """Bytes `start` to `end` (exclusive); None is the end of the file."""

    start: int
    end: int | None

    @property
    def length(self) -> int | None:
        """The number of bytes; None where the end is unknown."""
        return None if self.end is None else self.end - self.start


class ByteRange(NamedTuple):
    """Bytes `start` to `end` (exclusive) of a file whose size is known."""

    start: int
    end: int


def parse(header: str, size: int) -> tuple[ByteRange, ...] | None:
    """Return the ranges that `header` asks for of a file of `size` bytes; None for all of it.

    Overlapping ranges become one (15.3.7.2); the order stays. Other units than bytes are ignored
    (14.2), as are "bytes=" alone and a range from 0 of an empty file, like nginx does. Raises
    ``NotSatisfiable`` where the answer is 416.
    """
    unit, _, specs = header.partition("=")
    if unit.lower() != "bytes" or not specs:
        return None
    items = [spec for spec in specs.split(",") if spec.strip(" \t")]  # 5.6.1.2: empty items
    if not items or len(items) > MAX_RANGES:
        raise NotSatisfiable
    parts: list[ByteRange] = []
    for spec in items:
        part = _part(spec, size)
        if part.start < part.end:
            _add(parts, part)
        elif part.start == 0 == size:
            return None
    if not parts:
        raise NotSatisfiable
    return tuple(parts)


def _part(spec: str, size: int) -> ByteRange:
    """Return the bytes of one range-spec; empty where it is beyond `size`."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise NotSatisfiable
    first, last, suffix = match.groups()
    if suffix is not None:
        return ByteRange(max(0, size - _number(suffix)), size)
    start = _number(first)
    return ByteRange(start, min(_number(last) + 1, size) if last else size)


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS


def _add(parts: list[ByteRange], part: ByteRange) -> None:
    """Add `part`, joined with those that overlap it."""
    place = len(parts)
    for index in reversed(range(len(parts))):
        other = parts[index]
        if other.start < part.end and part.start < other.end:
            part = ByteRange(min(part.start, other.start), max(part.end, other.end))
            del parts[index]
            place = index
    parts.insert(place, part)


def content_range(part: ByteRange, size: int) -> str:
    """Return the value of ``Content-Range`` (14.4)."""
    return f"bytes {part.start}-{part.end - 1}/{size}"


def new_boundary() -> str:
    """Return a random boundary of a multipart body: 20 digits, as long as nginx's."""
    return f"{secrets.randbelow(10**20):020}"


def multipart(
    parts: Sequence[ByteRange], size: int, content_type: str, boundary: str
) -> Iterator[bytes | Span]:
    """Yield the pieces of a ``multipart/byteranges`` body: literal bytes and spans (14.6)."""
    for part in parts:
        yield (
            f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n"
            f"Content-Range: {content_range(part, size)}\r\n\r\n"
        ).encode("latin-1")
        yield Span(*part)
    yield f"\r\n--{boundary}--\r\n".encode("latin-1")


def in_file_order(pieces: Sequence[bytes | Span]) -> Sequence[bytes | Span]:
    """Return the `pieces` of a body with its spans, and what precedes each, in their file's order.

    A client finds a part by its Content-Range; 15.3.7.2 says only that parts *should* be in the
    order in which they were asked for.
    """
    *parts, end = batches(pieces, 2)
    parts.sort(key=lambda part: part[-1])
    return [piece for part in [*parts, end] for piece in part]
