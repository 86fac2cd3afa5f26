"""Validators: what the bytes are counts, and nobody who reads afterwards notices the look."""

from __future__ import annotations

import asyncio
import gzip
import io
import mimetypes
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import wave
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.db import models
from django.db.migrations.writer import MigrationWriter
from django.test.utils import isolate_apps
from django.utils.datastructures import MultiValueDict
from django.utils.translation import override
from PIL import Image

from django_fsspec import FileObject, pending, validators
from django_fsspec.sniffing import HEAD, promised_type
from django_fsspec.testing import override_storage
from django_fsspec.validators import (
    ContentTypeValidator,
    ImageValidator,
    MaxSizeValidator,
    content_type_of,
    measure,
    sniff,
)

# samples


def image(kind: str, size: tuple[int, int] = (7, 5), **options: Any) -> bytes:
    made = io.BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(made, kind, **options)
    return made.getvalue()


def zipped(*names: str, first: str | None = None) -> bytes:
    """A ZIP with these entries; `first` is what an entry "mimetype" says, as in OpenDocument."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        if first:
            archive.writestr("mimetype", first, zipfile.ZIP_STORED)
        for name in names:
            archive.writestr(name, "<x/>")
    return made.getvalue()


def office(document: str) -> bytes:
    return zipped("[Content_Types].xml", "_rels/.rels", document)


def boxed(brand: bytes, *compatible: bytes) -> bytes:
    """The start of an ISO media file."""
    body = b"ftyp" + brand + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + b"\0\0\0\x08free" + bytes(64)


def matroska(kind: bytes) -> bytes:
    return b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82" + bytes([0x80 | len(kind)]) + kind


def sound() -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as opened:
        opened.setparams((1, 2, 8000, 0, "NONE", ""))
        opened.writeframes(bytes(200))
    return made.getvalue()


def tarred() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return made.getvalue()


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rest = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rest


PNG, JPEG, GIF, WEBP, AVIF = map(image, ("PNG", "JPEG", "GIF", "WEBP", "AVIF"))
APNG = image("PNG", save_all=True, append_images=[Image.new("RGB", (7, 5))])
HEIC = boxed(b"heic", b"mif1", b"heic")
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\ntrailer<<>>\n%%EOF"
ZIP, DOCX, XLSX = zipped("a.txt"), office("word/document.xml"), office("xl/workbook.xml")
ODT = zipped("content.xml", first="application/vnd.oasis.opendocument.text")
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
MP4, M4A, MOV = boxed(b"isom", b"mp41"), boxed(b"M4A ", b"mp42"), boxed(b"qt  ")
WEBM, MKV = matroska(b"webm"), matroska(b"matroska")
FRAMES = (b"\xff\xfb\x90\x64" + bytes(413)) * 3
ID3 = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + FRAMES
OGG = b"OggS\0\x02" + bytes(20) + b"\x01\x1e\x01vorbis" + bytes(40)
FLAC, GZIP, TAR, WAV = (
    b"fLaC\0\0\0\x22" + bytes(34),
    gzip.compress(b"x", mtime=0),
    tarred(),
    sound(),
)
EXE = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff" + bytes(46) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0"
ELF = b"\x7fELF\x02\x01\x01" + bytes(60)
HTML = b"\n<!DOCTYPE html><html><script>alert(1)</script>"
XML, SVG = b'<?xml version="1.0"?><a/>', b'<svg xmlns="http://www.w3.org/2000/svg"/>'
JSON, CSV, TEXT = b'{"a": [1]}', b"a,b\n1,2\n", "Grüße\n".encode()
UTF16 = TEXT.decode().encode("utf-16")
NOISE = bytes(range(1, 256)) * 4
DOC = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ANY = ["*/*"]

LIES, OTHER = "misnamed", "content_type"
#: bytes, name, what is allowed, and why they are refused
TABLE: list[tuple[bytes, str, list[str], str | None]] = [
    # images
    (PNG, "a.png", ["image/*"], None),
    (PNG, "A.PNG", ["image/png"], None),
    (PNG, "noname", ["image/png"], None),
    (PNG, "a.unknown", ["image/*"], None),
    (PNG, "a.pdf", ["image/*", "application/pdf"], LIES),
    (PNG, "a.jpg", ["image/*"], LIES),
    (PNG, "a.png.", ["image/*"], None),
    (PNG, "a.jpg. ", ["image/*"], LIES),
    (PNG, ".jpg", ["image/*"], LIES),
    (PNG, "data:image/png,a.jpg", ["image/*"], LIES),
    (PNG, "a.png", ["image/jpeg", "text/*"], OTHER),
    (APNG, "a.png", ["image/png"], None),
    (APNG, "a.apng", ["image/apng"], None),
    (JPEG, "a.jpeg", ["image/jpg"], None),
    (JPEG, "a.png", ["image/*"], LIES),
    (GIF, "a.gif", ["image/*"], None),
    (WEBP, "a.webp", ["image/webp"], None),
    (AVIF, "a.avif", ["image/avif"], None),
    (boxed(b"avis", b"msf1"), "a.avif", ["image/avif"], None),
    (AVIF, "a.heic", ["image/*"], LIES),
    (HEIC, "a.heic", ["image/*"], None),
    (HEIC, "a.heif", ["image/heif"], None),
    (HEIC, "a.mp4", ["image/*", "video/*"], LIES),
    (image("ICO"), "a.ico", ["image/x-icon"], None),
    (image("TIFF"), "a.tif", ["image/*"], None),
    (image("BMP"), "a.bmp", ["image/x-ms-bmp"], None),
    (b"", "a.png", ["image/*"], LIES),
    (NOISE, "a.png", ["image/*"], LIES),
    # documents
    (PDF, "a.pdf", ["application/pdf"], None),
    (b"\n" + PDF, "a.pdf", ["application/pdf"], None),
    (PDF, "a.txt", ANY, LIES),
    (PDF, "a.ai", ANY, None),
    (DOCX, "a.docx", [DOC], None),
    (DOCX, "a.docx", ["application/vnd.openxmlformats-officedocument.*"], None),
    (DOCX, "a.zip", ["application/zip"], None),
    (DOCX, "a.xlsx", ANY, LIES),
    (DOCX, "noname", [DOC], None),
    (XLSX, "a.xlsx", [SHEET], None),
    (XLSX, "a.xlsx", [DOC], OTHER),
    (ODT, "a.odt", ["application/vnd.oasis.opendocument.text"], None),
    (ODT, "a.docx", ANY, LIES),
    (ZIP, "a.docx", [DOC], None),
    (ZIP, "a.zip", [DOC], OTHER),
    (ZIP, "a.kmz", ANY, None),
    (ZIP, "a.pdf", ANY, LIES),
    (OLE, "a.doc", ["application/msword"], None),
    (OLE, "with-password.docx", [DOC], None),
    (OLE, "a.pdf", ANY, LIES),
    (HTML, "a.xls", ANY, LIES),
    (b"{\\rtf1\\ansi x}", "a.rtf", ["application/rtf"], None),
    # sound and pictures that move
    (MP4, "a.mp4", ["video/*"], None),
    (boxed(b"dash", b"iso6"), "a.mp4", ["video/mp4"], None),
    (MP4, "a.m4a", ["audio/*"], None),
    (M4A, "a.m4a", ["audio/mp4"], None),
    (MOV, "a.mov", ["video/quicktime"], None),
    (b"\0\0\0\x08wide\0\0\0\0mdat" + bytes(99), "a.mov", ["video/*"], None),
    (MP4, "a.mp3", ["audio/*", "video/*"], LIES),
    (WEBM, "a.webm", ["video/webm"], None),
    (MKV, "a.mkv", ["video/*"], None),
    (WEBM, "a.mp4", ["video/*"], LIES),
    (ID3, "a.mp3", ["audio/mpeg"], None),
    (FRAMES, "a.mp3", ["audio/mp3"], None),
    (b"\xff\xfa" + FRAMES[2:], "a.mp3", ["audio/*"], None),
    (FRAMES, "a.wav", ["audio/*"], LIES),
    (WAV, "a.wav", ["audio/x-wav"], None),
    (WAV, "a.wav", ["audio/wav"], None),
    (OGG, "a.ogg", ["audio/*"], None),
    (OGG, "a.ogv", ["video/ogg"], None),
    (FLAC, "a.flac", ["audio/flac"], None),
    (b"\xff\xf0\x50\x80" + bytes(60), "a.aac", ["audio/aac"], None),
    # archives, fonts, what has no signature
    (GZIP, "a.tar.gz", ["application/gzip"], None),
    (GZIP, "a.tgz", ["application/gzip"], None),
    (TAR, "a.tar", ["application/x-tar"], None),
    (TAR, "a.tar.gz", ANY, LIES),
    (b"\0\1\0\0\0" + bytes(60), "a.ttf", ["font/*"], None),
    (bytes(8) + b"\2\0\1" + bytes(23) + b"LP", "a.eot", ["application/vnd.ms-fontobject"], None),
    (b"wOF2\0\1\0\0" + bytes(60), "a.woff2", ["font/woff2"], None),
    (NOISE, "a.bin", ["application/octet-stream"], None),
    (NOISE, "noname", ["image/*"], OTHER),
    (NOISE, "a.torrent", ["application/x-bittorrent"], None),
    (EXE, "a.torrent", ANY, LIES),
    (b"zstd frames \0", "a.br", ["application/x-brotli"], None),
    (b"\x50\x2a\x4d\x18\0\0\0\0" * 1024, "a.zst", ANY, LIES),
    # programs
    (EXE, "a.exe", ["application/x-msdownload"], None),
    (EXE, "a.jpg", ["image/*", "application/*"], LIES),
    (EXE, "a.csv", ANY, LIES),
    (EXE, "a.docx", ANY, LIES),
    (EXE, "noname", ["image/*"], OTHER),
    (ELF, "a.png", ANY, LIES),
    (b"#!/bin/sh\nrm x\n", "a.jpg", ANY, LIES),
    # text
    (TEXT, "a.txt", ["text/plain"], None),
    (TEXT.decode().encode("latin-1"), "a.txt", ["text/*"], None),
    (UTF16, "a.txt", ["text/plain"], None),
    (TEXT.decode().encode("utf-16-le"), "a.txt", ["text/plain"], LIES),
    (b"a\0b", "a.txt", ["text/plain"], LIES),
    (NOISE, "a.csv", ["text/csv"], LIES),
    (b"", "a.csv", ["text/csv"], None),
    (b"", "noname", ["text/*"], OTHER),
    (("x" * (HEAD - 1) + "é").encode(), "a.txt", ["text/plain"], None),
    (b"\xef\xbb\xbf" + CSV, "a.csv", ["text/csv"], None),
    (CSV, "a.csv", ["application/csv"], None),
    (JSON, "a.json", ["application/json"], None),
    (JSON, "a.geojson", ANY, None),
    (b"a: 1\n", "a.yaml", ["application/yaml"], None),
    (b"let a", "a.js", ["application/javascript"], None),
    (b"Z=1", "noname", ["text/plain"], None),
    (b"BM is short for benchmark", "a.txt", ["text/plain"], None),
    (b"MZ, GIF and BZh are not", "noname", ["text/plain"], None),
    (b"%!TEX root = a.tex\n", "a.txt", ["text/plain"], None),
    (b"1\n00:00:01,000 --> 00:00:02,000\nHi\n", "a.srt", ANY, None),
    (TEXT, "a.png", ANY, LIES),
    (TEXT, "a.pdf", ANY, LIES),
    # HTML, XML, SVG
    (HTML, "a.html", ["text/html"], None),
    (TEXT, "a.html", ["text/html"], None),
    (HTML, "a.png", ["image/*", "text/*"], LIES),
    (HTML, "a.txt", ["text/*"], LIES),
    (HTML, "a.csv", ["text/*"], LIES),
    (HTML, "a.svg", ["image/*", "text/*"], LIES),
    (HTML, "a.xml", ANY, LIES),
    (HTML, "a.json", ANY, LIES),
    (HTML, "a.srt", ANY, LIES),
    (HTML, "noname", ["text/plain"], OTHER),
    (HTML.decode().encode("utf-16"), "a.txt", ["text/*"], LIES),
    (b"\xef\xbb\xbf \t<ScRiPt >alert(1)", "a.txt", ["text/*"], LIES),
    (b"<iframe src=x>", "a.csv", ["text/*"], LIES),
    (b"<BODY onload=x>", "a.txt", ["text/*"], LIES),
    (b"<!-- x -->", "a.txt", ["text/*"], LIES),
    (b"<br>", "a.css", ["text/*"], LIES),
    (b"<3 is a heart", "a.txt", ["text/*"], None),
    (b"<bread> is no tag", "a.txt", ["text/*"], None),
    (b"<h1>Title</h1>\n", "README.md", ["text/markdown"], None),
    (b"<?xml version='1.0'?><html/>", "a.txt", ["text/*"], LIES),
    (b"<?xml version='1.0'?><html/>", "a.xml", ["application/xml"], None),
    (b"<table> <a/></table>", "a.xml", ["application/xml"], None),
    (XML, "a.xml", ["text/xml"], None),
    (XML, "a.xml", ["text/*"], None),
    (XML, "noname", ["application/xml"], None),
    (XML, "a.svg", ["image/*", "application/xml"], LIES),
    (SVG, "a.svg", ["image/svg+xml"], None),
    (SVG, "noname", ["image/*"], None),
    (SVG, "a.png", ["image/*"], LIES),
    (
        b"<?xml version='1.0'?>\n<!-- c --><!DOCTYPE svg [ <!ENTITY a 'b>'> ]>" + SVG,
        "a.svg",
        ANY,
        None,
    ),
    (b"<!-- c -->" + SVG.replace(b"<svg", b"<s:svg"), "a.svg", ["image/*"], None),
    (b"<?xml version='1.0'?><!--" + b"x" * HEAD, "a.svg", ["image/*"], None),
    (b"<!DOCTYPE svg PUBLIC 'x' [" + b" " * HEAD, "a.svg", ["image/*"], None),
    (b"<!DOCTYPE html>" + SVG, "a.svg", ["image/*"], LIES),
    (TEXT, "a.svg", ["image/*"], LIES),
    (b"", "a.svg", ["image/*"], LIES),
]


def refusal(validator: Callable[[Any], None], file: Any) -> str | None:
    try:
        validator(file)
    except ValidationError as error:
        refused = error
    else:
        return None
    assert isinstance(refused.params, dict)
    assert refused.params["value"] is file
    assert refused.messages
    return refused.code


@pytest.mark.parametrize(("content", "name", "allowed", "expected"), TABLE)
def test_what_is_accepted(content: bytes, name: str, allowed: list[str], expected: str) -> None:
    validator = ContentTypeValidator(allowed)
    assert refusal(validator, SimpleUploadedFile(name or "x", content)) == expected
    # what the browser says does not count
    for said in ("image/png", "text/html"):
        assert refusal(validator, SimpleUploadedFile(name, content, said)) == expected
    assert refusal(validator, FileObject("memory", name, content=content)) == expected


def test_the_table_is_large_enough() -> None:
    assert len(TABLE) >= 60
    assert {row[3] for row in TABLE} == {None, LIES, OTHER}


def test_the_message_says_what_is_promised_and_what_is_there() -> None:
    with pytest.raises(ValidationError) as caught:
        ContentTypeValidator(ANY)(SimpleUploadedFile("trip/a.pdf", PNG))
    assert caught.value.messages == [
        "The name “a.pdf” promises application/pdf, but the content is image/png."
    ]
    with pytest.raises(
        ValidationError, match="application/pdf, but the content is something else"
    ):
        ContentTypeValidator(ANY)(SimpleUploadedFile("a.pdf", NOISE))
    with pytest.raises(
        ValidationError, match="type image/png are not allowed, only image/gif, te"
    ):
        ContentTypeValidator(["text/*", "image/gif"])(SimpleUploadedFile("a.png", PNG))


def test_both_names_count() -> None:
    validator = ContentTypeValidator(["image/*"])
    upload = SimpleUploadedFile("me.png", PNG)
    assert refusal(validator, FileObject("memory", "f/7.png", content=upload)) is None
    assert refusal(validator, FileObject("memory", "f/7", content=upload)) is None
    assert refusal(validator, FileObject("memory", "f/7.gif", content=upload)) == LIES
    upload.name = "me.gif"
    assert refusal(validator, FileObject("memory", "f/7.png", content=upload)) == LIES


def test_a_name_on_any_system(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = mimetypes.MimeTypes(filenames=())
    # as Windows does when Excel is installed
    bare.add_type("application/vnd.ms-excel", ".csv")
    monkeypatch.setattr(mimetypes, "_db", bare)
    assert mimetypes.guess_type("a.docx") == (None, None)
    assert promised_type("a.docx") == DOC
    assert promised_type("a.csv") == "text/csv"
    assert promised_type("a.txt") == "text/plain"
    assert promised_type("a.nothing") is None


@pytest.mark.parametrize("content", [row[0] for row in TABLE])
def test_no_bytes_break_it(content: bytes) -> None:
    for end in (*range(0, 64, 3), 300, HEAD + 9):
        for name in ("a", "a.svg", "a.docx", "a.csv"):
            sniff(content[:end], name)


@pytest.mark.parametrize("allowed", ["image/*", ["png"], ["image/"], [""], ["text/plain; a=b"]])
def test_allowed_is_checked(allowed: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"\[|image/png"):
        ContentTypeValidator(allowed)


# the type to store


def test_content_type_of() -> None:
    assert content_type_of(SimpleUploadedFile("a.pdf", PNG, "text/html")) == "image/png"
    assert (
        content_type_of(SimpleUploadedFile("a", NOISE, "text/html")) == "application/octet-stream"
    )
    assert content_type_of(SimpleUploadedFile("a.docx", ZIP)) == DOC
    assert (
        content_type_of(FileObject("memory", "f/7", content=File(io.BytesIO(CSV)))) == "text/plain"
    )
    assert content_type_of(FileObject("memory", "f/7.csv", content=iter([CSV]))) == "text/csv"
    named = FileObject("memory", "a.docx", "f/7", content=ZIP)
    assert content_type_of(named) == DOC
    assert content_type_of(FileObject("memory", "a.png", content_type="x/y", size=1)) == "x/y"
    assert content_type_of(FileObject("memory", "a.csv", content=items())) == "text/csv"


# sizes


def test_max_size() -> None:
    validator = MaxSizeValidator(5)
    for content in (
        b"123456",
        "12345é",
        io.BytesIO(b"123456"),
        SimpleUploadedFile("a", b"123456"),
    ):
        assert refusal(validator, FileObject("memory", "a", content=content)) == "max_size"
    assert refusal(validator, FileObject("memory", "a", content=b"123456", size=1)) == "max_size"
    assert refusal(validator, FileObject("memory", "a", content=b"12345")) is None
    assert refusal(validator, SimpleUploadedFile("a", b"123456")) == "max_size"
    assert refusal(validator, ContentFile(b"123456")) == "max_size"
    assert refusal(validator, FileObject("nowhere", "a", size=6)) == "max_size"
    assert refusal(validator, FileObject("nowhere", "a", size=5)) is None
    assert refusal(validator, FileObject("nowhere", "a")) is None
    taken = iter([b"123456"])
    assert refusal(validator, FileObject("memory", "a", content=taken)) is None
    assert next(taken) == b"123456"
    for wrong in ("5 MB", True, None, 1.5):
        with pytest.raises(TypeError, match="a number of bytes"):
            MaxSizeValidator(wrong)  # type: ignore[arg-type]


def test_max_size_names_both_sizes() -> None:
    with pytest.raises(ValidationError) as caught:
        MaxSizeValidator(1 << 20)(FileObject("nowhere", "a", size=5 << 20))
    assert caught.value.messages == ["The file has 5.0\xa0MB; at most 1.0\xa0MB are allowed."]
    with pytest.raises(ValidationError, match="1048577 bytes; at most 1048576 bytes"):
        MaxSizeValidator(1 << 20)(FileObject("nowhere", "a", size=(1 << 20) + 1))
    with override("de"), pytest.raises(ValidationError, match=r"5,0.+1,0"):
        MaxSizeValidator(1 << 20)(FileObject("nowhere", "a", size=5 << 20))


# images


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


def test_measuring_reads_the_header_only() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            piece = super().read(size)
            self.taken += len(piece)
            return piece

    for kind in ("PNG", "JPEG"):
        whole = image(kind, (900, 900))
        counted = Counted(whole)
        assert measure(FileObject("memory", "a", content=counted)) == (900, 900)
        assert counted.taken < len(whole) / 4


# nobody notices


async def items() -> AsyncIterator[bytes]:
    yield PNG


class Pieces:
    """Content with chunks() alone."""

    def chunks(self) -> Iterator[bytes]:
        yield PNG[:9]
        yield PNG[9:]


class Pipe(io.RawIOBase):
    """A file that cannot seek."""

    def __init__(self) -> None:
        self._left = io.BytesIO(PNG)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._left.readinto(buffer)


def contents(folder: Path) -> dict[str, Any]:
    path = folder / "source.png"
    path.write_bytes(PNG)
    temporary = TemporaryUploadedFile("a.png", "image/png", len(PNG), None)
    temporary.write(PNG)
    return {
        "bytes": PNG,
        "bytearray": bytearray(PNG),
        "path": path,
        "file": path.open("rb"),
        "memory": io.BytesIO(PNG),
        "upload": SimpleUploadedFile("a.png", PNG),
        "temporary upload": temporary,
        "Django file": File(path.open("rb")),
        "list": [PNG[:9], PNG[9:]],
        "generator": (PNG[i : i + 7] for i in range(0, len(PNG), 7)),
        "text among it": iter([bytearray(PNG[:9]), memoryview(PNG)[9:], ""]),
        "chunks": Pieces(),
        "pipe": io.BufferedReader(Pipe()),
    }


LOOKS: list[Callable[[Any], Any]] = [
    ContentTypeValidator(["image/png"]),
    MaxSizeValidator(1 << 20),
    ImageValidator(),
    content_type_of,
    measure,
]


def test_every_kind_of_content_is_saved_whole_after_a_look(tmp_path: Path) -> None:
    with override_storage("memory"):
        for kind, content in contents(tmp_path).items():
            file = FileObject("memory", f"{kind}.png", content=content)
            for look in LOOKS:
                look(file)
            assert measure(file) == (7, 5), kind
            assert file.save().get_content() == PNG, kind
            if isinstance(content, io.IOBase | File):
                assert not content.closed, kind
                content.close()


def test_every_kind_of_content_is_saved_whole_by_await(tmp_path: Path) -> None:
    async def run() -> None:
        for kind, content in contents(tmp_path).items():
            file = FileObject("memory", f"{kind}.png", content=content)
            await asyncio.to_thread(LOOKS[0], file)
            assert await (await file.asave()).aget_content() == PNG, kind
            if isinstance(content, io.IOBase | File):
                content.close()

    with override_storage("memory"):
        asyncio.run(run())


@pytest.mark.parametrize("look", LOOKS)
def test_the_position_stays(look: Callable[[Any], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with path.open("rb") as opened:
        for file in (opened, File(opened), SimpleUploadedFile("a.png", PNG), io.BytesIO(PNG)):
            file.seek(11)
            look(file)
            look(FileObject("memory", "a.png", content=file))
            assert (file.tell(), file.read()) == (11, PNG[11:])


def test_a_reader_of_what_waits_reads_on() -> None:
    file = FileObject("memory", "a.png", content=io.BytesIO(PNG))
    assert file.read(11) == PNG[:11]
    for look in LOOKS:
        look(file)
    assert file.read() == PNG[11:]


def test_no_more_is_taken_than_is_needed() -> None:
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"text " * 200

    ContentTypeValidator(["text/plain"])(FileObject("memory", "a.txt", content=pieces()))
    assert taken == 9


def test_text_files() -> None:
    validator = ContentTypeValidator(["text/plain"])
    for content in (io.StringIO("Grüße"), ContentFile("Grüße")):
        content.seek(2)
        file = FileObject("memory", "a.txt", content=content)
        assert refusal(validator, file) is None
        assert refusal(ImageValidator(), file) == "invalid_image"
        assert content.read() == "üße"
    assert refusal(validator, FileObject("memory", "a.txt", content="Grüße")) is None


def test_stored_files_are_not_read() -> None:
    """The alias is unknown: any request would raise."""
    for name, kind, expected in (
        ("a.png", "image/png", None),
        ("a.txt", "image/png", None),
        ("a.png", "Image/PNG; a=b", None),
        ("a.png", None, None),
        ("a.txt", "text/plain", OTHER),
    ):
        file = FileObject("nowhere", name, content_type=kind, size=3)
        assert refusal(ContentTypeValidator(["image/*"]), file) == expected
        assert refusal(ImageValidator(), file) == (expected and "invalid_image")
        assert refusal(MaxSizeValidator(2), file) == "max_size"
        assert measure(file) is None
    assert refusal(ImageValidator(), FileObject("nowhere", "a")) is None
    assert measure(FileObject("nowhere", "a", metadata={"width": 3, "height": 4})) == (3, 4)


@isolate_apps("testproject")
def test_files_of_a_file_field() -> None:
    class Document(models.Model):
        file = models.FileField()

        class Meta:
            app_label = "testproject"

        def __str__(self) -> str:
            return str(self.file)

    stored = Document(file="nowhere/a.png").file
    for look in LOOKS[:3]:
        look(stored)
    document = Document(file=SimpleUploadedFile("a.png", HTML))
    assert refusal(LOOKS[0], document.file) == LIES
    assert refusal(ImageValidator(), document.file) == "invalid_image"
    assert refusal(MaxSizeValidator(5), document.file) == "max_size"


# what can't be read


def broken() -> Iterator[bytes]:
    yield PNG[:9]
    raise KeyError("from the content")


class Failing(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error", "/secret/path")


def unreadable(folder: Path) -> dict[str, tuple[Any, str]]:
    closed, upload = io.BytesIO(PNG), SimpleUploadedFile("a.png", PNG)
    closed.close()
    upload.close()
    return {
        "closed file": (closed, "closed"),
        "closed upload": (upload, "closed"),
        "missing path": (folder / "missing", "No such file or directory"),
        "failing": (Failing(PNG), "Input/output error"),
        "generator": (broken(), "from the content"),
        "not bytes": (iter([PNG[:9], 5]), "bytes or str, not int"),
        "async": (items(), "give bytes or a file"),
    }


@pytest.mark.parametrize("validator", [ContentTypeValidator(ANY), ImageValidator()])
def test_what_cannot_be_read(validator: Callable[[Any], None], tmp_path: Path) -> None:
    for kind, (content, reason) in unreadable(tmp_path).items():
        file = FileObject("memory", "a.png", content=content)
        with pytest.raises(ValidationError, match=reason) as caught:
            validator(file)
        assert caught.value.code == "unreadable", kind
        assert "secret" not in caught.value.messages[0]
        # whoever saves it hears what is wrong
        assert content_type_of(file) == "image/png", kind
        assert measure(file) is None, kind


def test_what_breaks_behind_the_first_bytes() -> None:
    whole = image("PNG", (300, 200))

    def begun(length: int) -> FileObject:
        def pieces() -> Iterator[bytes]:
            yield whole[:length]
            raise KeyError("in the middle")

        return FileObject("memory", "a.png", content=pieces())

    for length in (20, 50_000):
        assert refusal(ImageValidator(), begun(length)) == "unreadable"
    assert refusal(ContentTypeValidator(["image/*"]), begun(50_000)) is None
    assert measure(begun(50_000)) == (300, 200)


def test_a_pipe_in_a_form_is_not_used_up() -> None:
    pipe = File(io.BufferedReader(Pipe()), "a.png")
    assert refusal(ContentTypeValidator(ANY), pipe) == "unreadable"
    assert pipe.read() == PNG


def test_content_that_failed_is_not_stored_by_half() -> None:
    with override_storage("memory"):
        file = FileObject("memory", "a.png", content=broken())
        assert refusal(ContentTypeValidator(ANY), file) == "unreadable"
        assert refusal(ContentTypeValidator(ANY), file) == "unreadable"
        with pytest.raises(KeyError, match="from the content"):
            file.save()
        assert not file.storage.exists("a.png")
        assert refusal(ContentTypeValidator(ANY), file) == "unreadable"
        file.save(content=PNG)
        assert file.get_content() == PNG


def test_looking_at_content() -> None:
    once = pending.accepted(iter([b"abc", b"def"]))
    with pending.looking(once) as file:
        assert file.read(2) == b"ab"
        assert file.seek(-1, os.SEEK_END) == 5
        assert file.read() == b"f"
        assert file.seek(-4, os.SEEK_CUR) == 2
        assert file.read() == b"cdef"
    assert b"".join(once.chunks()) == b"abcdef"


# extras


@pytest.mark.parametrize(
    ("package", "extra", "look"),
    [("filetype", "sniff", LOOKS[0]), ("PIL", "images", LOOKS[2]), ("PIL", "images", measure)],
)
def test_a_missing_package_names_its_extra(package: str, extra: str, look: Any) -> None:
    code = f"""
