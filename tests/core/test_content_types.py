"""Content types by name, and those that are safe in a header."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile

from django_fsspec.core.content_types import (
    UNKNOWN_TYPE,
    canonical,
    guess_type,
    names_of,
    safe_type,
)


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("may.txt", "text/plain"),
        ("may.tar.gz", "application/gzip"),
        ("data:text/html,may.png", "image/png"),
        ("may", UNKNOWN_TYPE),
    ],
)
def test_the_extension_gives_the_type(name: str, content_type: str) -> None:
    assert guess_type(name) == content_type


def test_content_gives_the_type_where_the_extension_gives_none() -> None:
    content = ContentFile(b"")
    content.content_type = "image/webp"  # type: ignore[attr-defined]
    assert guess_type("may", content) == "image/webp"
    assert guess_type("may.png", content) == "image/png"


def test_a_type_with_several_names_has_one_canonical_name() -> None:
    assert canonical("image/JPG; q=1") == "image/jpeg"
    assert {"image/jpeg", "image/jpg", "image/pjpeg"} <= names_of("image/jpg")


@pytest.mark.parametrize(
    "kind", ["text/html\r\nX: y", "nonsense", "a/b/c", "image/png\x00", "", "image/ pn g"]
)
def test_a_malformed_type_is_unknown(kind: str) -> None:
    assert safe_type(kind) == "application/octet-stream"
