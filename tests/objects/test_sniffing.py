"""Validators: the type that the bytes have counts, and the one that the name promises."""

from __future__ import annotations

import io
import mimetypes
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.core.files.uploadedfile import SimpleUploadedFile

from django_fsspec import FileObject
from django_fsspec.core.content_types import guess_type
from django_fsspec.objects.sniffing import HEAD, promised_type
from django_fsspec.validators import ContentTypeValidator, content_type_of, sniff
from tests.helpers.samples import (
    ADTS,
    APNG,
    AVIF,
    BW64,
    CR3,
    CSV,
    DOCX,
    ELF,
    EXE,
    FILM_MP4,
    FILM_WEBM,
    FLAC,
    FRAMES,
    GIF,
    GZIP,
    HEIC,
    HTML,
    ID3,
    JPEG,
    JSON,
    M2TS,
    M4A,
    MKV,
    MOV,
    MP4,
    NOISE,
    ODT,
    OGG,
    OLE,
    PDF,
    PNG,
    PRINTED,
    RF64,
    SOUND_MP4,
    SOUND_WEBM,
    SVG,
    TAR,
    TEXT,
    TS,
    UTF16,
    WAV,
    WEBM,
    WEBP,
    XLSX,
    XML,
    ZIP,
    boxed,
    handler,
    image,
    matroska,
    tagged,
    track,
)
from tests.helpers.served_names import SERVED
from tests.helpers.validators import ANY, LIES, OTHER, items, refusal

DOC = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

