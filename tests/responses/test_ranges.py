"""Range headers: which bytes they mean, and the body of several ranges. No storage, no socket."""

from __future__ import annotations

import re

import pytest

from django_fsspec.responses.delivery import Delivery, Representation, deliver
from django_fsspec.responses.ranges import (
    MAX_RANGES,
    NotSatisfiable,
    Span,
    in_file_order,
    new_boundary,
    parse,
)

LARGEST = 2**63 - 1
NINES = "9" * 5000


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("bytes=0-0", 100, [(0, 1)]),
        ("bytes=0-99", 100, [(0, 100)]),
        ("bytes=0-100", 100, [(0, 100)]),
        ("bytes=5-", 100, [(5, 100)]),
        ("bytes=99-", 100, [(99, 100)]),
        ("bytes=-1", 100, [(99, 100)]),
        ("bytes=-100", 100, [(0, 100)]),
        ("bytes=-101", 100, [(0, 100)]),
        ("BYTES=5-5", 100, [(5, 6)]),
        ("bytes= 5 - 6 ", 100, [(5, 7)]),
        ("bytes=\t5-6\t", 100, [(5, 7)]),
        ("bytes=\t - 6\t", 100, [(94, 100)]),
        ("bytes=007-008", 100, [(7, 9)]),
        # several: in the order asked for, those that overlap made one
        ("bytes=20-29,0-9", 100, [(20, 30), (0, 10)]),
        ("bytes=0-9,10-19", 100, [(0, 10), (10, 20)]),
        ("bytes=10-19,0-9", 100, [(10, 20), (0, 10)]),
        ("bytes=0-9,9-19", 100, [(0, 20)]),
        ("bytes=9-19,0-9", 100, [(0, 20)]),
        ("bytes=0-50,10-20", 100, [(0, 51)]),
        ("bytes=10-20,0-50", 100, [(0, 51)]),
        ("bytes=0-9,0-9", 100, [(0, 10)]),
        ("bytes=50-59,0-4,10-14,3-11,70-", 100, [(50, 60), (0, 15), (70, 100)]),
        ("bytes=10-14,50-59,12-20", 100, [(10, 21), (50, 60)]),
        # what is in no file, and empty items, beside others
        ("bytes=5-4,0-0", 100, [(0, 1)]),
        ("bytes=100-,0-0,-0", 100, [(0, 1)]),
        ("bytes=0-1,,5-6,\t, ", 100, [(0, 2), (5, 7)]),
        # numbers of any length
        (f"bytes=0-{NINES}", 100, [(0, 100)]),
        (f"bytes=-{NINES}", 100, [(0, 100)]),
        (f"bytes=5-{NINES}", LARGEST, [(5, LARGEST)]),
        (f"bytes={'0' * 5000}5-{'0' * 5000}", 100, None),
        (f"bytes={'0' * 5000}5-6", 100, [(5, 7)]),
        (f"bytes={LARGEST - 1}-", LARGEST, [(LARGEST - 1, LARGEST)]),
        (f"bytes=0-{LARGEST - 2}", LARGEST, [(0, LARGEST - 1)]),
        # nothing that is in the file
        ("bytes=100-", 100, None),
        ("bytes=100-200", 100, None),
        ("bytes=-0", 100, None),
        ("bytes=5-4", 100, None),
        (f"bytes={NINES}-", 100, None),
        ("bytes=1-5", 0, None),
        # no ranges
        ("bytes=,", 100, None),
        ("bytes= \t", 100, None),
        ("bytes=-", 100, None),
        ("bytes=--1", 100, None),
        ("bytes=1", 100, None),
        ("bytes=0-1-2", 100, None),
        ("bytes=a-b", 100, None),
        ("bytes=+1-2", 100, None),
        ("bytes=0-1 2", 100, None),
        ("bytes=0-1;2-3", 100, None),
        ("bytes=\u0663-\u0664", 100, None),
        ("bytes=0-1,a", 100, None),
        ("bytes=0-1,X", 100, None),
        ("bytes=0-1,\xa0", 100, None),
        ("bytes=0-1=2", 100, None),
    ],
)
def test_ranges(header: str, size: int, expected: list[tuple[int, int]] | None) -> None:
    if expected is None:
        with pytest.raises(NotSatisfiable):
            parse(header, size)
    else:
        assert parse(header, size) == tuple(expected)


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("bytes=", 100),
        ("bytes", 100),
        ("=0-1", 100),
        ("items=0-1", 100),
        ("bytes =0-1", 100),
        ("bytes=0-", 0),
        ("bytes=-5", 0),
        ("bytes=1-5,0-", 0),
    ],
)
def test_headers_that_ask_for_the_whole_file(header: str, size: int) -> None:
    assert parse(header, size) is None


def test_too_many_ranges_are_refused() -> None:
    asked = [f"{place * 2}-{place * 2}" for place in range(MAX_RANGES + 1)]
    assert len(parse(f"bytes={','.join(asked[:-1])}", 100) or ()) == MAX_RANGES == 32
    with pytest.raises(NotSatisfiable):
        parse(f"bytes={','.join(asked)}", 100)