import pickle, sys
sys.modules[{package!r}] = None
from django.conf import settings
settings.configure()
from django_fsspec import FileObject
look = pickle.loads({pickle.dumps(look)!r})
try:
    look(FileObject("memory", "a.png", content=b"x"))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = f"needs a package: pip install 'django-fsspec-storage[{extra}]'."
    assert done.stdout.startswith(ImproperlyConfigured.__name__), done.stdout + done.stderr
    assert done.stdout.strip().endswith(said)


# as values

VALUES: list[Any] = [
    MaxSizeValidator(5),
    MaxSizeValidator(6),
    ContentTypeValidator(["image/*", "text/csv"]),
    ContentTypeValidator(["image/*"]),
    ImageValidator(),
]


@pytest.mark.parametrize("validator", VALUES)
def test_values(validator: Any) -> None:
    path, args, kwargs = validator.deconstruct()
    assert path == f"django_fsspec.validators.{type(validator).__name__}"
    code, imports = MigrationWriter.serialize(validator)
    namespace: dict[str, Any] = {}
    exec("\n".join([*imports, f"made = {code}"]), namespace)
    again = type(validator)(*args, **kwargs)
    for made in (namespace["made"], again, pickle.loads(pickle.dumps(validator))):
        assert made == validator
        assert hash(made) == hash(validator)
    assert [other for other in VALUES if other == validator] == [validator]
    assert validator != "else"


