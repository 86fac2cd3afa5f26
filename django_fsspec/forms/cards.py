"""How forms and the admin show a file: safe name, links, thumbnail, icon. No request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import InvalidStorageError
from django.utils.crypto import salted_hmac
from django.utils.http import content_disposition_header

from django_fsspec.core.names import BIDI, SURROGATE
from django_fsspec.objects.file_object import FileObject
from django_fsspec.storage.aliases import label_of

from .type_names import name_of_type

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: images in which a browser runs no scripts
_PICTURE = re.compile(r"image/(avif|bmp|gif|jpeg|png|webp|x-icon)$")
_ICONS = (
    ("image", re.compile(r"image/")),
    ("audio", re.compile(r"audio/")),
    ("video", re.compile(r"video/")),
    ("archive", re.compile(r"application/(.*zip|.*tar|.*rar|.*7z.*|gzip|.*compress.*)$")),
    ("text", re.compile(r"text/|application/(pdf|json|msword|rtf|.*document.*|.*sheet.*)")),
)
ICONS = (*(icon for icon, _ in _ICONS), "file")
#: raised where a storage has no URL for a file, or is not in STORAGES any more
_NO_URL = (
    ImproperlyConfigured,
    InvalidStorageError,
    NotImplementedError,
    SuspiciousFileOperation,
    ValueError,
    AttributeError,
    OSError,  # NotSupported, by a storage of another package
)


def shown_name(name: str) -> str:
    """Return `name` for display.

    Control and text direction characters are replaced, and lone surrogates, which are no text.
    """
    return SURROGATE.sub("�", BIDI.sub("�", _UNSEEN.sub("�", name)))


def icon_of(content_type: str) -> str:
    """Return the icon for a content type, one of `ICONS`."""
    return next((icon for icon, pattern in _ICONS if pattern.match(content_type)), "file")


def key_of(file: FileObject) -> str:
    """Return the key of a row's file in a form; it does not reveal the path."""
    invalid = "" if file else f"\0{json.dumps(file._to_json())}"
    return _keyed(f"{file.backend}\0{file.filename}{invalid}")


def key_of_reference(text: str) -> str:
    """Return the key of a signed reference or receipt, for names of inputs."""
    return _keyed(text)


def _keyed(text: str) -> str:
    # keys in open pages of earlier releases have this salt, so it stays
    value = text.encode(errors="surrogatepass")  # a client may send half of a character
    return salted_hmac("django_fsspec.cards", value, algorithm="sha256").hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A file as a page shows it. `url` and `download` are empty where its storage has none.

    `error` says why the file can't be used, as ``FileObject.error`` does, else it is empty.
    """

    key: str
    name: str
    size: int | None
    content_type: str
    backend: str = ""
    url: str = ""
    download: str = ""
    #: the URL of an image, else empty
    thumbnail: str = ""
    width: int | None = None
    height: int | None = None
    error: str = ""

    @classmethod
    def of(cls, file: FileObject) -> Self:
        """Return the card of a stored file. Signs its URLs; no request."""
        url = url_of(file)
        return cls(
            key=key_of(file),
            name=shown_name(file.original_name),
            size=file.size,
            content_type=file.content_type,
            backend=file.backend,
            url=url,
            download=_url(lambda: _download(file)) or url,
            error=shown_name(file.error or ""),
            thumbnail=url if _PICTURE.match(file.content_type) and not file.scan_state else "",
            width=file.width,
            height=file.height,
        )

    @classmethod
    def of_upload(cls, file: FileObject, token: str) -> Self:
        """Return the card of an upload that no row has yet. No request.

        There are no links to it, since it may go before the form is sent.
        """
        shown = _PICTURE.match(file.content_type) and not file.scan_state
        thumbnail = _url(lambda: file.sign(content_type=file.content_type)) if shown else ""
        return cls(
            key=key_of_reference(token),
            name=shown_name(file.original_name),
            size=file.size,
            content_type=file.content_type,
            thumbnail=thumbnail,
        )

    @property
    def icon(self) -> str:
        """The icon for its content type."""
        return icon_of(self.content_type)

    @property
    def type_name(self) -> str:
        """The name of its content type for people."""
        return name_of_type(self.content_type)

    @property
    def storage_label(self) -> str:
        """The name of its storage for people."""
        return label_of(self.backend)

    @property
    def extension(self) -> str:
        """The extension of the name, if it has at most four characters."""
        root, dot, ending = self.name.rpartition(".")
        return ending if root and dot and len(ending) <= 4 else ""


def url_of(file: FileObject) -> str:
    """Return the URL of a file, empty where it has none or can't be used: no request."""
    return _url(lambda: file.url)


def _url(make_url: Callable[[], Any]) -> str:
    try:
        return str(make_url() or "")
    except _NO_URL:
        return ""


def _download(file: Any) -> str:
    disposition = content_disposition_header(True, file.original_name)
    return str(file.sign(content_disposition=disposition))
