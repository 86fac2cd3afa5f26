"""Content type detection: the first bytes of a file (magic bytes), and its extension."""

from __future__ import annotations

import codecs
import posixpath
import re
from functools import cache
from typing import Any

from django_fsspec.core import extras
from django_fsspec.core.content_types import (
    EXTENSIONS,
    HTML,
    PLAIN,
    SVG,
    UNKNOWN_TYPE,
    XML,
    canonical,
    guess_type,
)

#: bytes that are read
HEAD = 8192

_ZIP = "application/zip"
_OLE = "application/x-ole-storage"
_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN = "application/vnd.oasis.opendocument"
_OOXML = frozenset(
    f"{_OFFICE}.{document}"
    for document in (
        "wordprocessingml.document",
        "spreadsheetml.sheet",
        "presentationml.presentation",
    )
)
_ZIPPED = _OOXML | {
    f"{_OPEN}.text",
    f"{_OPEN}.spreadsheet",
    f"{_OPEN}.presentation",
    "application/epub+zip",
}

#: types with the same first bytes: the extension decides
_ALIKE = (
    {"audio/3gpp", "audio/3gpp2", "audio/mp4", "video/3gpp", "video/3gpp2"}
    | {"video/mp4", "video/quicktime"},
    {"application/ogg", "audio/ogg", "audio/opus", "audio/vorbis", "video/ogg"},
    {"audio/webm", "audio/x-matroska", "video/webm", "video/x-matroska"},
    {"application/vnd.ms-asf", "audio/x-ms-wma", "video/x-ms-asf", "video/x-ms-wmv"},
    {"image/heic", "image/heic-sequence", "image/heif", "image/heif-sequence"},
    {"image/apng", "image/png"},
    {"image/tiff", "image/x-canon-cr2"},
    {"image/jp2", "image/jpm", "image/jpx"},
    {"font/collection", "font/otf", "font/sfnt", "font/ttf"},
    {"font/woff", "font/woff2"},
    {_OLE, "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"},
)

#: containers of formats that have no signature of their own: .kmz, .pages, .ai, .nef, .msi
_CONTAINERS = _ZIPPED | {
    _OLE,
    _ZIP,
    "application/gzip",
    "application/msword",
    "application/ogg",
    "application/pdf",
    "application/postscript",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.sqlite3",
    "audio/ogg",
    "image/tiff",
    "video/mp4",
    "video/x-matroska",
}

#: signatures that the library filetype lacks
_SIGNATURES = (
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OLE),
    (0, b"\xc5\xd0\xd3\xc6", "application/postscript"),
    (0, b"II\x2b\x00", "image/tiff"),
    (0, b"MM\x00\x2b", "image/tiff"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (8, b"AIFC", "audio/aiff"),
    # QuickTime before it had brands
    (4, b"mdat", "video/quicktime"),
    (4, b"moov", "video/quicktime"),
    (4, b"wide", "video/quicktime"),
)
_BRANDS = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"avif": "image/avif",
    b"avis": "image/avif",
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

#: formats that have a signature and are text
_TEXTUAL = {"application/pdf", "application/postscript", "application/rtf", "audio/amr"}
_TEXTS = {
    "application/json",
    "application/sql",
    "application/toml",
    "application/x-httpd-php",
    "application/x-ndjson",
    "application/x-sh",
    "application/yaml",
    "message/rfc822",
    XML,
}
#: text formats that may begin with HTML
_MARKED_UP = {HTML, "application/xhtml+xml", "text/markdown"}

# Patterns and bytes of the WHATWG MIME Sniffing Standard: what browsers take for HTML.
_HTML = re.compile(
    r"[\t\n\f\r ]*<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title"
    r"|b|body|br|p)[ >])",
    re.IGNORECASE,
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_HTML_ROOT = re.compile(r"\s*<(?:!doctype\s+)?html\b", re.IGNORECASE)
_PROLOGUE = re.compile(
    r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE
)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)")
_DOCTYPE = re.compile(r"<!DOCTYPE\s+([\w.-]+)", re.IGNORECASE)
_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def sniff(head: bytes, name: str) -> str | None:
    """Detect the content type by the first bytes; None where they fit no type.

    Where they fit several types, the extension of `name` decides: a ZIP called ``a.docx`` is a
    document, text called ``a.csv`` is CSV. An extension that does not fit is ignored. Reads at
    most 8 KiB. Raises ``ImproperlyConfigured`` without the extra `sniff`.
    """
    head = head[:HEAD]
    promised = promised_type(name)
    signed, text = _signature(head), _decoded(head)
    # "BM is short for benchmark" is a bitmap only if its extension says so
    if signed and (text is None or signed in _TEXTUAL or _fits(signed, promised)):
        return promised if promised and _fits(signed, promised) else signed
    return None if text is None else _text_type(text, promised)


