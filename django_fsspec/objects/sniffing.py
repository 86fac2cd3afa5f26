"""What the first bytes of a file tell of its type, and whether its name says the same."""

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

#: bytes that are looked at
HEAD = 8192

_ZIP = "application/zip"
_OLE = "application/x-ole-storage"
_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN = "application/vnd.oasis.opendocument"
_OOXML = frozenset(
    f"{_OFFICE}.{kind}"
    for kind in ("wordprocessingml.document", "spreadsheetml.sheet", "presentationml.presentation")
)
_ZIPPED = _OOXML | {
    f"{_OPEN}.text",
    f"{_OPEN}.spreadsheet",
    f"{_OPEN}.presentation",
    "application/epub+zip",
}

#: types whose first bytes are the same: the name tells which
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

#: what formats without a signature of their own are made of: .kmz, .pages, .ai, .nef, .msi
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

#: signatures that filetype lacks
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

#: formats with a signature that are text all the same
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
#: in which HTML is at home
_MARKED_UP = {HTML, "application/xhtml+xml", "text/markdown"}

# The patterns and bytes of the WHATWG's MIME Sniffing Standard: what a browser takes for HTML.
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
    """Return the content type that the first bytes tell, or None where they tell none.

    Where they fit several types, `name` chooses: a ZIP called ``a.docx`` is a document, text
    called ``a.csv`` is CSV. A name that the bytes do not fit has no say. At most 8 KiB are looked
    at. Raises ``ImproperlyConfigured`` without the extra `sniff`.
    """
    head = head[:HEAD]
    promised = promised_type(name)
    found, text = _signature(head), _decoded(head)
    # "BM is short for benchmark" is a bitmap only if its name says so too
    if found and (text is None or found in _TEXTUAL or _fits(found, promised)):
        return promised if promised and _fits(found, promised) else found
    return None if text is None else _text_type(text, promised)


def promised_type(name: str) -> str | None:
    """Return the content type that the name of a file promises, or None where it promises none."""
    # only the extension: mimetypes takes the type out of names such as "data:text/html,a.png"
    extension = posixpath.splitext("x" + name.rstrip(". "))[1].lower()
    known = EXTENSIONS.get(extension)
    if known is None and (known := canonical(guess_type(f"x{extension}"))) == UNKNOWN_TYPE:
        known = _library_extensions().get(extension)
    return known


def is_recognisable(content_type: str) -> bool:
    """Whether bytes of this type can be told from others."""
    return _is_text(content_type) or content_type in _signed()


def _is_text(content_type: str) -> bool:
    return (
        content_type.startswith("text/")
        or content_type.endswith(("+json", "+xml", "+yaml"))
        or content_type in _TEXTS
    )


def _fits(found: str, promised: str | None) -> bool:
    """Whether bytes of type `found` may be what was promised."""
    if promised is None or found == promised:
        return promised is not None
    if any(found in types and promised in types for types in _ALIKE):
        return True
    if _ZIP in (found, promised) and (found in _ZIPPED or promised in _ZIPPED):
        return True
    if found == _OLE and promised in _OOXML:
        return True  # with a password
    return found in _CONTAINERS and not is_recognisable(promised)


# binary formats


def _library() -> Any:
    return extras.load("filetype", "sniff", "Telling content types by the bytes")


@cache
def _library_extensions() -> dict[str, str]:
    return {f".{kind.extension}": canonical(kind.mime) for kind in reversed(_library().types)}


@cache
def _signed() -> frozenset[str]:
    theirs = {canonical(kind.mime) for kind in _library().types}
    ours = {kind for *_, kind in _SIGNATURES}
    # brotli has no signature, whatever filetype says
    return frozenset(theirs | ours | set().union(*_ALIKE)) - {UNKNOWN_TYPE, "application/x-brotli"}


def _signature(head: bytes) -> str | None:
    """Return the type of a format that has a signature."""
    library = _library()
    try:
        kind = library.guess(head)
    except Exception:  # a thousand empty zstd frames are a RecursionError
        kind = None
    found = None if kind is None else canonical(kind.mime)
    if found == "application/postscript" and not head.startswith(b"%!PS"):
        found = None
    if found == UNKNOWN_TYPE:
        found = "application/vnd.ms-fontobject"
    return found or _signature_of_ours(head)


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
    """Return the type of a stream that begins with an MPEG audio frame or an AAC one."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    # layer 1 would take in the byte order mark of UTF-16
    sound = version != 1 and layer in (1, 2) and bitrate != 15 and rate != 3
    return "audio/mpeg" if sound else None


# text


def _decoded(head: bytes) -> str | None:
    """Return the text that the bytes are, without its byte order mark, or None."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return _text(head[len(mark) :], encoding)
    text = _text(head, "utf-8")
    if text is None and not _BINARY.search(head):
        return head.decode("latin-1")  # or one like it
    return text


def _text(head: bytes, encoding: str) -> str | None:
    try:
        # incremental, because the last character may be cut
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _text_type(text: str, promised: str | None) -> str | None:
    markup = _markup(text)
    if promised is None:
        return markup or (PLAIN if text else None)
    if promised == SVG:
        unreached = markup == XML and not _root(text)
        return SVG if unreached else markup or (PLAIN if text else None)
    if not _is_text(promised) and is_recognisable(promised):
        return markup or (PLAIN if text else None)
    if markup != HTML or promised in _MARKED_UP:
        return promised
    if promised == XML or promised.endswith("+xml"):
        # <p>, <table>, <a> are HTML to a browser that guesses, and roots of XML as well
        return HTML if _HTML_ROOT.match(text) else promised
    return HTML


def _markup(text: str) -> str | None:
    """Return the type of text that begins as HTML, SVG or XML does."""
    root = _root(text)
    if root == "svg" and not _HTML_ROOT.match(text):
        return SVG
    if _HTML.match(text) or root.lower() == "html":
        return HTML
    if text.lstrip().startswith("<?xml"):
        return XML
    return None


def _root(text: str) -> str:
    """Return the name of the outermost element, or of the document type where none is reached."""
    at = 0
    while found := _PROLOGUE.match(text, at):
        at = found.end()
    root = _ROOT.match(text, at) or _DOCTYPE.search(text, 0, at + 200)
    return root[1] if root else ""
