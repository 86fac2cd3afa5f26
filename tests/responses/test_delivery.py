"""file_response: the storage or nginx sends the bytes."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.responses import file_response
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import folder, scratch, server
from tests.helpers.curl import curl
from tests.helpers.utils import started
from tests.responses.files import DATA, body, get, stored
from tests.soak import grounds


def test_redirects_to_the_signature_of_the_backend() -> None:
    with override_storage(media=grounds.s3_options(server(servers.SeaweedS3), folder())):
        file = FileObject("media", "été.html", to_filename="1.html", content=b"<p>").save()
        response = file_response(get("/"), file, redirect=True)
        assert response.status_code == 302
        answer = curl(response["Location"])
        assert (answer.status, answer.body) == (200, b"<p>")
        assert answer["content-type"] == "text/html"
        assert answer["content-disposition"].startswith("attachment; filename=")
        assert "%C3%A9t%C3%A9.html" in answer["content-disposition"]


def test_redirects_to_base_url_or_not_at_all(media: FSSpecStorage) -> None:
    assert body(file_response(get("/"), stored(), redirect=True)) == DATA
    with override_storage(media={"fs": "memory", "base_url": "https://cdn.example/m/"}):
        response = file_response(get("/"), FileObject("media", "a b.bin", size=1), redirect=True)
        assert response["Location"] == "https://cdn.example/m/a%20b.bin"


NAMES = ["a.bin", "größe 1 #%?.html", "folder/c d.txt"]


@pytest.fixture(scope="module")
def front() -> Iterator[tuple[servers.NginxFront, FSSpecStorage]]:
    """An nginx before a site that leaves the sending to it."""
    root = scratch() / folder()
    root.mkdir()
    for directory in (scratch(), root):
        directory.chmod(0o755)
    options: dict[str, Any] = {
        "fs": "file",
        "prefix": str(root),
        "file_permissions_mode": 0o644,
        "directory_permissions_mode": 0o755,
    }
    storage = FSSpecStorage(**options)
    for name in NAMES:
        storage.save(name, ContentFile(DATA))
    configured = {
        "default": {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}
    }
    accel = {"default": "/protected/"}
    with (
        started(servers.Site, configured, accel=accel) as site,
        started(servers.NginxFront, root, site.port) as nginx,
    ):
        yield nginx, storage


@pytest.mark.parametrize("name", NAMES)
def test_nginx_sends_what_it_is_told_to(
    front: tuple[servers.NginxFront, FSSpecStorage], name: str
) -> None:
    nginx, storage = front
    row = urllib.parse.urlencode({"row": json.dumps({"size": len(DATA)})})
    url = f"{nginx.url}/row/{urllib.parse.quote(name)}?{row}"
    answer = curl(url)
    assert (answer.status, answer.body) == (200, DATA)
    assert answer["server"].startswith("nginx")
    assert answer["etag"] == f'"{int(storage.stat(name).last_modified.timestamp()):x}-3e800"'  # type: ignore[union-attr]
    assert answer["x-content-type-options"] == "nosniff"
    assert answer["x-accel-redirect"] == ""
    active = not name.endswith(".txt")
    assert answer["content-disposition"].startswith("attachment" if active else "inline")
    assert answer["content-security-policy"] == ("sandbox; default-src 'none'" if active else "")
    part = curl(url, headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, DATA[10:20])
    assert curl(f"{nginx.url}/protected/a.bin").status == 404


def test_accel_as_an_argument(media: FSSpecStorage) -> None:
    file = stored("a b.png")
    response = file_response(get("/"), file, accel="/inner")
    assert (response["X-Accel-Redirect"], response["Content-Type"]) == (
        "/inner/a%20b.png",
        "image/png",
    )
    with override_settings(FSSPEC_ACCEL_REDIRECT={"media": "/x/"}):
        assert file_response(get("/"), file)["X-Accel-Redirect"] == "/x/a%20b.png"
        assert body(file_response(get("/"), file, accel="")) == DATA
