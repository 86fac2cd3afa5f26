"""The HTTP rules of a download: method and headers in; status, headers, spans out (RFC 9110).

Pure: no Django, no storage, no I/O.
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
    """The metadata of a file as it is sent.

    `size` is in bytes, None where it is unknown before the end; then there are no ranges. `etag`
    has no quotes, `last_modified` is in epoch seconds.
    """

    content_type: str
    size: int | None = None
    etag: str | None = None
    last_modified: float | None = None
    content_encoding: str | None = None

    @property
    def validators(self) -> Validators:
        """The validators for conditional requests.

        A file without an etag gets one as nginx makes it: time and size, in hexadecimal.
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
    """A response: `pieces` are the parts of its body, literal bytes and spans of the file."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[bytes | Span, ...] = ()


def deliver(method: str, headers: Mapping[str, str], file: Representation) -> Delivery:
    """Return the response to a GET or HEAD with `headers`: 200, 206, 304, 412 or 416.

    HEAD gets the headers of a GET without a range (14.2). `headers` has names in title case.
    """
    validators = file.validators
    response = _validator_headers(validators)
    status = conditions.evaluate(headers, validators)
    if status is not None:
        return Delivery(status=status, headers=response)
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
            return Delivery(
                status=416, headers={**response, "Content-Range": f"bytes */{file.size}"}
            )
    if file.content_encoding:
        response["Content-Encoding"] = file.content_encoding
    if parts is None:
        return _whole(method, response, file)
    return _partial(response, file, parts)


def _validator_headers(validators: Validators) -> dict[str, str]:
    headers: dict[str, str] = {}
    if validators.last_modified is not None:
        headers["Last-Modified"] = formatdate(validators.last_modified, usegmt=True)
    if validators.etag is not None:
        headers["ETag"] = validators.etag
    return headers


def _whole(method: str, headers: dict[str, str], file: Representation) -> Delivery:
    headers["Content-Type"] = file.content_type
    # a 206 response implies it
    headers["Accept-Ranges"] = "none" if file.size is None else "bytes"
    if file.size is not None:
        headers["Content-Length"] = str(file.size)
    body = method != "HEAD" and file.size != 0
    return Delivery(status=200, headers=headers, pieces=(Span(0, file.size),) if body else ())


def _partial(
    headers: dict[str, str], file: Representation, parts: tuple[ranges.ByteRange, ...]
) -> Delivery:
    assert file.size is not None
    pieces: tuple[bytes | Span, ...]
    if len(parts) == 1:
        pieces = (Span(*parts[0]),)
        headers["Content-Type"] = file.content_type
        headers["Content-Range"] = ranges.content_range(parts[0], file.size)
    else:
        boundary = ranges.new_boundary()
        pieces = tuple(ranges.multipart(parts, file.size, file.content_type, boundary))
        headers["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
    length = sum(len(piece) for piece in pieces if isinstance(piece, bytes))
    headers["Content-Length"] = str(length + sum(part.end - part.start for part in parts))
    return Delivery(status=206, headers=headers, pieces=pieces)
