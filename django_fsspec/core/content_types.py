"""Content types (RFC 9110, 8.3): one that is safe to send, their names, and those by extension.

What the bytes of a file say is found out in ``objects/sniffing``.
"""

from __future__ import annotations

import functools
import posixpath
import re

from .extensions import TYPES_BY_EXTENSION, USUAL_EXTENSIONS

HTML, SVG, XML, PLAIN = "text/html", "image/svg+xml", "application/xml", "text/plain"
UNKNOWN_TYPE = "application/octet-stream"
#: what services report for a file that was stored without a content type
GENERIC_TYPES = (UNKNOWN_TYPE, "binary/octet-stream")

#: types that a browser shows without running scripts; "+xml" is XML, whatever is before it. What
#: is not here may run: downloads and presigned URLs make it an attachment
_PASSIVE = re.compile(r"(?:image/(?!svg)|audio/|video/)[^+]*|text/plain|application/pdf")
#: RFC 6838, 4.2: the tokens of RFC 9110 and RFC 2045 that registered types have
_NAME = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"
_ESSENCE = re.compile(f"{_NAME}/{_NAME}")
#: RFC 9110, 5.6.2 and 5.6.6; a quoted value without commas and escapes
_WORD = r"[!#$%&'*+.^_`|~\w-]+"
_PARAMETER = re.compile(rf'({_WORD})=(?:({_WORD})|"([ !#-+\--\[\]-~]*)")', re.ASCII)
_CHARSET = re.compile(r"[a-z0-9][a-z0-9._:+-]{0,39}", re.IGNORECASE | re.ASCII)
#: a part of a name that is no extension ("photo of Dr. May", "version 1.2"), and one of any bytes
_NO_EXTENSION = re.compile(r"\.(?:.* .*|[0-9]*|bin|dat)", re.DOTALL)
#: types that a web server runs by their extension, or a browser when a bucket tells it the type;
#: and all of XML
_RUN_TYPES = (
    HTML,
    "text/css",
    "text/javascript",
    "message/rfc822",
    "application/java-archive",
    "application/vnd.microsoft.portable-executable",
    "application/wasm",
    "application/x-csh",
    "application/x-elf",
    "application/x-httpd-php",
    "application/x-python-code",
    "application/x-sh",
    "application/x-shockwave-flash",
    "application/x-tcl",
    "text/x-perl",
    "text/x-python",
    "text/x-ruby",
    "text/x-sgml",
)
#: further extensions of the same; "photo.phar.jpg" has two, and Apache may heed both
_RUN_EXTENSIONS = {
    *(".asa", ".ashx", ".asmx", ".asp", ".aspx", ".cdx", ".cer", ".cfm", ".cgi", ".fcgi"),
    *(".jsp", ".jspx", ".lua", ".phar", ".pl", ".shtm", ".shtml", ".stm", ".svgz"),
    *(extension for kind in _RUN_TYPES for extension in USUAL_EXTENSIONS.get(kind, ())),
}
#: extensions of files of any bytes, which nothing runs
_INERT = (".bin", ".dat")
#: what ``get_valid_filename()`` removes from names
_REMOVED = re.compile(r"[^-\w.]")

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


def safe_type(content_type: object) -> str:
    """Return a content type built anew: type, subtype and at most a ``charset``.

    This is what rows, services and browsers are told. Other parameters are dropped. A value that
    is malformed or has a comma, which a browser may read as two types, is ``UNKNOWN_TYPE``, and so
    is what is no text.
    """
    return _rebuilt(content_type) if isinstance(content_type, str) else UNKNOWN_TYPE


@functools.lru_cache(maxsize=1024)
def _rebuilt(content_type: str) -> str:
    essence, *parameters = (part.strip(" \t") for part in content_type.split(";"))
    essence = essence.lower()
    charsets = []
    for parameter in filter(None, parameters):
        match = _PARAMETER.fullmatch(parameter)
        if match is None:
            return UNKNOWN_TYPE
        if match[1].lower() == "charset":
            charsets.append(match[2] or match[3] or "")
    if not _ESSENCE.fullmatch(essence) or len(charsets) > 1:
        return UNKNOWN_TYPE
    if not charsets:
        return essence
    return f"{essence}; charset={charsets[0]}" if _CHARSET.fullmatch(charsets[0]) else UNKNOWN_TYPE


def is_active(content_type: str) -> bool:
    """Return whether a browser might execute this content type; True for unknown types."""
    return not _PASSIVE.fullmatch(content_type.partition(";")[0].strip().lower())


def guess_type(name: str, content: object = None) -> str:
    """Return the content type by the name's extension, else what `content` says of itself."""
    by_name = TYPES_BY_EXTENSION.get(extension_of(name))
    return by_name or safe_type(getattr(content, "content_type", None))


def extension_of(name: str) -> str:
    """Return the extension of a name in lower case, with its dot; "" for a name without one.

    It is what a web server and Windows take for it: ".htaccess" has one, and so has "a.php. ".
    """
    last = posixpath.basename(name).rstrip(". ").lower()
    extension = posixpath.splitext(f"x{last}")[1]
    if extension == ".ini" and _REMOVED.sub("", last) == ".user.ini":
        extension = ".user.ini"  # PHP reads it
    return "" if _NO_EXTENSION.fullmatch(extension) else extension


def types_by_name(name: str) -> tuple[str, ...]:
    """Return all types that usually have the extension of a name, its own first."""
    extension = extension_of(name)
    others = (kind for kind, usual in USUAL_EXTENSIONS.items() if extension in usual)
    return tuple(dict.fromkeys(filter(None, (TYPES_BY_EXTENSION.get(extension), *others))))


def has_usual_extension(name: str, content_type: str) -> bool:
    """Return whether a file of this type may have this name: a usual extension, or none.

    True for a type without usual extensions.
    """
    usual = USUAL_EXTENSIONS.get(canonical(content_type))
    extension = extension_of(name)
    return not usual or not extension or extension in usual


def may_run(name: str, content_type: str) -> bool:
    """Return whether a web server or a bucket might have a file of this name and type run.

    True for names with an unknown extension, or none: a server may run or read them, and a browser
    guesses what they are.
    """
    last = posixpath.basename(name).lower()
    suffixes = {f".{part}" for part in last.split(".")[1:]}
    if suffixes & _RUN_EXTENSIONS or _runs(content_type):
        return True
    content_types = types_by_name(name)
    return not last.endswith(_INERT) and (not content_types or any(map(_runs, content_types)))


def _runs(content_type: str) -> bool:
    kind = canonical(content_type)
    return kind in _RUN_TYPES or kind.endswith(("/xml", "+xml")) or kind.startswith("image/svg")


def canonical(content_type: str) -> str:
    """Return the one name of a content type that has several, without parameters."""
    plain = content_type.partition(";")[0].strip().lower()
    return _CANONICAL_NAMES.get(plain, plain)


def names_of(content_type: str) -> set[str]:
    """Return all names that a content type goes by."""
    name = canonical(content_type)
    return {name, *(alias for alias, other in _CANONICAL_NAMES.items() if other == name)}
