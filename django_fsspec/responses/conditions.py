"""Conditional requests: If-Match, If-None-Match and dates (RFC 9110 section 13).

Pure: headers and validators in, a status out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.http import parse_http_date_safe

_ETAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
NOT_MODIFIED, PRECONDITION_FAILED = 304, 412


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """ETag and modification time, which differ between versions of a file.

    `etag` is as in a header, quoted, possibly with ``W/``; `last_modified` is in whole epoch
    seconds. None means unknown.
    """

    etag: str | None = None
    last_modified: int | None = None

    @property
    def strong(self) -> str | None:
        """The etag, None if it is weak."""
        return None if self.etag is None or self.etag.startswith("W/") else self.etag

    def match(self, header: str, *, weak: bool) -> bool:
        """Return whether the header has this etag (13.1.1, 8.8.3.2)."""
        if header.strip() == "*":
            return True
        etag = self.etag.removeprefix("W/") if weak and self.etag else self.strong
        return etag is not None and any(
            match[2] == etag and (weak or not match[1]) for match in _ETAG.finditer(header)
        )


def evaluate(headers: Mapping[str, str], validators: Validators) -> int | None:
    """Return 304, 412, or None where a GET or HEAD gets the file.

    The order is that of RFC 9110 13.2.2: an etag has precedence over a date. Invalid dates are
    ignored (13.1.3, 13.1.4). `headers` has names in title case.
    """
    if not _unchanged(headers, validators):
        return PRECONDITION_FAILED
    if (etags := headers.get("If-None-Match")) is not None:
        if validators.match(etags, weak=True):
            return NOT_MODIFIED
    elif (
        validators.last_modified is not None
        and (date := _date(headers, "If-Modified-Since")) is not None
        and validators.last_modified <= date
    ):
        return NOT_MODIFIED
    return None


def _date(headers: Mapping[str, str], name: str) -> int | None:
    # to find that "" is no date takes Django a twentieth of the time of a small response
    return parse_http_date_safe(value) if (value := headers.get(name)) else None


def _unchanged(headers: Mapping[str, str], validators: Validators) -> bool:
    """Return whether If-Match or If-Unmodified-Since holds (13.1.1, 13.1.4)."""
    wanted = headers.get("If-Match")
    if wanted is not None:
        return validators.match(wanted, weak=False)
    date = _date(headers, "If-Unmodified-Since")
    modified = validators.last_modified
    return date is None or (modified is not None and modified <= date)


def range_applies(if_range: str | None, validators: Validators) -> bool:
    """Return whether If-Range allows a range: the client has the same version (13.1.5).

    An etag is compared strongly, a date exactly.
    """
    if if_range is None:
        return True
    if if_range.rstrip().endswith('"'):
        return validators.strong is not None and if_range.strip() == validators.strong
    date = parse_http_date_safe(if_range)
    return date is not None and date == validators.last_modified
