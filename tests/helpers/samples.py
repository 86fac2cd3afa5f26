"""Small files of many kinds, as bytes."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import wave
import zipfile
import zlib
from typing import Any

from PIL import ExifTags, Image


def image(kind: str, size: tuple[int, int] = (7, 5), **options: Any) -> bytes:
    made = io.BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(made, kind, **options)
    return made.getvalue()


def turned(kind: str, orientation: int, size: tuple[int, int] = (70, 50)) -> bytes:
    """Return a picture that EXIF says to turn or mirror before it is shown."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return image(kind, size, exif=exif)


def png(width: int, height: int) -> bytes:
    """Return a grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\x00" + b"\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


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


def sized(content: bytes, length: int = 1) -> bytes:
    """Return content of EBML behind its size in `length` bytes, which writers choose freely."""
    return (len(content) | 1 << 7 * length).to_bytes(length, "big") + content


def matroska(kind: bytes, length: int = 1) -> bytes:
    return b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82" + sized(kind, length)


def track(codec: bytes, length: int = 1) -> bytes:
    """Return the codec of a track in Matroska."""
    return b"\x86" + sized(codec, length)


def handler(kind: bytes) -> bytes:
    """Return the box of ISO media that says what a track is."""
    return b"\0\0\0\x21hdlr" + bytes(8) + kind + bytes(13)


def tagged(content: bytes, size: int = 10) -> bytes:
    """Return sound behind an ID3 tag with a picture of `size` bytes."""
    length = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + length + b"\1" * size + content


def packets(size: int, offset: int) -> bytes:
    """Return a stream of MPEG-2 TS."""
    return (b"\0\0\0\x09"[:offset] + b"G\x40\x11\x10\0" + bytes(183))[:size] * 50


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
ADTS = b"\xff\xf1\x50\x80" + bytes(60)
TS, M2TS = packets(188, 0), packets(192, 4)
#: larger than 4 GB: EBU Tech 3306, ITU-R BS.2088
RF64, BW64 = (
    b"RF64\xff\xff\xff\xffWAVEds64" + bytes(60),
    b"BW64\xff\xff\xff\xffWAVEds64" + bytes(60),
)
CR3 = boxed(b"crx ", b"crx ", b"isom")
SOUND_WEBM, FILM_WEBM = WEBM + track(b"A_OPUS"), WEBM + track(b"A_OPUS") + track(b"V_VP9")
SOUND_MP4, FILM_MP4 = MP4 + handler(b"soun"), MP4 + handler(b"soun") + handler(b"vide")
PRINTED = b"\x1b%-12345X@PJL SET COPIES=1\r\n@PJL ENTER LANGUAGE=PDF\r\n" + PDF
EXE = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff" + bytes(46) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0"
ELF = b"\x7fELF\x02\x01\x01" + bytes(60)
HTML = b"\n<!DOCTYPE html><html><script>alert(1)</script>"
XML, SVG = b'<?xml version="1.0"?><a/>', b'<svg xmlns="http://www.w3.org/2000/svg"/>'
JSON, CSV, TEXT = b'{"a": [1]}', b"a,b\n1,2\n", "Grüße\n".encode()
UTF16 = TEXT.decode().encode("utf-16")
NOISE = bytes(range(1, 256)) * 4
