"""Names of content types for people: "JPEG image" for ``image/jpeg``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from django_fsspec.core.content_types import GENERIC_TYPES, canonical

_OPEN = "application/vnd.oasis.opendocument"
_OFFICE = "application/vnd.openxmlformats-officedocument"
#: types with a name of their own; `_FORMATS` are formats of documents, tables and the like, and
#: the rest of images, audio, video and fonts has the name of its subtype
_NAMES: Mapping[str, Any] = {
    "application/gzip": "GZIP",
    "application/json": "JSON",
    "application/xml": "XML",
    "text/calendar": gettext_lazy("Calendar"),
    "text/css": "CSS",
    "text/csv": gettext_lazy("CSV table"),
    "text/html": gettext_lazy("Web page"),
    "text/javascript": "JavaScript",
    "text/markdown": "Markdown",
    "text/plain": gettext_lazy("Text"),
    "text/xml": "XML",
}
_DOCUMENT, _TABLE = gettext_lazy("%(format)s document"), gettext_lazy("%(format)s table")
_SLIDES, _ARCHIVE = gettext_lazy("%(format)s presentation"), gettext_lazy("%(format)s archive")
_FORMATS: Mapping[str, tuple[Any, str]] = {
    "application/epub+zip": (gettext_lazy("%(format)s book"), "EPUB"),
    "application/msword": (_DOCUMENT, "Word"),
    "application/pdf": (_DOCUMENT, "PDF"),
    "application/rtf": (_DOCUMENT, "RTF"),
    "application/vnd.ms-excel": (_TABLE, "Excel"),
    "application/vnd.ms-powerpoint": (_SLIDES, "PowerPoint"),
    "application/vnd.rar": (_ARCHIVE, "RAR"),
    "application/x-7z-compressed": (_ARCHIVE, "7z"),
    "application/x-bzip2": (_ARCHIVE, "bzip2"),
    "application/x-tar": (_ARCHIVE, "TAR"),
    "application/zip": (_ARCHIVE, "ZIP"),
    f"{_OFFICE}.presentationml.presentation": (_SLIDES, "PowerPoint"),
    f"{_OFFICE}.spreadsheetml.sheet": (_TABLE, "Excel"),
    f"{_OFFICE}.wordprocessingml.document": (_DOCUMENT, "Word"),
    f"{_OPEN}.presentation": (_SLIDES, "OpenDocument"),
    f"{_OPEN}.spreadsheet": (_TABLE, "OpenDocument"),
    f"{_OPEN}.text": (_DOCUMENT, "OpenDocument"),
}
_MAIN_TYPES: Mapping[str, Any] = {
    "image": gettext_lazy("%(format)s image"),
    "audio": gettext_lazy("%(format)s audio"),
    "video": gettext_lazy("%(format)s video"),
    "font": gettext_lazy("%(format)s font"),
}
#: subtypes whose upper case is not what people call them
_SUBTYPES = {
    "matroska": "Matroska",
    "mpeg": "MPEG",
    "quicktime": "QuickTime",
    "vnd.adobe.photoshop": "Photoshop",
    "vnd.microsoft.icon": "ICO",
    "webp": "WebP",
    "webm": "WebM",
}
_PREFIX = re.compile(r"^(x-|vnd\.)+|\+\w+$")


def name_of_type(content_type: str) -> str:
    """Return the name of a content type in the language of the request.

    A type that has none is returned as it is.
    """
    essence = canonical(content_type)
    if not essence or essence in GENERIC_TYPES:
        return gettext("Unknown type")
    if essence in _NAMES:
        return str(_NAMES[essence])
    if essence in _FORMATS:
        pattern, name = _FORMATS[essence]
        return str(pattern) % {"format": name}
    main_type, _, subtype = essence.partition("/")
    if main_type not in _MAIN_TYPES:
        return essence
    if essence == "audio/mpeg":
        name = "MP3"
    else:
        name = _SUBTYPES.get(subtype) or _PREFIX.sub("", subtype).upper()
    return str(_MAIN_TYPES[main_type]) % {"format": name}
