"""URLs of what a browser could run: the service answers with an attachment."""

from __future__ import annotations

import urllib.parse
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from django_fsspec import FileObject
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import backends_named, folder, server
from tests.helpers.curl import curl

CLOUDS = backends_named("s3 (SeaweedFS)", "gcs (fake-gcs-server)", "azure (azurite)")
#: how each service is told, in the query of its URLs
_PARAMETERS = ("response-content-disposition", "rscd")


def disposition(url: str) -> str | None:
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    return next((query[key] for key in _PARAMETERS if key in query), None)


@pytest.mark.parametrize("backend", CLOUDS, ids=str)
def test_what_can_run_is_an_attachment(backend: Any) -> None:
    with override_storage(default=backend.options(folder())):
        storage: Any = storages["default"]
        for name in ("a.html", "a.svg", "a.xml", "a.js", "a.php", "a.unknown", "noname", "A.HTM"):
            assert disposition(storage.url(name)) == "attachment", name
            assert disposition(storage.sign(name)) == "attachment", name
        for name in ("a.png", "a.mp4", "a.mp3", "a.pdf", "a.txt"):
            assert disposition(storage.url(name)) is None, name
        # what a caller chose holds
        chosen = storage.sign("a.html", content_disposition="inline")
        assert disposition(chosen) == "inline"
        assert disposition(storage.sign("a.png", content_type="text/html")) == "attachment"
        assert disposition(storage.sign("a.html", content_type="text/plain")) is None
        assert disposition(storage.sign("a.html", for_upload=True)) is None
        # a row may know more than the name tells
        for name, kind in (("a.png", "text/html"), ("b", "image/svg+xml")):
            file = FileObject("default", name, content_type=kind, size=1)
            assert disposition(file.url) == disposition(file.sign()) == "attachment"
        picture = FileObject("default", "b.bin", content_type="image/png", size=1)
        assert disposition(picture.sign(content_disposition="inline")) == "inline"


def test_the_service_does_as_it_is_told() -> None:
    (backend,) = backends_named("s3 (SeaweedFS)")
    with override_storage(default=backend.options(folder())):
        storage: Any = storages["default"]
        name = storage.save("a.html", ContentFile(b"<script>alert(1)</script>"))
        assert curl(storage.url(name))["content-disposition"] == "attachment"
        assert curl(storage.url(name))["content-type"] == "text/html"


def test_a_public_bucket_is_not_asked_for_headers() -> None:
    """S3 refuses a request without a signature that asks for them."""
    fs_options = {**server(servers.SeaweedS3).fs_options, "anon": True}
    fs_options.pop("key")
    fs_options.pop("secret")
    with override_storage(default={"fs": "s3", "prefix": "bucket", "fs_options": fs_options}):
        assert disposition(storages["default"].url("a.html")) is None
