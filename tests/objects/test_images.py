"""Validators: what is an image, whole, and how large a picture it is."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from django_fsspec import FileObject
from django_fsspec.validators import ImageValidator, measure
from tests.helpers.samples import EXE, HTML, JPEG, NOISE, PDF, SVG, TEXT, ZIP, image, turned
from tests.helpers.validators import refusal


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rest = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rest


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "ICO"])
def test_images(kind: str) -> None:
    content = image(kind, (16, 16) if kind == "ICO" else (70, 50))
    size = (16, 16) if kind == "ICO" else (70, 50)
    for file in (
        SimpleUploadedFile("a", content),
        FileObject("memory", "a", content=content),
        FileObject("memory", "a", content=(content[i : i + 99] for i in range(0, 99999, 99))),
    ):
        assert measure(file) == size
        ImageValidator()(file)
        assert measure(file) == size


@pytest.mark.parametrize("content", [b"", TEXT, PDF, SVG, HTML, ZIP, EXE, NOISE, b"\xff\xd8\xff"])
def test_what_is_no_image(content: bytes) -> None:
    assert refusal(ImageValidator(), SimpleUploadedFile("a.png", content)) == "invalid_image"
    assert refusal(ImageValidator(), FileObject("memory", "a", content=content)) == "invalid_image"
    assert measure(FileObject("memory", "a.png", content=content)) is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_images_that_are_cut_off(kind: str) -> None:
    whole = image(kind, (300, 200))
    for length in (len(whole) - 20, len(whole) // 2, 30):
        cut = SimpleUploadedFile("a", whole[:length])
        assert refusal(ImageValidator(), cut) == "invalid_image", length


def test_a_thumbnail_is_not_the_end_of_a_photograph() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a \xff\xd9 b"
    whole = image("JPEG", (300, 200), exif=exif.tobytes() + JPEG)
    assert whole.count(b"\xff\xd9") == 2
    assert refusal(ImageValidator(), ContentFile(whole, "a")) is None
    assert refusal(ImageValidator(), ContentFile(whole + b"trailer", "a")) is None
    assert refusal(ImageValidator(), ContentFile(whole[:-9], "a")) == "invalid_image"
    scan = whole.rindex(b"\xff\xda")
    # any number of FF may stand before a marker, and Pillow passes over others
    for padding in (b"\xff\xff", b"\xff\0"):
        padded = whole[:scan] + padding + whole[scan:]
        assert refusal(ImageValidator(), ContentFile(padded, "a")) is None
    padded = whole[:scan] + b"\xff\xff" + whole[scan:-9]
    assert refusal(ImageValidator(), ContentFile(padded, "a")) == "invalid_image"


def test_a_decompression_bomb() -> None:
    assert measure(ContentFile(png_header(300, 200), "a")) == (300, 200)
    bomb = png_header(50_000, 50_000)
    assert len(bomb) < 100
    assert refusal(ImageValidator(), ContentFile(bomb, "a")) == "invalid_image"
    assert measure(ContentFile(bomb, "a")) is None


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_picture_is_as_wide_as_it_is_shown(kind: str, orientation: int) -> None:
    content = turned(kind, orientation)
    # no browser turns a WebP: see tests/browser/test_images.py
    size = (50, 70) if orientation in (5, 6, 7, 8) and kind != "WEBP" else (70, 50)
    for file in (
        SimpleUploadedFile("a", content),
        FileObject("memory", "a", content=content),
        FileObject("memory", "a", content=(content[i : i + 99] for i in range(0, 99999, 99))),
    ):
        assert measure(file) == size


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff", b"no EXIF", b"\xff" * 99]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_that_is_broken_turns_nothing(kind: str, exif: bytes) -> None:
    content = image(kind, (70, 50), exif=exif)
    assert measure(ContentFile(content, "a")) == (70, 50)


def test_measuring_reads_the_header_only() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            piece = super().read(size)
            self.taken += len(piece)
            return piece

    for kind in ("PNG", "JPEG"):
        whole = turned(kind, 6, (900, 800))
        counted = Counted(whole)
        assert measure(FileObject("memory", "a", content=counted)) == (800, 900)
        assert counted.taken < len(whole) / 4
