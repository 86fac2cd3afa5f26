"""Which bytes a ``Range`` header asks for, and bodies of several ranges (RFC 9110 section 14).

Pure: text and numbers in, values out.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from typing import NamedTuple

#: Ranges that one request may ask for. Each costs a request to the storage; RFC 9110 15.5.17 has
#: 416 for "an excessive request of small or overlapping ranges". Players and viewers ask for few.
MAX_RANGES = 32

#: spaces inside are not in the grammar; nginx takes them, and so do we
_SPEC = re.compile(r"[ \t]*(?:([0-9]+) *- *([0-9]*)|- *([0-9]+))[ \t]*")
#: more digits than any size has; int() refuses thousands of them
_DIGITS = 19


class NotSatisfiable(Exception):
    """None of the ranges can be given, they are malformed, or there are too many."""


class Span(NamedTuple):
    """Bytes `start` to `end` (exclusive); an `end` of None is the end of the file."""

    start: int
    end: int | None

    @property
    def length(self) -> int | None:
        """How many bytes; None where the end is not known."""
        return None if self.end is None else self.end - self.start


class Part(NamedTuple):
    """Bytes `start` to `end` (exclusive) of a file whose size is known."""

    start: int
    end: int


def parse(header: str, size: int) -> tuple[Part, ...] | None:
    """Return the ranges of a file of `size` bytes that `header` asks for; None for the whole.

    Raises ``NotSatisfiable``. Ranges that overlap become one (15.3.7.2), in the order in which
    they were asked for. A unit that is not bytes is ignored (14.2); so are "bytes=" alone and a
    range of an empty file that begins at its beginning, as nginx does.
    """
    unit, _, specs = header.partition("=")
    if unit.lower() != "bytes" or not specs:
        return None
    asked = [spec for spec in specs.split(",") if spec.strip(" \t")]  # 5.6.1.2: empty ones
    if not asked or len(asked) > MAX_RANGES:
        raise NotSatisfiable(header[:80])
    parts: list[Part] = []
    for spec in asked:
        part = _part(spec, size)
        if part.start < part.end:
            _add(parts, part)
        elif part.start == 0 == size:
            return None
    if not parts:
        raise NotSatisfiable(header[:80])
    return tuple(parts)


def _part(spec: str, size: int) -> Part:
    """Return what one range-spec means for `size`; nothing of the file where it is past it."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise NotSatisfiable(spec[:80])
    first, last, suffix = match.groups()
    if suffix is not None:
        return Part(max(0, size - _number(suffix)), size)
    start = _number(first)
    return Part(start, min(_number(last) + 1, size) if last else size)


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) < _DIGITS else 10**_DIGITS


def _add(parts: list[Part], part: Part) -> None:
    """Add `part`, made one with those that it overlaps."""
    place = len(parts)
    for index in reversed(range(len(parts))):
        other = parts[index]
        if other.start < part.end and part.start < other.end:
            part = Part(min(part.start, other.start), max(part.end, other.end))
            del parts[index]
            place = index
    parts.insert(place, part)


def content_range(part: Part, size: int) -> str:
    """Return the value of ``Content-Range`` (14.4)."""
    return f"bytes {part.start}-{part.end - 1}/{size}"


def new_boundary() -> str:
    """Return what separates the parts of a body: 20 digits, as long as nginx's."""
    return f"{secrets.randbelow(10**20):020}"


def multipart(
    parts: Sequence[Part], size: int, content_type: str, boundary: str
) -> Iterator[bytes | Span]:
    """Yield what a ``multipart/byteranges`` body consists of: text and bytes (14.6)."""
    for part in parts:
        yield (
            f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n"
            f"Content-Range: {content_range(part, size)}\r\n\r\n"
        ).encode("latin-1")
        yield Span(*part)
    yield f"\r\n--{boundary}--\r\n".encode("latin-1")
