"""Content type and disposition of a download: the headers that tell a browser what to do with it.

Pure: text in, text out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from urllib.parse import quote

from django_fsspec.core.content_types import GENERIC_TYPES, guess_type, is_active, safe_type
from django_fsspec.core.names import BIDI

#: characters of a file name; file systems allow 255 bytes
MAX_NAME = 150
#: policy for content that a browser could execute: it may do nothing
SANDBOX = "sandbox; default-src 'none'"

#: not allowed in file names on some operating system
_UNSAFE = frozenset('<>:"/\\|?*')


def safe_name(name: str) -> str:
    """Return `name` made valid for any operating system, at most ``MAX_NAME`` characters.

    Removes control characters, text direction characters, lone surrogates and leading dots; keeps
    the extension.
    """
    kept = "".join(
        "_" if char in _UNSAFE else char
        for char in BIDI.sub("", name)
        if unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
    )
    kept = kept.strip(" .") or "download"
    if len(kept) <= MAX_NAME:
        return kept
    root, dot, ending = kept.rpartition(".")
    tail = dot + ending if root and len(ending) <= 20 else ""
    return kept[: MAX_NAME - len(tail)].rstrip(" .") + tail


def disposition(name: str, *, attachment: bool) -> str:
    """Return the value of ``Content-Disposition`` for a file called `name` (RFC 6266, 8187).

    A name that is not ASCII is sent twice, as ASCII and exactly (RFC 6266 4.3, appendix D).
    """
    disposition_type = "attachment" if attachment else "inline"
    name = safe_name(name)
    plain = "".join(
        char if " " <= char <= "~" and char != "%" else "_"
        for char in unicodedata.normalize("NFKD", name)
        if not unicodedata.combining(char)
    )
    value = f'{disposition_type}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name)}"


def content_type_of(name: str, given: str | None) -> str:
    """Return the type to send: `given`, or the one of the file name where that says nothing."""
    content_type = safe_type(given)
    return guess_type(name) if content_type in GENERIC_TYPES else content_type


def content_headers(name: str, content_type: str, *, attachment: bool) -> Mapping[str, str]:
    """Return the headers beside ``Content-Type`` for a file called `name`.

    Content that a browser could execute becomes an attachment with a sandbox policy.
    """
    active = is_active(content_type)
    headers = {
        "Content-Disposition": disposition(name, attachment=attachment or active),
        "X-Content-Type-Options": "nosniff",
    }
    return headers | ({"Content-Security-Policy": SANDBOX} if active else {})
