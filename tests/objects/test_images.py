"""Validators: what is an image, whole, and how large a picture it is."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from django_fsspec import FileObject
from django_fsspec.validators import ImageValidator, measure
from tests.helpers.samples import EXE, HTML, JPEG, NOISE, PDF, SVG, TEXT, ZIP, image, turned
from tests.helpers.served_names import SERVED
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


FORMATS = ["AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"]
NAMES = {
    "AVIF": ["a.avif"],
    "BMP": ["a.bmp"],
    "GIF": ["a.gif", "A.GIF", "a.gif."],
    "ICO": ["a.ico"],
    "JPEG": ["a.jpg", "a.JPEG", "a.jfif"],
    "JPEG2000": ["a.jp2", "a.jpx"],
    "PNG": ["a.png", "a.apng"],
    "PPM": ["a.ppm", "a.pnm"],
    "TIFF": ["a.tif", "a.TIFF", "a.dng"],
    "WEBP": ["a.webp"],
}


@pytest.mark.parametrize("kind", FORMATS)
def test_an_extension_is_one_of_the_format(kind: str) -> None:
    content = image(kind, (16, 16)) + HTML
    for name in ("noname", "photo of Dr. May", *NAMES[kind]):
        assert refusal(ImageValidator(), SimpleUploadedFile(name, content)) is None, name
    others = [name for other in NAMES if other != kind for name in NAMES[other]]
    for name in [*others, *SERVED, "a.html", "a.svg", "a.php", "a.unknown", "a.png.html"]:
        for file in (
            ContentFile(content, name),
            FileObject("memory", name, content=content),
            FileObject("memory", "f/7", content=ContentFile(content, name)),
            FileObject("memory", name, content=(content[i : i + 99] for i in range(0, 9999, 99))),
        ):
            assert refusal(ImageValidator(), file) == "misnamed", name


def test_a_photograph_with_a_preview_is_a_jpeg() -> None:
    more = [Image.new("RGB", (70, 50))]
    content = image("MPO", (70, 50), save_all=True, append_images=more)
    for formats in (None, ["JPEG"]):
        for name in ("a.jpg", "a.mpo", "a"):
            assert refusal(ImageValidator(formats), ContentFile(content, name)) is None
    assert refusal(ImageValidator(["PNG"]), ContentFile(content, "a.jpg")) == "invalid_image"


EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 7 5\n%%EndComments\n"
    b"%%BeginProlog\n%%EndProlog\nshowpage\n%%EOF\n"
)
XPM = b'/* XPM */\nstatic char *a[] = {\n"1 1 1 1",\n"a c #ffffff",\n"a"};\n'
XBM = b"#define a_width 8\n#define a_height 1\nstatic char a_bits[] = {\n0x00};\n"


@pytest.mark.parametrize(
    ("kind", "content"), [("EPS", EPS), ("XPM", XPM), ("XBM", XBM), ("TGA", image("TGA"))]
)
def test_formats(kind: str, content: bytes) -> None:
    """What is no picture of a camera or a browser is accepted only where it is asked for."""
    for name in (f"a.{kind.lower()}", "a.png", "a"):
        assert refusal(ImageValidator(), ContentFile(content, name)) == "invalid_image"
        assert measure(ContentFile(content, name)) is None
    for formats in ([kind], [kind.lower(), "PNG"]):
        assert refusal(ImageValidator(formats), ContentFile(content, "a")) is None
        assert refusal(ImageValidator(formats), ContentFile(content, f"a.{kind}")) is None
        assert refusal(ImageValidator(formats), ContentFile(content, "a.png")) == "misnamed"
    assert refusal(ImageValidator(["PNG"]), ContentFile(image("GIF"), "a")) == "invalid_image"


@pytest.mark.parametrize("kind", FORMATS)
def test_max_pixels(kind: str) -> None:
    file = ContentFile(image(kind, (16, 10)), "a")
    width, height = measure(file) or (0, 0)
    assert refusal(ImageValidator(max_pixels=width * height), file) is None
    assert refusal(ImageValidator(max_pixels=width * height - 1), file) == "max_pixels"


def test_max_pixels_are_those_of_the_header() -> None:
    """Nothing is decoded of a few bytes that claim 25 million pixels."""
    file = ContentFile(png_header(5_000, 5_000), "a.png")
    with pytest.raises(ValidationError, match=r"has 5000 . 5000 pixels; at most 100 are"):
        ImageValidator(max_pixels=100)(file)


@pytest.mark.parametrize("wrong", [{"formats": "PNG"}, {"max_pixels": "5"}, {"max_pixels": True}])
def test_options_are_checked(wrong: Any) -> None:
    with pytest.raises(TypeError):
        ImageValidator(**wrong)
    with pytest.raises(ValueError, match="1 or more"):
        ImageValidator(max_pixels=0)


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
