"""Compressed variants of one file: which files get them, their bytes, wrong options."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from io import BytesIO
from typing import Any

import brotli
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile, File
from django.test import override_settings

from django_fsspec.staticfiles import FSSpecManifestStaticStorage, FSSpecStaticStorage
from django_fsspec.storage.precompression import compressed, variants_of
from tests.helpers.backends import folder

UNPACK = {"gzip": gzip.decompress, "br": brotli.decompress}
TEXT = b"body { color: red }\n" * 200


def packed(content: bytes | str, coding: str) -> bytes:
    file = compressed(ContentFile(content), coding)
    assert file is not None
    with file:
        data: bytes = file.read()
        return data


@pytest.mark.parametrize("coding", UNPACK)
def test_the_same_content_gives_the_same_bytes(coding: str) -> None:
    first = packed(TEXT, coding)
    assert first == packed(TEXT, coding)
    assert UNPACK[coding](first) == TEXT
    if coding == "gzip":
        assert first[4:8] == bytes(4), "a time is in it"


@pytest.mark.parametrize("coding", UNPACK)
@pytest.mark.parametrize("size", [0, 4, 5000])
def test_a_variant_that_is_hardly_smaller_is_left_out(coding: str, size: int) -> None:
    assert compressed(ContentFile(os.urandom(size)), coding) is None


@pytest.mark.parametrize("coding", UNPACK)
def test_text_is_utf_8(coding: str) -> None:
    assert UNPACK[coding](packed("é" * 5000, coding)) == ("é" * 5000).encode()


def test_a_large_variant_goes_to_a_temporary_file() -> None:
    large = os.urandom(1_200_000) + bytes(500_000)
    assert gzip.decompress(packed(large, "gzip")) == large


def test_content_that_can_be_read_once_is_left_for_the_plain_file() -> None:
    class Once(BytesIO):
        def seekable(self) -> bool:
            return False

    assert compressed(File(Once(TEXT)), "gzip") is None


def test_a_reader_that_can_not_go_back_is_stored_whole() -> None:
    class Reader:
        closed = False

        def __init__(self) -> None:
            self._pieces = [TEXT, TEXT]

        def read(self, size: int = -1) -> bytes:
            return self._pieces.pop() if self._pieces else b""

    # Django's File says that it can seek
    reader: Any = Reader()
    content = File(reader, name="site.css")
    storage = FSSpecStaticStorage(fs="memory", prefix=folder(), precompressed=["gzip"])
    assert storage.get_content(storage.save("site.css", content)) == TEXT * 2
    assert storage.listdir("") == ([], ["site.css"])


@pytest.mark.parametrize(
    ("name", "has_them"),
    [
        ("css/site.css", True),
        ("app.js.map", True),
        ("LICENSE", True),
        ("photo.JPG", False),
        ("font.woff2", False),
        ("site.css.gz", False),
        ("site.css.br", False),
    ],
)
def test_files_that_are_compressed_already_have_no_variants(name: str, has_them: bool) -> None:
    expected = {"gzip": f"{name}.gz", "br": f"{name}.br"} if has_them else {}
    assert variants_of(name) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precompressed": "gzip"}, r"precompressed.* must be a list such as \['gzip'\]"),
        ({"precompressed": ["zstd"]}, "precompressed.* has 'zstd'; known are 'gzip' and 'br'"),
        ({"precompressed": ["gzip"], "gzip": True}, "precompressed.* leave one out"),
    ],
)
@pytest.mark.parametrize("static_class", [FSSpecStaticStorage, FSSpecManifestStaticStorage])
def test_wrong_options_are_refused(
    static_class: type[FSSpecStaticStorage], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=message):
        static_class(fs="memory", **options)


@pytest.mark.slow
@pytest.mark.once
def test_a_missing_package_is_named_before_anything_is_stored() -> None:
    code = """
import sys
sys.modules["brotli"] = None
import django
from django.conf import settings
settings.configure(STATIC_URL="/static/", INSTALLED_APPS=["django.contrib.staticfiles"])
django.setup()
from django.core.files.base import ContentFile
from django_fsspec.staticfiles import FSSpecStaticStorage
storage = FSSpecStaticStorage(fs="memory", prefix="p", precompressed=["br"])
try:
    storage.save("a.css", ContentFile(b"a" * 1000))
except Exception as error:
    print(type(error).__name__, error)
try:
    with storage.collecting():
        print("collects")
except Exception as error:
    print(type(error).__name__, error)
print(storage.listdir(""))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    saved, collected, listed = done.stdout.splitlines()
    for line in (saved, collected):
        assert line.startswith("ImproperlyConfigured")
        assert "precompressed" in line
        assert "pip install 'django-fsspec-storage[brotli]'" in line
    assert listed == "([], [])"


@override_settings(STATICFILES_DIRS=[])
def test_no_request_of_a_storage_without_the_option_reads_content_twice() -> None:
    class Counted(ContentFile):  # type: ignore[type-arg]
        reads = 0

        def chunks(self, chunk_size: int | None = None) -> Any:
            self.reads += 1
            return super().chunks(chunk_size)

    content = Counted(TEXT)
    FSSpecManifestStaticStorage(fs="memory", prefix="reads").save("a.css", content)
    assert content.reads <= 1