def test_what_a_migration_holds_has_an_order() -> None:
    given = ["text/csv", "image/*", "IMAGE/*"]
    kinds: list[Any] = [iter(given), set(given), tuple(given), dict.fromkeys(given)]
    for allowed in kinds:
        validator = ContentTypeValidator(allowed)
        assert validator == ContentTypeValidator(given)
        code, _ = MigrationWriter.serialize(validator)
        assert code.endswith("ContentTypeValidator(['image/*', 'text/csv'])")


class Pictures(ContentTypeValidator):
    def __init__(self) -> None:
        super().__init__(["image/*"])


def test_a_subclass_has_arguments_of_its_own() -> None:
    path, args, kwargs = Pictures().deconstruct()  # type: ignore[attr-defined]
    assert (path, args, kwargs) == ("tests.test_validators.Pictures", (), {})
    assert Pictures() == Pictures()
    assert Pictures() != ContentTypeValidator(["image/*"])


# forms


class UploadForm(forms.Form):
    file = forms.FileField(
        validators=[ContentTypeValidator(["image/*"]), MaxSizeValidator(1000), ImageValidator()]
    )


def sent(*uploads: SimpleUploadedFile) -> UploadForm:
    return UploadForm({}, MultiValueDict({"file": list(uploads)}))


def test_in_a_form() -> None:
    form = sent(SimpleUploadedFile("a.png", PNG, "text/html"))
    assert form.is_valid(), form.errors
    assert form.cleaned_data["file"].read() == PNG
    form = sent(SimpleUploadedFile("a.png", HTML + b" " * 1000, "image/png"))
    assert [error.code for error in form.errors.as_data()["file"]] == [
        "misnamed",
        "max_size",
        "invalid_image",
    ]


def test_what_is_public() -> None:
    assert sorted(validators.__all__) == validators.__all__
    for name in validators.__all__:
        assert getattr(validators, name).__doc__
