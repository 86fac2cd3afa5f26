"""Content types by name, and those that are safe in a header."""

from __future__ import annotations

import mimetypes
import subprocess
import sys
import tempfile
from collections import Counter

import pytest
from django.core.files.base import ContentFile

from django_fsspec.core.content_types import (
    UNKNOWN_TYPE,
    canonical,
    extension_of,
    guess_type,
    names_of,
    safe_type,
    types_by_name,
)
from django_fsspec.core.extensions import _ALSO, _TABLE, TYPES_BY_EXTENSION, USUAL_EXTENSIONS
from tests.helpers.hostile_types import MALFORMED


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


@pytest.mark.parametrize("kind", [*MALFORMED, None, 5, b"image/png", ["image/png"]])
def test_a_malformed_type_is_unknown(kind: object) -> None:
    assert safe_type(kind) == "application/octet-stream"


@pytest.mark.parametrize(
    ("given", "built"),
    [
        ("image/png", "image/png"),
        (" Image/PNG ", "image/png"),
        ("text/plain;charset=utf-8", "text/plain; charset=utf-8"),
        ('text/plain ; Charset="ISO-8859-1";', "text/plain; charset=ISO-8859-1"),
        ("text/plain; charset=utf-8; format=flowed", "text/plain; charset=utf-8"),
        ('video/webm; codecs="vp8"', "video/webm"),
        ("multipart/form-data; boundary=x", "multipart/form-data"),
        ("application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"),
        ("image/svg+xml", "image/svg+xml"),
        ("text/html", "text/html"),
    ],
)
def test_a_type_is_built_anew(given: str, built: str) -> None:
    assert safe_type(given) == safe_type(built) == built


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_content_says_of_itself_is_built_anew(kind: str) -> None:
    content = ContentFile(b"")
    content.content_type = kind  # type: ignore[attr-defined]
    assert guess_type("may", content) == UNKNOWN_TYPE


def test_an_extension_has_one_type_and_a_type_its_extensions() -> None:
    listed = [extension for kinds in _TABLE.values() for extension in kinds.split()]
    assert [name for name, times in Counter(listed).items() if times > 1] == []
    for content_type, extensions in USUAL_EXTENSIONS.items():
        assert safe_type(content_type) == canonical(content_type) == content_type
        assert len(set(extensions)) == len(extensions)
        for extension in extensions:
            assert extension == extension.lower()
            assert content_type in types_by_name(f"a{extension}")
    for extension in _ALSO.values():
        assert all(f".{one}" in TYPES_BY_EXTENSION for one in extension.split())


def test_the_table_knows_what_python_knows() -> None:
    """But for names that are older than the web, and for one that Apache runs."""
    known = mimetypes.MimeTypes(filenames=()).types_map[1]
    assert {extension for extension in known if extension not in TYPES_BY_EXTENSION} <= {
        *(
            ".bat",
            ".bcpio",
            ".bin",
            ".ief",
            ".me",
            ".mif",
            ".movie",
            ".mpa",
            ".ms",
            ".oda",
            ".pl",
            ".pwz",
        ),
        *(".roff", ".shar", ".src", ".sv4cpio", ".sv4crc", ".t", ".tr"),
    }


def test_the_machine_does_not_count() -> None:
    code = (
        "import mimetypes; mimetypes.knownfiles[:] = [__import__('sys').argv[1]]; "
        "from django_fsspec.core.content_types import guess_type; "
        "print(guess_type('a.phtml'), guess_type('a.png'), guess_type('a.jsp'))"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".types") as types:
        types.write("image/png phtml jsp\ntext/html png\n")
        types.flush()
        asked = [sys.executable, "-c", code, types.name]
        told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["application/x-httpd-php", "image/png", UNKNOWN_TYPE]


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.PNG", ".png"),
        ("a.tar.gz", ".gz"),
        ("folder.d/a", ""),
        (".htaccess", ".htaccess"),
        ("a.php. .", ".php"),
        (".user.ini", ".user.ini"),
        ("\n.User.ini", ".user.ini"),
        ("a.user.ini", ".ini"),
        ("photo of Dr. May", ""),
        ("version 1.2", ""),
        ("a.bin", ""),
        ("a.p\nhp", ".p\nhp"),
    ],
)
def test_extensions(name: str, extension: str) -> None:
    assert extension_of(name) == extension
