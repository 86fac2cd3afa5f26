"""Images by Pillow: check that a file is an image, and read its width and height."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import IO, Any, NamedTuple

from django_fsspec.core import extras
from django_fsspec.core.content_types import (
    UNKNOWN_TYPE,
    canonical,
    extension_of,
)
from django_fsspec.core.extensions import USUAL_EXTENSIONS

from .pending_content import Unreadable

#: Pillow's formats that are accepted by default, with their content types. Not those that are
#: programs (EPS), drawings (WMF) or source text (XBM, XPM), and not the rare ones.
FORMATS = {
    "AVIF": "image/avif",
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "HEIF": "image/heif",  # of the package pillow-heif
    "ICO": "image/vnd.microsoft.icon",
    "JPEG": "image/jpeg",
    "JPEG2000": "image/jp2",
    "PNG": "image/png",
    "PPM": "image/x-portable-anymap",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
}

_PIECE = 1 << 16
#: the EXIF tag of the orientation, and its values that turn the picture by 90 degrees
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
#: Pillow has turned the size of a TIFF already; no browser turns a WebP
_NOT_TURNED = ("TIFF", "WEBP")


class NoImage(Exception):
    """The file is no image that Pillow can open, or it is truncated."""


class TooManyPixels(Exception):
    """The header of the image tells more pixels than are allowed: `width` times `height`."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(f"{width} x {height} pixels")
        self.width, self.height = width, height


class Header(NamedTuple):
    """What the header of an image tells: size in pixels as browsers show it, and its format."""

    width: int
    height: int
    content_type: str
    #: of files of the format, each with its dot
    extensions: tuple[str, ...]

    def fits(self, name: str) -> bool:
        """Return whether a file of the format may have this name: a usual extension, or none."""
        return extension_of(name) in ("", *self.extensions)

    def rename(self, name: str) -> str:
        """Return `name` with an extension of the format, where it has none that fits."""
        if self.fits(name) or not self.extensions:
            return name
        folder, last = posixpath.split(name)
        root = last.rstrip(". ").rpartition(".")[0] or "image"
        return posixpath.join(folder, root + self.extensions[0])


def check(
    file: IO[bytes], formats: Iterable[str] | None = None, max_pixels: int | None = None
) -> Header:
    """Return the header of an image that Pillow opens and verifies; raise ``NoImage`` for others.

    `formats` are names of Pillow's formats, by default the keys of `FORMATS`. Decodes no pixels: a
    few kilobytes can become gigabytes. Pillow then accepts a truncated JPEG, so this looks for the
    marker of its end. Raises ``TooManyPixels`` for more than `max_pixels`, ``Unreadable`` for
    content that can't be read, and ``ImproperlyConfigured`` without the extra `images`.
    """
    image = _opened(file, formats)
    header = _header(image)
    if max_pixels is not None and header.width * header.height > max_pixels:
        raise TooManyPixels(header.width, header.height)
    try:
        image.verify()
    except Unreadable:
        raise
    except Exception as error:
        raise NoImage(str(error)) from error
    if image.format in ("JPEG", "MPO") and not _reaches_its_end(file):
        raise NoImage("The JPEG is truncated.")
    return header


def header(file: IO[bytes], formats: Iterable[str] | None = None) -> Header:
    """Return what the header of an image tells, and read nothing else.

    Phones store the pixels of an upright photograph as a lying one, with an orientation in EXIF by
    which it is turned. Raises as ``check()`` does.
    """
    return _header(_opened(file, formats))


def content_types_of(formats: Iterable[str] | None = None) -> frozenset[str]:
    """Return the content types of Pillow's `formats`, by default those of `FORMATS`."""
    return frozenset(map(_content_type, FORMATS if formats is None else formats))


def unknown_formats(formats: Iterable[str]) -> list[str]:
    """Return those of `formats` that Pillow can't open.

    Raises ``ImproperlyConfigured`` without the extra `images`.
    """
    known = _known_formats()
    return [name for name in formats if name not in known]


def _known_formats() -> dict[str, Any]:
    pillow = _pillow()
    pillow.init()
    known: dict[str, Any] = pillow.OPEN
    return known


def _content_type(name: str) -> str:
    if name == "MPO":
        name = "JPEG"  # with more pictures behind the first
    if name in FORMATS:
        return FORMATS[name]
    return canonical(_pillow().MIME.get(name, UNKNOWN_TYPE))


def _header(image: Any) -> Header:
    width, height = map(int, image.size)
    if _is_turned(image):
        width, height = height, width
    content_type = _content_type(image.format)
    usual = USUAL_EXTENSIONS.get(content_type)
    if usual is None:
        registered = _pillow().registered_extensions()
        usual = tuple(
            extension for extension in registered if registered[extension] == image.format
        )
    return Header(width, height, content_type, usual)


def _is_turned(image: Any) -> bool:
    """Return whether the picture is shown turned by 90 degrees."""
    data = image.info.get("exif")
    if not data or image.format in _NOT_TURNED:
        return False
    # not image.getexif(), which decodes the pixels of a PNG without EXIF
    exif = _pillow().Exif()
    try:
        exif.load(data)
        return exif.get(_ORIENTATION) in _TURNED
    except Exception:  # browsers show a picture with broken EXIF as it is stored
        return False


def _pillow() -> Any:
    return extras.load("PIL.Image", "images", "Looking at images")


def _opened(file: IO[bytes], formats: Iterable[str] | None) -> Any:
    known = _known_formats()
    wanted = [name for name in (FORMATS if formats is None else formats) if name in known]
    try:
        return _pillow().open(file, formats=wanted)
    except Unreadable:
        raise
    except Exception as error:  # plugins raise anything
        raise NoImage(str(error)) from error


def _reaches_its_end(file: IO[bytes]) -> bool:
    """Return whether a JPEG has an end-of-image marker after the start of its scan."""
    file.seek(2)
    while (marker := _marker(file)) != 0xDA:
        length = int.from_bytes(file.read(2), "big")
        if marker is None or length < 2:
            return True  # a header that only Pillow knows
        file.seek(length - 2, 1)
    last = b""
    while piece := file.read(_PIECE):
        # in a scan, FF is followed by 00 or a restart marker
        if b"\xff\xd9" in last + piece:
            return True
        last = piece[-1:]
    return False


def _marker(file: IO[bytes]) -> int | None:
    """Return the second byte of the next marker, after any number of FF."""
    byte = file.read(1)
    if byte != b"\xff":
        return None
    while byte == b"\xff":
        byte = file.read(1)
    return byte[0] if byte else None
