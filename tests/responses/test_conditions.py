"""Conditional requests: which version a client has. No storage, no socket."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from django_fsspec.responses.delivery import Representation, deliver

AT, BEFORE, AFTER = (formatdate(seconds, usegmt=True) for seconds in (1000, 999, 1001))
FILE = Representation(content_type="text/plain", size=10, etag="e", last_modified=1000.9)
#: a strong etag, a weak one, none but a time, nothing
WEAK = Representation(content_type="text/plain", size=10, etag='W/"e"', last_modified=1000)
TIMED = Representation(content_type="text/plain", size=10, etag="", last_modified=1000)
BARE = Representation(content_type="text/plain", size=10)


@pytest.mark.parametrize(
    ("file", "headers", "status"),
    [
        (FILE, {"If-None-Match": '"e"'}, 304),
        (FILE, {"If-None-Match": 'W/"e"'}, 304),
        (FILE, {"If-None-Match": '"a", W/"e" ,"b"'}, 304),
        (FILE, {"If-None-Match": " * "}, 304),
        (FILE, {"If-None-Match": '"a"'}, 200),
        (FILE, {"If-None-Match": "e"}, 200),
        (FILE, {"If-None-Match": '"a e"'}, 200),
        (FILE, {"If-None-Match": '"*"'}, 200),
        (FILE, {"If-None-Match": ""}, 200),
        (WEAK, {"If-None-Match": '"e"'}, 304),
        (WEAK, {"If-None-Match": 'W/"e"'}, 304),
        (WEAK, {"If-None-Match": '"W/e"'}, 200),
        (TIMED, {"If-None-Match": '"e"'}, 200),
        (BARE, {"If-None-Match": "*"}, 304),
        (FILE, {"If-Modified-Since": AT}, 304),
        (FILE, {"If-Modified-Since": AFTER}, 304),
        (FILE, {"If-Modified-Since": BEFORE}, 200),
        (FILE, {"If-Modified-Since": "yesterday"}, 200),
        (FILE, {"If-Modified-Since": ""}, 200),
        (BARE, {"If-Modified-Since": AFTER}, 200),
        # an etag has precedence over a date
        (FILE, {"If-None-Match": '"a"', "If-Modified-Since": AFTER}, 200),
        (FILE, {"If-None-Match": '"e"', "If-Modified-Since": BEFORE}, 304),
        (FILE, {"If-Match": '"e"'}, 200),
        (FILE, {"If-Match": '"a","e"'}, 200),
        (FILE, {"If-Match": "*"}, 200),
        (FILE, {"If-Match": 'W/"e"'}, 412),
        (FILE, {"If-Match": '"a"'}, 412),
        (FILE, {"If-Match": ""}, 412),
        (WEAK, {"If-Match": 'W/"e"'}, 412),
        (WEAK, {"If-Match": '"e"'}, 412),
        (WEAK, {"If-Match": "*"}, 200),
        (TIMED, {"If-Match": '"e"'}, 412),
        (FILE, {"If-Unmodified-Since": AT}, 200),
        (FILE, {"If-Unmodified-Since": AFTER}, 200),
        (FILE, {"If-Unmodified-Since": BEFORE}, 412),
        (FILE, {"If-Unmodified-Since": "yesterday"}, 200),
        (FILE, {"If-Unmodified-Since": ""}, 200),
        (BARE, {"If-Unmodified-Since": AFTER}, 412),
        (FILE, {"If-Match": '"e"', "If-Unmodified-Since": BEFORE}, 200),
        (FILE, {"If-Match": '"a"', "If-Unmodified-Since": AFTER}, 412),
        # both hold, or one of them
        (FILE, {"If-Match": '"e"', "If-None-Match": '"e"'}, 304),
        (FILE, {"If-Match": '"a"', "If-None-Match": '"e"'}, 412),
        (FILE, {"If-Unmodified-Since": AT, "If-Modified-Since": AT}, 304),
    ],
)
def test_conditions(file: Representation, headers: dict[str, str], status: int) -> None:
    for method in ("GET", "HEAD"):
        delivery = deliver(method, headers, file)
        assert delivery.status == status
        if status != 200:
            validators = deliver("GET", {}, file).headers
            told = {
                name: validators[name] for name in ("Last-Modified", "ETag") if name in validators
            }
            assert (delivery.headers, delivery.pieces) == (told, ())
        # a range does not matter before the conditions do
        ranged = deliver(method, {**headers, "Range": "bytes=10-"}, file)
        is_whole = status != 200 or method == "HEAD"
        assert ranged.status == (status if is_whole else 416)


@pytest.mark.parametrize(
    ("file", "header", "applies"),
    [
        (FILE, '"e"', True),
        (FILE, ' "e" ', True),
        (FILE, '"a"', False),
        (FILE, 'W/"e"', False),
        (FILE, "e", False),
        (FILE, "", False),
        (WEAK, 'W/"e"', False),
        (WEAK, '"e"', False),
        (TIMED, '"e"', False),
        (FILE, AT, True),
        (FILE, BEFORE, False),
        (FILE, AFTER, False),
        (BARE, AT, False),
        (BARE, "yesterday", False),
    ],
)
def test_a_range_on_the_condition_that_the_client_has_this_version(
    file: Representation, header: str, applies: bool
) -> None:
    delivery = deliver("GET", {"Range": "bytes=0-1", "If-Range": header}, file)
    assert delivery.status == (206 if applies else 200)
