"""How HTTP delivers a file: method and headers in; status, headers and bytes out (RFC 9110).

Pure: nothing here knows Django, a storage, or does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate

from . import conditions, ranges
from .conditions import Validators
from .ranges import Span

METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """What is known of a file as it is sent.

    `size` is in bytes, None where it shows only at the end; then there are no ranges. `etag` is
    without quotes, `last_modified` in epoch seconds.
    """

    content_type: str
    size: int | None = None
    etag: str | None = None
    last_modified: float | None = None
    content_encoding: str | None = None

    @property
    def validators(self) -> Validators:
        """What conditional requests are held against.

        A file without an etag gets nginx's: time and size, in hexadecimal.
        """
        seconds = None if self.last_modified is None else int(self.last_modified)
        etag = self.etag
        if etag is None and seconds is not None and self.size is not None:
            etag = f"{seconds:x}-{self.size:x}"
        return Validators(etag=_quoted(etag), last_modified=seconds)


def _quoted(etag: str | None) -> str | None:
    if not etag:
        return None
    weak = "W/" if etag.startswith("W/") else ""
    opaque = etag.removeprefix("W/").strip('"')
    return f'{weak}"{opaque}"' if opaque.isascii() and opaque.isprintable() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An answer: `pieces` is what its body consists of, text and bytes of the file."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[bytes | Span, ...] = ()


def deliver(
    method: str,
    headers: Mapping[str, str],
    file: Representation,
    *,
    boundary: str | None = None,
) -> Delivery:
    """Return how to answer a request of `method` with `headers` for `file`.

    200, 206, 304, 412 or 416. For HEAD the headers are those of GET without a range, which is
    all that HEAD knows of (14.2). `headers` has names as HTTP writes them.
    """
    validators = file.validators
    told = _validators(validators)
    status = conditions.evaluate(method, headers, validators)
    if status is not None:
        return Delivery(status=status, headers=told)
    wanted = headers.get("Range")
    parts = None
    if (
        wanted is not None
        and file.size is not None
        and method == "GET"
        and conditions.range_applies(headers.get("If-Range"), validators)
    ):
        try:
            parts = ranges.parse(wanted, file.size)
        except ranges.NotSatisfiable:
            return Delivery(status=416, headers={**told, "Content-Range": f"bytes */{file.size}"})
    if file.content_encoding:
        told["Content-Encoding"] = file.content_encoding
    if parts is None:
        return _whole(method, told, file)
    return _partial(told, file, parts, boundary or ranges.new_boundary())


def _validators(validators: Validators) -> dict[str, str]:
    told: dict[str, str] = {}
    if validators.last_modified is not None:
        told["Last-Modified"] = formatdate(validators.last_modified, usegmt=True)
    if validators.etag is not None:
        told["ETag"] = validators.etag
    return told


def _whole(method: str, told: dict[str, str], file: Representation) -> Delivery:
    told["Content-Type"] = file.content_type
    # a 206 says so by itself
    told["Accept-Ranges"] = "none" if file.size is None else "bytes"
    if file.size is not None:
        told["Content-Length"] = str(file.size)
    body = method != "HEAD" and file.size != 0
    return Delivery(status=200, headers=told, pieces=(Span(0, file.size),) if body else ())


def _partial(
    told: dict[str, str], file: Representation, parts: tuple[ranges.Part, ...], boundary: str
) -> Delivery:
    size = file.size or 0
    pieces: tuple[bytes | Span, ...]
    if len(parts) == 1:
        pieces = (Span(*parts[0]),)
        told["Content-Type"] = file.content_type
        told["Content-Range"] = ranges.content_range(parts[0], size)
    else:
        pieces = tuple(ranges.multipart(parts, size, file.content_type, boundary))
        told["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
    lengths = (len(p) if isinstance(p, bytes) else (p.length or 0) for p in pieces)
    told["Content-Length"] = str(sum(lengths))
    return Delivery(status=206, headers=told, pieces=pieces)
