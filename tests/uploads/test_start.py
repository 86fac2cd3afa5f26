"""Direct uploads: what a ticket signs, and which storages can be uploaded to."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages

from django_fsspec import uploads
from django_fsspec.testing import override_storage
from tests.helpers.curl import curl
from tests.helpers.upload_client import Browser
from tests.uploads.parcels import TEXT, destination, names, place

pytestmark = pytest.mark.django_db


def test_headers_are_in_the_signature(seaweed: None, browser: Browser) -> None:
    started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
    assert started["headers"] == {"Content-Type": "text/plain", "If-None-Match": "*"}
    for data, headers in (
        (TEXT, {"Content-Type": "text/html"}),
        (TEXT + b"more", {}),
        (TEXT[:-1], {}),
        (TEXT, {"If-None-Match": '"x"'}),
    ):
        assert browser.put(started, data, **headers).status == 403
    assert names() == []
    assert browser.put(started, TEXT).status == 200


def test_object_options_go_with_it(browser: Browser) -> None:
    options = {
        **place("s3 (SeaweedFS)"),
        "object_options": {"cache_control": "max-age=9", "metadata": {"k": "v"}},
    }
    with override_storage(default=options):
        started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
        assert browser.put(started, TEXT).status == 200
        storage: Any = storages["default"]
        (stat,) = storage.walk()
        answer = curl(storage.sign(stat.name))
        assert (answer["cache-control"], answer["x-amz-meta-k"]) == ("max-age=9", "v")


def test_a_storage_that_is_not_ours(browser: Browser) -> None:
    ours = uploads.Destination(alias="staticfiles")
    with pytest.raises(ImproperlyConfigured, match="takes no direct uploads"):
        browser.start(ours, "a.txt", 1, "text/plain")


def test_what_the_storage_packs_goes_through_us(browser: Browser) -> None:
    with override_storage(default={**place("s3 (SeaweedFS)"), "gzip": True}):
        started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
        assert started["url"].startswith("/files/")
