"""Direct uploads: headers that a client sends unasked, and that a service stores."""

from __future__ import annotations

import gzip
import json
import urllib.parse
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages

from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import folder, server
from tests.helpers.curl import curl
from tests.helpers.upload_client import Browser
from tests.uploads.parcels import TEXT, ParcelForm, destination, names, place

pytestmark = pytest.mark.django_db

#: as a client sends them to the service, with what a browser would do then
UNASKED = {
    "Content-Encoding": "gzip",
    "Content-Disposition": 'inline; filename="invoice.exe"',
    "Cache-Control": "public, max-age=31536000",
    "Content-Language": "tlh",
}
S3 = {"s3 (SeaweedFS)": list(UNASKED.items())}
AZURE = {
    "azure (azurite)": [
        *((f"x-ms-blob-{name.lower()}", value) for name, value in UNASKED.items()),
        ("x-ms-blob-content-type", "text/html"),
        ("x-ms-meta-hdi_evil", "true"),
    ]
}


@pytest.mark.parametrize(
    ("name", "header"),
    [(name, header) for name, sent in {**S3, **AZURE}.items() for header in sent],
)
def test_what_was_not_announced_is_refused(
    name: str, header: tuple[str, str], browser: Browser
) -> None:
    with override_storage(default=place(name)):
        data = gzip.compress(TEXT) if header[1] == "gzip" else b"text"
        started = browser.start(destination("files"), "a.txt", len(data), "text/plain").json()
        if browser.put(started, data, **dict([header])).status < 300:
            stored = len(names())
            refused = browser.ask("finish_upload", upload=started["upload"])
            assert (stored, refused.status_code) == (1, 415)
        assert names() == []


def test_what_browsers_send_of_themselves(browser: Browser) -> None:
    """With the cache turned off in its developer tools, a browser sends this."""
    with override_storage(default=place("s3 (SeaweedFS)")):
        started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
        assert browser.put(started, TEXT, **{"Cache-Control": "no-cache"}).status == 200
        finished = browser.ask("finish_upload", upload=started["upload"])
        assert finished.status_code == 200, finished.content


def test_of_gcs_too(browser: Browser) -> None:
    """The fake stores no headers of a PUT; its API sets them."""
    options = place("gcs (fake-gcs-server)")
    with override_storage(default=options):
        for field, value in (
            ("cacheControl", "public, max-age=31536000"),
            ("contentEncoding", "gzip"),
            ("contentDisposition", "inline"),
            ("contentLanguage", "tlh"),
            ("contentType", "text/html"),
        ):
            started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
            assert browser.put(started, TEXT).status == 200
            bucket, _, prefix = options["prefix"].partition("/")
            key = urllib.parse.quote(f"{prefix}/{names()[0]}", safe="")
            url = f"{server(servers.FakeGCS).url}/storage/v1/b/{bucket}/o/{key}"
            body = json.dumps({field: value}).encode()
            changed = curl(url, "PATCH", {"Content-Type": "application/json"}, body=body)
            if json.loads(changed.body).get(field) != value:
                assert field == "contentLanguage"  # the fake keeps none
                storages["default"].delete(names()[0])
                continue
            refused = browser.ask("finish_upload", upload=started["upload"])
            assert (refused.status_code, names()) == (415, []), field


@pytest.mark.parametrize(
    "name", ["s3 (SeaweedFS)", "gcs (fake-gcs-server)", "azure (azurite)", "dir over s3"]
)
def test_what_the_site_asks_for_is_as_announced(name: str, browser: Browser) -> None:
    chosen = {"cache_control": "max-age=9", "metadata": {"team": "web"}}
    with override_storage(default={**place(name), "object_options": chosen}):
        receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
        assert browser.submitted(ParcelForm, "file", receipt).errors == {}


def test_a_signature_that_covers_no_headers_is_refused() -> None:
    for version in ("s3", "s3-query", "v2"):
        options: Any = {
            "fs": "s3",
            "prefix": f"bucket/{folder()}",
            "fs_options": {"config_kwargs": {"signature_version": version}},
        }
        with pytest.raises(ImproperlyConfigured, match=r"signature_version.*s3v4"):
            FSSpecStorage(**options).listdir("")
    options["fs_options"]["config_kwargs"]["signature_version"] = "s3v4"
    assert (
        FSSpecStorage(**options).flows.adapter.tune(options["fs_options"], timeout=1, retries=1)[
            "config_kwargs"
        ]["signature_version"]
        == "s3v4"
    )
