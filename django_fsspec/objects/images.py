"""Images by Pillow: check that a file is an image, and read its width and height."""

from __future__ import annotations

from typing import IO, Any

from django_fsspec.core import extras

from .pending_content import Unreadable

_PIECE = 1 << 16
#: the EXIF tag of the orientation, and its values that turn the picture by 90 degrees
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
#: Pillow has turned the size of a TIFF already; no browser turns a WebP
_NOT_TURNED = ("TIFF", "WEBP")


class NoImage(Exception):
    """The file is no image that Pillow can open, or it is truncated."""


def check(file: IO[bytes]) -> None:
    """Raise ``NoImage`` unless the file is an image that Pillow opens and verifies.

    Decodes no pixels: a few kilobytes can become gigabytes. Pillow then accepts a truncated JPEG,
    so this looks for the marker of its end. Raises ``Unreadable`` for content that can't be read,
    and ``ImproperlyConfigured`` without the extra `images`.
    """
    image = _opened(file)
    try:
        image.verify()
    except Unreadable:
        raise
    except Exception as error:
        raise NoImage(str(error)) from error
    if image.format in ("JPEG", "MPO") and not _reaches_its_end(file):
        raise NoImage("The JPEG is truncated.")


def size(file: IO[bytes]) -> tuple[int, int]:
    """Return width and height in pixels of the picture as browsers show it.

    Reads the header alone. Phones store the pixels of an upright photograph as a lying one, with
    an orientation in EXIF by which it is turned. Raises as ``check()`` does.
    """
    image = _opened(file)
    width, height = map(int, image.size)
    return (height, width) if _is_turned(image) else (width, height)


def _is_turned(image: Any) -> bool:
    """Return whether the picture is shown turned by 90 degrees."""
    data = image.info.get("exif")
    if not data or image.format in _NOT_TURNED:
        return False
    # not image.getexif(), which decodes the pixels of a PNG without EXIF
    exif = extras.load("PIL.Image", "images", "Looking at images").Exif()
    try:
        exif.load(data)
        return exif.get(_ORIENTATION) in _TURNED
    except Exception:  # browsers show a picture with broken EXIF as it is stored
        return False


def _opened(file: IO[bytes]) -> Any:
    pillow = extras.load("PIL.Image", "images", "Looking at images")
    try:
        return pillow.open(file)
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
