"""Content types (RFC 9110, 8.3): their names, by extension, and which of them say nothing.

What the bytes of a file say is found out in ``objects/sniffing``.
"""

from __future__ import annotations

import mimetypes
import re

HTML, SVG, XML, PLAIN = "text/html", "image/svg+xml", "application/xml", "text/plain"
UNKNOWN_TYPE = "application/octet-stream"
#: what services report for a file that was stored without a content type
GENERIC_TYPES = (UNKNOWN_TYPE, "binary/octet-stream")

_ESSENCE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)

#: what mimetypes calls an encoding is the type of the file itself: a .tar.gz is not to be unpacked
_PACKED_TYPES = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/x-brotli",
}

#: one type, several names: on the left what mimetypes, /etc/mime.types, browsers and filetype say
_CANONICAL_NAMES = {
    "application/csv": "text/csv",
    "application/font-sfnt": "font/sfnt",
    "application/font-woff": "font/woff",
    "application/javascript": "text/javascript",
    "application/ecmascript": "text/javascript",
    "application/vnd.adobe.flash.movie": "application/x-shockwave-flash",
    "application/vnd.ms-opentype": "font/otf",
    "application/x-bzip": "application/x-bzip2",
    "application/x-csv": "text/csv",
    "application/x-deb": "application/vnd.debian.binary-package",
    "application/x-dosexec": "application/vnd.microsoft.portable-executable",
    "application/x-executable": "application/x-elf",
    "application/x-font-otf": "font/otf",
    "application/x-font-ttf": "font/ttf",
    "application/x-gzip": "application/gzip",
    "application/x-javascript": "text/javascript",
    "application/x-msdos-program": "application/vnd.microsoft.portable-executable",
    "application/x-msdownload": "application/vnd.microsoft.portable-executable",
    "application/x-pdf": "application/pdf",
    "application/x-rar": "application/vnd.rar",
    "application/x-rar-compressed": "application/vnd.rar",
    "application/x-redhat-package-manager": "application/x-rpm",
    "application/x-rtf": "application/rtf",
    "application/x-sharedlib": "application/x-elf",
    "application/x-sqlite3": "application/vnd.sqlite3",
    "application/x-yaml": "application/yaml",
    "application/x-zip-compressed": "application/zip",
    "audio/m4a": "audio/mp4",
    "audio/mp3": "audio/mpeg",
    "audio/mp4a-latm": "audio/mp4",
    "audio/sp-midi": "audio/midi",
    "audio/vnd.wave": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-aiff": "audio/aiff",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "audio/x-midi": "audio/midi",
    "audio/x-mpeg": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "image/jpg": "image/jpeg",
    "image/jxr": "image/vnd.ms-photo",
    "image/pjpeg": "image/jpeg",
    "image/x-icon": "image/vnd.microsoft.icon",
    "image/x-ms-bmp": "image/bmp",
    "image/x-photoshop": "image/vnd.adobe.photoshop",
    "image/x-png": "image/png",
    "text/ecmascript": "text/javascript",
    "text/rtf": "application/rtf",
    "text/x-csv": "text/csv",
    "text/x-markdown": "text/markdown",
    "text/x-yaml": "application/yaml",
    "text/xml": XML,
    "text/yaml": "application/yaml",
    "video/avi": "video/x-msvideo",
    "video/matroska": "video/x-matroska",
    "video/msvideo": "video/x-msvideo",
    "video/x-m4v": "video/mp4",
}

#: where mimetypes says otherwise on one system or another, or nothing
EXTENSIONS = {
    ".ai": "application/illustrator",
    ".css": "text/css",
    ".csv": "text/csv",
    ".htm": HTML,
    ".html": HTML,
    ".js": "text/javascript",
    ".json": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".oga": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".svg": SVG,
    ".toml": "application/toml",
    ".txt": PLAIN,
    ".xhtml": "application/xhtml+xml",
    ".xml": XML,
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


def guess_type(name: str, content: object = None) -> str:
    """Return the content type by the name's extension, else what `content` says of itself."""
    # with a slash: "data:text/html,a.png" is a name here, no URL
    guessed, encoding = mimetypes.guess_type(f"/{name}")
    if encoding:
        return _PACKED_TYPES.get(encoding, UNKNOWN_TYPE)
    return guessed or getattr(content, "content_type", None) or UNKNOWN_TYPE


def safe_type(content_type: str | None) -> str:
    """Return a content type that is safe in a header: ``UNKNOWN_TYPE`` for a malformed one."""
    essence, _, parameters = (content_type or "").partition(";")
    if not _ESSENCE.fullmatch(essence.strip()) or not parameters.isprintable():
        return UNKNOWN_TYPE
    if not parameters.isascii():
        return essence.strip()
    return content_type or UNKNOWN_TYPE


def canonical(content_type: str) -> str:
    """Return the one name of a content type that has several, without parameters."""
    plain = content_type.partition(";")[0].strip().lower()
    return _CANONICAL_NAMES.get(plain, plain)


def names_of(content_type: str) -> set[str]:
    """Return all names that a content type goes by."""
    name = canonical(content_type)
    return {name, *(alias for alias, other in _CANONICAL_NAMES.items() if other == name)}
