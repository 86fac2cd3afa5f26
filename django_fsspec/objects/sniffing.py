"""Content type detection: the first bytes of a file (magic bytes), and its extension."""

from __future__ import annotations

import codecs
import re
from functools import cache

from django_fsspec.core.content_types import HTML, PLAIN, SVG, XML, extension_of
from django_fsspec.core.extensions import TYPES_BY_EXTENSION, USUAL_EXTENSIONS

from .signatures import FONT_TYPES, OLE, has_pictures, known_types, signed_types

#: bytes that are read
HEAD = 8192

_ZIP = "application/zip"
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
    FONT_TYPES,
    {"font/woff", "font/woff2"},
    {OLE, "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"},
)

#: containers of formats that have no signature of their own: .kmz, .pages, .ai, .nef, .msi
_CONTAINERS = _ZIPPED | {
    OLE,
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

#: the type of sound alone in the container of a film
_SOUND = {
    "video/3gpp": "audio/3gpp",
    "video/3gpp2": "audio/3gpp2",
    "video/mp4": "audio/mp4",
    "video/ogg": "audio/ogg",
    "video/webm": "audio/webm",
    "video/x-matroska": "audio/x-matroska",
}

#: formats that have a signature and are text
_TEXTUAL = {
    "application/pdf",
    "application/postscript",
    "application/rtf",
    "audio/amr",
    "audio/amr-wb",
}
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
    return next(iter(sniff_all(head, name)), None)


def sniff_all(head: bytes, name: str) -> tuple[str, ...]:
    """Detect all content types that the bytes may have under this name, the likeliest first.

    A film of which no track is within the first bytes may be sound alone. See ``sniff()``.
    """
    head = head[:HEAD]
    promised = promised_type(name)
    signed, text = signed_types(head), _decoded(head)
    fits = promised is not None and any(_fits(detected, promised) for detected in signed)
    # "BM is short for benchmark" is a bitmap only if its extension says so
    if signed and (text is None or signed[0] in _TEXTUAL or fits):
        return _tracks(head, promised if fits and promised else signed[0])
    detected = None if text is None else _text_type(text, promised)
    return () if detected is None else (detected,)


def _tracks(head: bytes, content_type: str) -> tuple[str, ...]:
    sound = _SOUND.get(content_type)
    pictures = has_pictures(head)
    if sound is None or pictures:
        return (content_type,)
    return (content_type, sound) if pictures is None else (sound, content_type)


def promised_type(name: str) -> str | None:
    """Return the content type of the extension of a name, None where it has none."""
    return TYPES_BY_EXTENSION.get(extension_of(name))


def is_misnamed(head: bytes, name: str) -> bool:
    """Return whether the extension of `name` is none of those that the bytes usually have.

    Without an extension a name fits all bytes. An extension that no type has fits only bytes of a
    type without usual extensions. Raises as ``sniff()`` does.
    """
    extension, detected = extension_of(name), sniff_all(head, name)
    promised = promised_type(name)
    if not extension or promised in detected:
        return False
    if not detected:
        return promised is not None and is_recognisable(promised)
    usual = USUAL_EXTENSIONS.get(detected[0], ())
    return extension not in usual and (promised is not None or bool(usual))


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
    if detected == OLE and promised in _OOXML:
        return True  # encrypted with a password
    return detected in _CONTAINERS and not is_recognisable(promised)


@cache
def _signed() -> frozenset[str]:
    # filetype claims a signature for brotli, which has none
    return known_types().union(*_ALIKE) - {"application/octet-stream", "application/x-brotli"}


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
