"""Times, sizes and ETags as services tell them."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from django_fsspec.core.stat import Stat, total_size, unquoted, utc

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        NEW_YEAR,
        NEW_YEAR.replace(tzinfo=None),
        NEW_YEAR.timestamp(),
        (2026, 1, 1, 0, 0, 0),
        "20260101000000",
        "20260101000000.123",
        "2026-01-01T00:00:00Z",
        "2026-01-01 01:00:00+01:00",
        "Thu, 01 Jan 2026 00:00:00 GMT",
        "Thursday, 01-Jan-26 00:00:00 GMT",
        "Thu, 01 Jan 2026 01:00:00 +0100",
    ],
    ids=repr,
)
def test_a_time(value: Any) -> None:
    assert utc(value) == NEW_YEAR


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "soon",
        "20261399000000",
        "2026-02-30T00:00:00Z",
        "Thu, 30 Feb 2026 00:00:00 GMT",
        "Thu, 01 Jab 2026 00:00:00 GMT",
        "Thu, 01 Jan 2026 00:00:61 GMT",
        (1980, 0, 0, 0, 0, 0),
        (2026, 1),
        1e30,
        -1e30,
        float("nan"),
    ],
    ids=repr,
)
def test_what_is_no_time(value: Any) -> None:
    assert utc(value) is None


def test_dates_of_http() -> None:
    for month in range(1, 13):
        time = datetime(2024, month, 28, 23, 59, 58, tzinfo=UTC)
        assert utc(format_datetime(time, usegmt=True)) == time


@pytest.mark.parametrize(
    ("content_range", "content_length", "size"),
    [
        (None, "7", 7),
        (None, None, None),
        ("bytes 0-1/7", "2", 7),
        ("bytes 0-1/*", "2", None),
        ("bytes 0-1", "2", None),
        ("", "2", None),
    ],
)
def test_the_size_of_a_whole_file(
    content_range: str | None, content_length: str | None, size: int | None
) -> None:
    assert total_size(content_range, content_length) == size


@pytest.mark.parametrize(
    ("etag", "told"), [('"a"', "a"), ("a", "a"), ('""', None), ("", None), (None, None)]
)
def test_an_etag_has_no_quotes(etag: str | None, told: str | None) -> None:
    assert unquoted(etag) == told


def test_pickles_of_now_and_of_a_release_with_fewer_attributes() -> None:
    stat = Stat(name="a.txt", size=3, last_modified=NEW_YEAR, etag="e", headers={"X-A": "1"})
    again = pickle.loads(pickle.dumps(stat))
    assert (again, again.headers) == (stat, {"X-A": "1"})
    older = Stat.__new__(Stat)
    older.__setstate__(["a.txt", 3, False, *[None] * 8, {"key": "value"}])
    assert older == Stat(name="a.txt", size=3, metadata={"key": "value"})
    assert (older.is_link, older.save_token, older.headers) == (False, None, None)