def promised_type(name: str) -> str | None:
    """Return the content type of the extension of a name, None where it has none."""
    # only the extension: mimetypes reads the type out of names like "data:text/html,a.png"
    extension = posixpath.splitext("x" + name.rstrip(". "))[1].lower()
    if extension in EXTENSIONS:
        return EXTENSIONS[extension]
    guessed = canonical(guess_type(f"x{extension}"))
    return _library_extensions().get(extension) if guessed == UNKNOWN_TYPE else guessed


def is_recognisable(content_type: str) -> bool:
    """Return whether the bytes alone tell this type from others."""
    return _is_text(content_type) or content_type in _signed()


def _is_text(content_type: str) -> bool:
    return (
        content_type.startswith("text/")
        or content_type.endswith(("+json", "+xml", "+yaml"))
        or content_type in _TEXTS
    )


def _fits(detected: str, promised: str | None) -> bool:
    """Return whether bytes of the type `detected` may be a file of the type `promised`."""
    if promised is None or detected == promised:
        return promised is not None
    if any(detected in types and promised in types for types in _ALIKE):
        return True
    if _ZIP in (detected, promised) and (detected in _ZIPPED or promised in _ZIPPED):
        return True
    if detected == _OLE and promised in _OOXML:
        return True  # encrypted with a password
    return detected in _CONTAINERS and not is_recognisable(promised)


# binary formats


def _library() -> Any:
    return extras.load("filetype", "sniff", "Detecting content types")


@cache
def _library_extensions() -> dict[str, str]:
    return {
        f".{matcher.extension}": canonical(matcher.mime) for matcher in reversed(_library().types)
    }


@cache
def _signed() -> frozenset[str]:
    theirs = {canonical(matcher.mime) for matcher in _library().types}
    ours = {content_type for *_, content_type in _SIGNATURES}
    # filetype claims one for brotli, which has no signature
    return frozenset(theirs | ours | set().union(*_ALIKE)) - {UNKNOWN_TYPE, "application/x-brotli"}


def _signature(head: bytes) -> str | None:
    """Return the type whose signature the bytes begin with."""
    library = _library()
    try:
        matcher = library.guess(head)
    except Exception:  # a thousand empty zstd frames are a RecursionError
        matcher = None
    content_type = None if matcher is None else canonical(matcher.mime)
    if content_type == "application/postscript" and not head.startswith(b"%!PS"):
        content_type = None
    if content_type == UNKNOWN_TYPE:  # filetype has no other name for EOT fonts
        content_type = "application/vnd.ms-fontobject"
    return content_type or _signature_of_ours(head)


def _signature_of_ours(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head.lstrip()[:5] == b"%PDF-":
        return "application/pdf"
    for offset, signature, content_type in _SIGNATURES:
        if head.startswith(signature, offset):
            return content_type
    return _frame(head)


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


# text


def _decoded(head: bytes) -> str | None:
    """Return the bytes as text, without a byte order mark; None for binary data."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return _text(head[len(mark) :], encoding)
    text = _text(head, "utf-8")
    if text is None and not _BINARY.search(head):
        return head.decode("latin-1")  # or a similar encoding
    return text


def _text(head: bytes, encoding: str) -> str | None:
    try:
        # incremental: the last character may be incomplete
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _text_type(text: str, promised: str | None) -> str | None:
    markup = _markup(text)
    if promised is None:
        return markup or (PLAIN if text else None)
    if promised == SVG:
        # the root element is not among the first bytes: the extension decides
        root_is_unknown = markup == XML and not _root(text)
        return SVG if root_is_unknown else markup or (PLAIN if text else None)
    if not _is_text(promised) and is_recognisable(promised):
        return markup or (PLAIN if text else None)
    if markup != HTML or promised in _MARKED_UP:
        return promised
    if promised == XML or promised.endswith("+xml"):
        # <p>, <table> and <a> are HTML to a browser, but may be root elements of XML
        return HTML if _HTML_ROOT.match(text) else promised
    return HTML


def _markup(text: str) -> str | None:
    """Return the type of text that begins like HTML, SVG or XML."""
    root = _root(text)
    if root == "svg" and not _HTML_ROOT.match(text):
        return SVG
    if _HTML.match(text) or root.lower() == "html":
        return HTML
    if text.lstrip().startswith("<?xml"):
        return XML
    return None


def _root(text: str) -> str:
    """Return the name of the root element, or of the DOCTYPE where no root is within reach."""
    at = 0
    while prologue := _PROLOGUE.match(text, at):
        at = prologue.end()
    root = _ROOT.match(text, at) or _DOCTYPE.search(text, 0, at + 200)
    return root[1] if root else ""