def test_boundaries_can_not_be_guessed() -> None:
    boundaries = {new_boundary() for _ in range(1000)}
    assert len(boundaries) == 1000
    assert all(re.fullmatch(r"[0-9]{20}", boundary) for boundary in boundaries)


# responses

DATA = bytes(range(48, 78))
FILE = Representation(content_type="text/plain", size=30, etag="e", last_modified=1000.9)
VALIDATORS = {"Last-Modified": "Thu, 01 Jan 1970 00:16:40 GMT", "ETag": '"e"'}


def body(delivery: Delivery) -> bytes:
    pieces = delivery.pieces
    return b"".join(DATA[slice(*p)] if isinstance(p, Span) else p for p in pieces)


def test_a_whole_file() -> None:
    told = {**VALIDATORS, "Content-Type": "text/plain", "Accept-Ranges": "bytes"}
    whole = Delivery(status=200, headers={**told, "Content-Length": "30"}, pieces=(Span(0, 30),))
    assert deliver("GET", {}, FILE) == whole
    for headers in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=30-"}):
        head = deliver("HEAD", headers, FILE)
        assert (head.status, head.headers, head.pieces) == (200, whole.headers, ())


def test_one_range() -> None:
    delivery = deliver("GET", {"Range": "bytes=2-4"}, FILE)
    assert (delivery.status, body(delivery)) == (206, b"234")
    assert delivery.headers == {
        **VALIDATORS,
        "Content-Type": "text/plain",
        "Content-Range": "bytes 2-4/30",
        "Content-Length": "3",
    }


def test_several_ranges() -> None:
    delivery = deliver("GET", {"Range": "bytes=28-,3-4"}, FILE)
    content_type = delivery.headers["Content-Type"]
    match = re.fullmatch(r"multipart/byteranges; boundary=([0-9]{20})", content_type)
    assert match is not None
    part = f"\r\n--{match[1]}\r\nContent-Type: text/plain\r\nContent-Range: bytes "
    end = f"\r\n--{match[1]}--\r\n"
    expected = f"{part}28-29/30\r\n\r\nLM{part}3-4/30\r\n\r\n34{end}".encode()
    assert body(delivery) == expected
    length = str(len(expected))
    others = {"Content-Type": content_type, "Content-Length": length}
    assert (delivery.status, delivery.headers) == (206, {**VALIDATORS, **others})
    in_order = in_file_order(delivery.pieces)
    assert [piece for piece in in_order if isinstance(piece, Span)] == [(3, 5), (28, 30)]
    moved = f"{part}3-4/30\r\n\r\n34{part}28-29/30\r\n\r\nLM{end}".encode()
    assert body(Delivery(status=206, pieces=tuple(in_order))) == moved


def test_a_range_outside_of_the_file() -> None:
    delivery = deliver("GET", {"Range": "bytes=30-"}, FILE)
    told = {**VALIDATORS, "Content-Range": "bytes */30"}
    assert (delivery.status, delivery.headers, delivery.pieces) == (416, told, ())


def test_an_empty_file_has_no_body() -> None:
    for headers in ({}, {"Range": "bytes=0-"}):
        delivery = deliver("GET", headers, Representation(content_type="a/b", size=0))
        assert (delivery.status, delivery.pieces) == (200, ())
        assert delivery.headers["Content-Length"] == "0"


def test_a_file_of_unknown_size_has_no_ranges() -> None:
    packed = Representation(content_type="a/b", content_encoding="br", last_modified=0)
    delivery = deliver("GET", {"Range": "bytes=0-1"}, packed)
    assert (delivery.status, delivery.pieces) == (200, (Span(0, None),))
    assert delivery.headers == {
        "Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT",
        "Content-Encoding": "br",
        "Content-Type": "a/b",
        "Accept-Ranges": "none",
    }


@pytest.mark.parametrize(
    ("etag", "sent"),
    [
        (None, '"ff-a"'),
        ("", None),
        ("e", '"e"'),
        ('"e"', '"e"'),
        ("XeX", '"XeX"'),
        ("W/e", 'W/"e"'),
        ('W/"e"', 'W/"e"'),
        ("\u00e9", None),
        ("a\r\nb", None),
    ],
)
def test_etags_are_sent_in_quotes(etag: str | None, sent: str | None) -> None:
    file = Representation(content_type="a/b", size=10, etag=etag, last_modified=255.5)
    for headers in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=10-"}):
        assert deliver("GET", headers, file).headers.get("ETag") == sent


def test_a_file_of_which_nothing_is_known_has_no_validators() -> None:
    for file in (
        Representation(content_type="a/b", size=10),
        Representation(content_type="a/b"),
    ):
        assert not {"ETag", "Last-Modified"} & deliver("GET", {}, file).headers.keys()
