"""Direct uploads: the bytes that pass through our own view."""

from __future__ import annotations

import pytest

from tests.helpers.upload_client import Browser
from tests.uploads.parcels import destination, names

pytestmark = pytest.mark.django_db


def test_our_endpoint_looks_at_the_first_bytes(memory: None, browser: Browser) -> None:
    html = b"<!doctype html><script>alert(1)</script>"
    started = browser.start(destination(), "a.png", len(html), "image/png").json()
    assert browser.put(started, html).status == 415
    assert names() == []
