"""file_response and signed links: what caches and other sites may do with a download."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.db.models.fields.files import FieldFile
from django.http import Http404
from django.test import Client, override_settings

from django_fsspec import FileObject
from django_fsspec.responses import file_response
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests.library.models import Attachment
from tests.responses.files import get, leave, stored


def assert_private(response: Any) -> None:
    assert response["Cache-Control"].startswith("private")
    assert response["Vary"] == "Cookie"
    assert response["Cross-Origin-Resource-Policy"] == "same-site"


@pytest.mark.parametrize(
    ("headers", "options", "status"),
    [
        ({}, {}, 200),
        ({"Range": "bytes=0-9"}, {}, 206),
        ({"Range": "bytes=9999999-"}, {}, 416),
        ({"If-Match": '"other"'}, {}, 412),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, {}, 304),
        ({}, {"accel": "/inner/"}, 200),
    ],
)
@pytest.mark.parametrize("by_row", [True, False])
def test_a_download_is_for_its_visitor(
    media: FSSpecStorage, by_row: bool, headers: dict[str, str], options: Any, status: int
) -> None:
    file = stored()
    response = file_response(
        get("/", headers=headers), file if by_row else file.name, backend="media", **options
    )
    if response.streaming:
        leave(response)
    assert response.status_code == status
    assert_private(response)
    assert response["Cache-Control"] == "private, no-cache"


def test_a_redirect_is_for_its_visitor() -> None:
    with override_storage(media={"fs": "memory", "base_url": "https://cdn.example/m/"}):
        response = file_response(get("/"), FileObject("media", "a.bin", size=1), redirect=True)
    assert (response.status_code, response["Cache-Control"]) == (302, "private, no-cache")


@pytest.mark.parametrize("headers", [{}, {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}])
def test_a_signed_link_is_cached_no_longer_than_it_lives(
    media: FSSpecStorage, client: Client, headers: dict[str, str]
) -> None:
    media.save("a.txt", ContentFile(b"text"))
    before = time.time()
    response = client.get(media.sign("a.txt", 100), headers=headers)
    assert response.status_code == (304 if headers else 200)
    assert_private(response)
    match = re.fullmatch(r"private, max-age=(\d+)", response["Cache-Control"])
    assert match is not None
    # rounded down by up to a tenth, so that the link stays the same
    assert 80 <= int(match[1]) <= 100 - int(time.time() - before)
    chosen = client.get(media.sign("a.txt", cache_control="private, max-age=5"))
    assert chosen["Cache-Control"] == "private, max-age=5"


def test_a_site_says_who_may_embed_its_files(media: FSSpecStorage, client: Client) -> None:
    file = stored()
    with override_settings(FSSPEC_RESOURCE_POLICY="cross-origin"):
        responses = [file_response(get("/"), file), client.get(file.url)]
    for response in responses:
        leave(response)
        assert response["Cross-Origin-Resource-Policy"] == "cross-origin"


OUTSIDE = ["../a.png", "a/../../b.png", "/etc/passwd", "..", "a/./b.png", "a\r\nX: y.png", "a//b"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_nginx_is_sent_to_no_file_outside_of_the_storage(media: FSSpecStorage, name: str) -> None:
    for alias in ("media", "staticfiles"):
        with pytest.raises(SuspiciousFileOperation):
            file_response(get("/"), name, backend=alias, accel="/inner/")
    field: Any = Attachment._meta.get_field("file")
    for storage in (media, FileSystemStorage("/srv")):
        value = FieldFile(Attachment(), field, name)
        value.storage = storage
        with pytest.raises(SuspiciousFileOperation):
            file_response(get("/"), value, accel="/inner/")
    with pytest.raises((Http404, SuspiciousFileOperation)):
        file_response(get("/"), FileObject("media", name, size=1), accel="/inner/")
    with pytest.raises((Http404, SuspiciousFileOperation)):
        file_response(get("/"), FileObject("staticfiles", name, size=1), accel="/inner/")
