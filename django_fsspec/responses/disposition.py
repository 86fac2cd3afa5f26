"""How a browser is to treat a file: its name, and whether it may be shown (RFC 6266, 8187).

Pure: text in, text out.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from django_fsspec.core.names import BIDI

#: characters of a file's name; file systems take no more than 255 bytes
MAX_NAME = 150
#: what a file that a browser could execute may do when it is opened after all: nothing
SANDBOX = "sandbox; default-src 'none'"

#: What a browser shows without running anything in it. A "+xml" is XML, whatever is before it.
_PASSIVE = re.compile(r"(?:image/(?!svg)|audio/|video/)[^+]*|text/plain|application/pdf")
#: not allowed in names on some system, or not printed at all
_UNSAFE = frozenset('<>:"/\\|?*')


def is_active(content_type: str) -> bool:
    """Return whether a browser may execute what is of this type; it may, where nobody knows."""
    return not _PASSIVE.fullmatch(content_type.partition(";")[0].strip().lower())


def safe_name(name: str) -> str:
    """Return `name` as a file may be called on any system, at most ``MAX_NAME`` characters.

    Control characters, those that turn the direction of writing and lone surrogates go, as do
    leading dots; the ending stays.
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
    """Return the value of ``Content-Disposition`` for a file called `name`.

    A name that is not plain ASCII comes twice: for all, and exactly (RFC 6266 4.3, appendix D).
    """
    kind = "attachment" if attachment else "inline"
    name = safe_name(name)
    plain = "".join(
        char if " " <= char <= "~" and char != "%" else "_"
        for char in unicodedata.normalize("NFKD", name)
        if not unicodedata.combining(char)
    )
    shown = f'{kind}; filename="{plain}"'
    return shown if plain == name else f"{shown}; filename*=UTF-8''{quote(name, safe='')}"