#: bytes, name, what is allowed, and why they are refused
TABLE: list[tuple[bytes, str, list[str], str | None]] = [
    # images
    (PNG, "a.png", ["image/*"], None),
    (PNG, "A.PNG", ["image/png"], None),
    (PNG, "noname", ["image/png"], None),
    (PNG, "a.unknown", ["image/*"], LIES),
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
    (boxed(b"3gp4", b"isom"), "a.3gp", ["video/*"], None),
    (boxed(b"3gp5", b"3gp5") + handler(b"vide"), "a.3gpp", ["video/3gpp"], None),
    (boxed(b"3gp5") + handler(b"soun"), "a.3gp", ["audio/*"], None),
    (boxed(b"3g2a"), "a.3g2", ["video/*"], None),
    (boxed(b"3gp5") + handler(b"vide"), "a.3gp", ["audio/*"], OTHER),
    (tagged(FLAC), "a.flac", ["audio/flac"], None),
    (tagged(ADTS), "a.aac", ["audio/aac"], None),
    (tagged(WAV), "a.wav", ["audio/*"], None),
    (tagged(FLAC, 20_000), "a.flac", ["audio/flac"], None),
    (tagged(WAV, 20_000), "a.wav", ["audio/wav"], None),
    (tagged(ADTS, 20_000), "a.aac", ["audio/*"], None),
    (tagged(FRAMES, 20_000), "a.mp3", ["audio/mpeg"], None),
    (tagged(FRAMES, 20_000), "noname", ["audio/mpeg"], None),
    (tagged(FLAC), "a.mp3", ["audio/*"], LIES),
    (tagged(FLAC, 20_000), "a.ogg", ["audio/*"], LIES),
    (tagged(FLAC, 20_000), "a.php", ["audio/*"], LIES),
    (SOUND_WEBM, "a.webm", ["audio/*"], None),
    (SOUND_WEBM, "a.webm", ["audio/webm"], None),
    (SOUND_WEBM, "a.webm", ["video/*"], None),
    (SOUND_WEBM, "a.weba", ["audio/*"], None),
    (FILM_WEBM, "a.webm", ["audio/*"], OTHER),
    (FILM_WEBM, "a.webm", ["video/webm"], None),
    (MKV + track(b"A_FLAC"), "a.mka", ["audio/*"], None),
    (MKV + track(b"A_FLAC"), "a.mkv", ["audio/*"], None),
    (SOUND_MP4, "a.mp4", ["audio/*"], None),
    (SOUND_MP4, "a.mp4", ["audio/mp4"], None),
    (MP4, "a.mp4", ["audio/*"], None),
    (FILM_MP4, "a.mp4", ["audio/*"], OTHER),
    (FILM_MP4, "a.mp4", ["video/mp4"], None),
    (TS, "a.ts", ["video/*"], None),
    (M2TS, "a.m2ts", ["video/mp2t"], None),
    (M2TS, "00000.MTS", ["video/*"], None),
    (TS, "noname", ["video/*"], None),
    (b"let a: string;\n", "a.ts", ["text/*"], None),
    (b"let a: string;\n", "a.ts", ["video/*"], OTHER),
    (RF64, "a.wav", ["audio/wav"], None),
    (BW64, "a.wav", ["audio/*"], None),
    (b"#!AMR-WB\n" + NOISE, "a.awb", ["audio/*"], None),
    (b"#!AMR-WB\n" + NOISE, "a.amr", ["audio/*"], None),
    (b"#!AMR\n" + NOISE, "a.amr", ["audio/amr"], None),
    # pictures of cameras
    (HEIC, "a.hif", ["image/*"], None),
    (boxed(b"mif1", b"heix"), "a.HIF", ["image/heif"], None),
    (CR3, "a.cr3", ["image/*"], None),
    (CR3, "a.mp4", ["image/*", "video/*"], LIES),
    (image("TIFF"), "a.dng", ["image/*"], None),
    # archives, fonts, what has no signature
    (b"true\0\x0b" + bytes(60), "a.ttf", ["font/*"], None),
    (b"ttcf\0\1\0\0" + bytes(60), "a.ttc", ["font/*"], None),
    (PRINTED, "a.pdf", ["application/pdf"], None),
    (HTML + PDF, "a.pdf", ["application/pdf"], LIES),
    (b"{\\rtf1\\ansi x}", "a.doc", ["application/rtf"], None),
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
    # what a web server may run or read
    *((GIF + HTML, name, ["image/*"], LIES) for name in [*SERVED, "a.cgi\t", "\n.user.ini"]),
    *((HTML, name, ["text/html"], LIES) for name in SERVED),
    *((TEXT, name, ["text/plain"], LIES) for name in SERVED),
    *((ZIP, name, ["application/zip"], LIES) for name in SERVED),
    *((PDF, name, ["application/pdf"], LIES) for name in SERVED),
    *((MP4, name, ["video/*"], LIES) for name in SERVED),
    *((content, "a.php", ["*/*"], LIES) for content in (GIF, PDF, ZIP, MP4, OGG, TAR, OLE)),
    (b"<?php echo 1;", "a.php", ["text/*"], OTHER),
    (b"<?php echo 1;", "a.php", ["application/x-httpd-php"], None),
    # no extension
    (PNG, "photo of Dr. May", ["image/*"], None),
    (PNG, "version 1.2", ["image/*"], None),
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
    assert caught.value.messages == ["“a.pdf” is not a valid PDF file (its content is image/png)."]
    with pytest.raises(
        ValidationError, match=r"not a valid PDF file \(its content is something else"
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
    other = mimetypes.MimeTypes(filenames=())
    # as Windows does when Excel is installed, and what a line of /etc/mime.types may be
    other.add_type("application/vnd.ms-excel", ".csv")
    other.add_type("image/x-odd", ".phtml")
    monkeypatch.setattr(mimetypes, "_db", other)
    assert promised_type("a.docx") == DOC
    assert promised_type("a.csv") == guess_type("a.csv") == "text/csv"
    assert promised_type("a.txt") == "text/plain"
    assert promised_type("a.nothing") is None
    assert guess_type("a.phtml") == "application/x-httpd-php"


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


@pytest.mark.parametrize(
    ("content", "name", "allowed", "stored"),
    [
        (MP4, "a.mp4", ["audio/*"], "audio/mp4"),
        (MP4, "a.mp4", ["audio/*", "video/*"], "video/mp4"),
        (MP4, "a.mp4", ["image/*"], "video/mp4"),
        (SOUND_MP4, "a.mp4", ["audio/*", "video/*"], "audio/mp4"),
        (SOUND_WEBM, "a.webm", ["video/webm"], "video/webm"),
        (FILM_WEBM, "a.webm", ["*/*"], "video/webm"),
    ],
)
def test_the_type_to_store_is_one_that_is_allowed(
    content: bytes, name: str, allowed: list[str], stored: str
) -> None:
    """So that a stored film or sound still passes, of which only the type is known."""
    assert content_type_of(SimpleUploadedFile(name, content), allowed) == stored


@pytest.mark.parametrize("length", range(1, 9))
def test_sizes_in_matroska_have_up_to_eight_bytes(length: int) -> None:
    sound = matroska(b"webm", length) + track(b"A_OPUS", length)
    assert sniff(sound, "a.webm") == "audio/webm"
    film = sound + track(b"V_VP9", length)
    assert sniff(film, "a") == "video/webm"
    assert sniff(matroska(b"matroska", length), "a") == "video/x-matroska"
