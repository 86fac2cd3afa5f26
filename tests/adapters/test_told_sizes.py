"""Sizes in headers that are none: a server may send anything there."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from multidict import CIMultiDict

from django_fsspec.adapters.azure import client as azure
from django_fsspec.adapters.gcs import client as gcs
from django_fsspec.adapters.http import HTTPAdapter
from django_fsspec.adapters.s3 import client as s3
from django_fsspec.adapters.webdav.reader import WebDAVReader
from django_fsspec.core.stat import Stat

pytestmark = pytest.mark.once


def by_webdav(headers: dict[str, str]) -> Stat:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    reader: Any = SimpleNamespace(_path="file")
    return WebDAVReader._stat(reader, httpx.Response(200, headers=raw))


def by_http(headers: dict[str, str]) -> Stat:
    response = SimpleNamespace(headers=CIMultiDict(headers), status=200)
    return HTTPAdapter.stat_from(None, "file", response)  # type: ignore[arg-type]


FAMILIES: dict[str, Callable[[dict[str, str]], Stat]] = {
    "S3": lambda headers: s3.stat_from_headers("file", {k.lower(): headers[k] for k in headers}),
    "GCS": lambda headers: gcs.stat_from_headers("file", CIMultiDict(headers)),
    "Azure": lambda headers: azure.stat_from_headers("file", CIMultiDict(headers)),
    "WebDAV": by_webdav,
    "HTTP": by_http,
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "told", ["²", "٣", "*", "-1", "+1", "1_0", "x", "9" * 5000], ids=lambda told: ascii(told)[:9]
)
def test_what_is_no_size(family: str, told: str) -> None:
    stat = FAMILIES[family]
    assert stat({"Content-Length": told}).size is None
    assert stat({"Content-Range": f"bytes 0-4/{told}", "Content-Length": "5"}).size is None


@pytest.mark.parametrize("family", FAMILIES)
def test_a_size(family: str) -> None:
    stat = FAMILIES[family]
    assert stat({"Content-Length": "5"}).size == 5
    assert stat({"Content-Range": "bytes 0-4/9000000000000000000"}).size == 9 * 10**18
    assert stat({}).size is None
