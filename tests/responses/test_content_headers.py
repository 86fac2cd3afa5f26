"""file_response: names, types, and what a browser may do with them."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from django_fsspec import FileObject
from django_fsspec.core.content_types import is_active
from django_fsspec.responses import file_response
from django_fsspec.responses.content_headers import (
    MAX_NAME,
    content_type_of,
    disposition,
    safe_name,
)
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import folder, server
from tests.responses.files import body, get, leave, stored
from tests.soak import grounds


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain.txt", 'filename="plain.txt"'),
        ("größe.txt", "filename=\"groe.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"),
        ('a"b\\c.txt', 'filename="a_b_c.txt"'),
        ("100%.txt", "filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("../../etc/passwd", 'filename="_.._etc_passwd"'),
        ("a\r\nSet-Cookie: x=y.txt", 'filename="aSet-Cookie_ x=y.txt"'),
        ("invoice\u202egpj.exe", 'filename="invoicegpj.exe"'),
        ("a\u2066b\u2069\u200f.txt", 'filename="ab.txt"'),
        ("a~b c.txt", 'filename="a~b c.txt"'),
        ("X.X", 'filename="X.X"'),
        ("a\u2028b\u2029.txt", 'filename="ab.txt"'),
        ("\ud800lone.txt", 'filename="lone.txt"'),
        (".htaccess", 'filename="htaccess"'),
        ("...", 'filename="download"'),
        ("", 'filename="download"'),
        ("日本.pdf", "filename=\"__.pdf\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.pdf"),
    ],
)
def test_dispositions(name: str, shown: str) -> None:
    shown = shown.replace("groe", "gro_e")
    assert disposition(name, attachment=True) == f"attachment; {shown}"
    assert disposition(name, attachment=False) == f"inline; {shown}"


def test_long_names_keep_their_ending() -> None:
    assert safe_name("x" * 300 + ".pdf") == "x" * (MAX_NAME - 4) + ".pdf"
    assert safe_name("X" * 300 + ".pdf") == "X" * (MAX_NAME - 4) + ".pdf"
    assert safe_name("ü" * 300) == "ü" * MAX_NAME
    assert safe_name("x." + "y" * 300) == "x." + "y" * (MAX_NAME - 2)
    assert safe_name("a." + "x" * 300 + ".pdf") == "a." + "x" * (MAX_NAME - 6) + ".pdf"
    assert safe_name("x" * 300 + "." + "y" * 20) == "x" * (MAX_NAME - 21) + "." + "y" * 20
    assert safe_name("x" * 300 + "." + "y" * 21) == "x" * MAX_NAME
    # no dots and spaces where it was cut; unchanged where it fits
    assert safe_name("x" * 140 + " ." * 80 + ".pdf") == "x" * 140 + ".pdf"
    fits = "x" * (MAX_NAME - 5) + " .pdf"
    assert safe_name(fits) == fits


@pytest.mark.parametrize(
    ("kind", "active"),
    [
        ("image/png", False),
        ("IMAGE/PNG", False),
        ("image/svg+xml", True),
        ("image/svg", True),
        ("image/x+xml", True),
        ("video/mp4; codecs=avc1", False),
        ("audio/mpeg", False),
        ("text/plain; charset=utf-8", False),
        ("application/pdf", False),
        ("text/html", True),
        ("text/xml", True),
        ("application/xhtml+xml", True),
        ("text/javascript", True),
        ("application/octet-stream", True),
        ("text/csv", True),
    ],
)
def test_what_a_browser_could_execute(kind: str, active: bool, media: FSSpecStorage) -> None:
    assert is_active(kind) is active
    response = file_response(get("/"), stored(content_type=kind))
    leave(response)
    start = response["Content-Disposition"].partition(";")[0]
    assert start == ("attachment" if active else "inline")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response.get("Content-Security-Policy") == (
        "sandbox; default-src 'none'" if active else None
    )


@pytest.mark.parametrize(
    ("name", "given", "sent"),
    [
        ("a.png", None, "image/png"),
        ("a.png", "", "image/png"),
        ("a.png", "application/octet-stream", "image/png"),
        ("a.png", "text/plain", "text/plain"),
        ("a", None, "application/octet-stream"),
    ],
)
def test_a_type_that_says_nothing_is_guessed(name: str, given: str | None, sent: str) -> None:
    assert content_type_of(name, given) == sent


def test_arguments(media: FSSpecStorage) -> None:
    file = stored("a.png", content_type="image/png")
    response = file_response(
        get("/"), file, as_attachment=True, filename="b.png", content_type="image/gif"
    )
    leave(response)
    assert response["Content-Disposition"] == 'attachment; filename="b.png"'
    assert response["Content-Type"] == "image/gif"
    refused = file_response(RequestFactory().post("/"), file)
    assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD")


def test_the_name_is_the_original_one(media: FSSpecStorage) -> None:
    file = FileObject("media", "été.png", to_filename="x/1234.png", content=b"x").save()
    response = file_response(get("/"), file)
    leave(response)
    assert "filename*=UTF-8''%C3%A9t%C3%A9.png" in response["Content-Disposition"]


def test_what_the_storage_packs_is_sent_whole() -> None:
    options = grounds.s3_options(server(servers.SeaweedS3), folder())
    text = b"body { color: red }\n" * 500
    with override_storage(media={**options, "gzip": True}):
        file = stored("a.css", text)
        packed = stored("a.bin", text)
        assert (file.size or 0) < len(text)
        ranged = get("/", headers={"Range": "bytes=10-19"})
        for known in (file, file.name):
            response = file_response(ranged, known, backend="media")
            assert (response.status_code, response["Accept-Ranges"]) == (200, "none")
            assert not response.has_header("Content-Encoding")
            assert body(response) == text
        assert body(file_response(ranged, packed)) == text[10:20]
