"""Signatures of binary formats (magic bytes): which types the first bytes of a file may have.

By the library filetype, and what it lacks.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from django_fsspec.core import extras
from django_fsspec.core.content_types import UNKNOWN_TYPE, canonical

OLE = "application/x-ole-storage"
FONT_TYPES = {"font/collection", "font/otf", "font/sfnt", "font/ttf"}

#: signatures that filetype lacks, or reads otherwise
_SIGNATURES = (
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (0, b"\xc5\xd0\xd3\xc6", "application/postscript"),
    (0, b"II\x2b\x00", "image/tiff"),
    (0, b"MM\x00\x2b", "image/tiff"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (0, b"#!AMR-WB\n", "audio/amr-wb"),
    (0, b"true\x00", "font/ttf"),
    (0, b"typ1\x00", "font/sfnt"),
    (0, b"ttcf", "font/collection"),
    (8, b"AIFC", "audio/aiff"),
    # QuickTime before it had brands
    (4, b"mdat", "video/quicktime"),
    (4, b"moov", "video/quicktime"),
    (4, b"wide", "video/quicktime"),
)
_BRANDS = {
    b"3g2a": "video/3gpp2",
    b"3g2b": "video/3gpp2",
    b"3g2c": "video/3gpp2",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"crx ": "image/x-canon-cr3",
    b"heic": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic-sequence",
    b"hevx": "image/heic-sequence",
    b"mif1": "image/heif",
    b"msf1": "image/heif-sequence",
    b"qt  ": "video/quicktime",
}

#: what may be behind an ID3 tag, whose pictures are often longer than the bytes that are read
TAGGED = ("audio/mpeg", "audio/aac", "audio/aiff", "audio/flac", "audio/wav", "audio/x-tta")
#: bytes of a packet of MPEG-2 TS, and of one with a timestamp before it (m2ts)
_PACKETS = ((188, 0), (192, 4))
_WAVES = (b"RIFF", b"RF64", b"BW64")
_PRINTER = (b"\x1b%-12345X", b"@PJL ")

#: size of an element of EBML, in 1 to 8 bytes (RFC 8794, 6.1)
_EBML_SIZE = (
    rb"(?:[\x80-\xff]|[\x40-\x7f].|[\x20-\x3f].{2}|[\x10-\x1f].{3}"
    rb"|[\x08-\x0f].{4}|[\x04-\x07].{5}|[\x02-\x03].{6}|\x01.{7})"
)
_EBML = b"\x1a\x45\xdf\xa3"
_DOCTYPE = re.compile(rb"\x42\x82" + _EBML_SIZE + rb"(webm|matroska)", re.DOTALL)
_DOCTYPES = {b"webm": "video/webm", b"matroska": "video/x-matroska"}
#: codec of a track in Matroska (RFC 9559, CodecID), handler of one in ISO media (14496-12, 8.4.3)
_TRACKS = re.compile(rb"\x86" + _EBML_SIZE + rb"([AV])_[A-Z]|hdlr.{8}(vide|soun)", re.DOTALL)
_PICTURES = (b"V", b"vide")


def signed_types(head: bytes) -> tuple[str, ...]:
    """Return the types whose signature the bytes begin with, the likeliest first.

    Raises ``ImproperlyConfigured`` without the extra `sniff`.
    """
    if head.startswith(b"ID3"):
        return _tagged(head)
    content_type = _first_of_ours(head) or _of_library(head) or _of_ours(head) or _frame(head)
    return (content_type,) if content_type else ()


def has_pictures(head: bytes) -> bool | None:
    """Return whether a film has pictures or is sound alone; None where the tracks are not told."""
    kinds = {match[1] or match[2] for match in _TRACKS.finditer(head)}
    return bool(kinds.intersection(_PICTURES)) if kinds else None


@cache
def known_types() -> frozenset[str]:
    """Return all types that have a signature."""
    theirs = {canonical(matcher.mime) for matcher in library().types}
    ours = {content_type for *_, content_type in _SIGNATURES} | {*_BRANDS.values(), *TAGGED}
    return frozenset(theirs | ours | {"video/mp2t"})


def library() -> Any:
    """Return the package filetype. Raises ``ImproperlyConfigured`` without it."""
    return extras.load("filetype", "sniff", "Detecting content types")


def _of_library(head: bytes) -> str | None:
    try:
        matcher = library().guess(head)
    except Exception:  # a thousand empty zstd frames are a RecursionError
        return None
    content_type = None if matcher is None else canonical(matcher.mime)
    if content_type == "application/postscript" and not head.startswith(b"%!PS"):
        return None
    if content_type == UNKNOWN_TYPE:  # filetype has no other name for EOT fonts
        return "application/vnd.ms-fontobject"
    return content_type


def _first_of_ours(head: bytes) -> str | None:
    """Return what filetype would take for another type."""
    if head[:4] in _WAVES and head[8:12] == b"WAVE":
        return "audio/wav"
    if head.startswith(_EBML) and (doctype := _DOCTYPE.search(head)):
        return _DOCTYPES[doctype[1]]
    if head[4:11] == b"ftypcrx" or head[4:10] == b"ftyp3g":
        return _BRANDS.get(head[8:12], "video/3gpp")
    return None


def _of_ours(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    behind_preamble = head.startswith(_PRINTER) and b"%PDF-" in head
    if behind_preamble or head.lstrip()[:5] == b"%PDF-":
        return "application/pdf"
    for offset, signature, content_type in _SIGNATURES:
        if head.startswith(signature, offset):
            return content_type
    return "video/mp2t" if any(_has_packets(head, *packet) for packet in _PACKETS) else None


def _has_packets(head: bytes, size: int, offset: int) -> bool:
    """Return whether each packet within reach begins with the byte 0x47, at least three."""
    starts = head[offset::size]
    return len(starts) >= 3 and not starts.strip(b"G")


def _tagged(head: bytes) -> tuple[str, ...]:
    """Return the type of what is behind an ID3v2 tag; all that may be where that is too far."""
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 0x7F
    footer = 10 if len(head) > 5 and head[5] & 0x10 else 0
    rest = head[10 + length + footer :].lstrip(b"\0")
    if not rest:
        return TAGGED
    if rest.startswith(b"TTA1"):
        return ("audio/x-tta",)
    types = [kind for kind in (_of_library(rest), _first_of_ours(rest), _frame(rest)) if kind]
    return tuple(kind for kind in types if kind in TAGGED)[:1] or TAGGED[:1]


def _frame(head: bytes) -> str | None:
    """Return the type of a stream that begins with an MPEG or AAC audio frame."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    # layer 1 would match the byte order mark of UTF-16
    sound = version != 1 and layer in (1, 2) and bitrate != 15 and rate != 3
    return "audio/mpeg" if sound else None
