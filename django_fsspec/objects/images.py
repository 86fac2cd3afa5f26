"""Images as Pillow sees them: whether a file is one, and how large."""

from __future__ import annotations

from typing import IO, Any

from django_fsspec.core import extras

from .pending_content import Unreadable

_PIECE = 1 << 16


class NoImage(Exception):
    """Not a file that Pillow can open, or not all of it."""


def check(file: IO[bytes]) -> None:
    """Raise ``NoImage`` unless the file is an image that Pillow opens and verifies.

    No pixels are decoded, because a few kilobytes can become gigabytes. What Pillow then does
    not notice, a JPEG that is cut off, is looked for.
    """
    image = _opened(file)
    try:
        image.verify()
    except Unreadable:
        raise
    except Exception as error:
        raise NoImage(str(error)) from error
    if image.format in ("JPEG", "MPO") and not _reaches_its_end(file):
        raise NoImage("It is cut off.")


def size(file: IO[bytes]) -> tuple[int, int]:
    """Return width and height in pixels; ``NoImage`` for what is none. Reads the header only."""
    width, height = _opened(file).size
    return int(width), int(height)


def _opened(file: IO[bytes]) -> Any:
    pillow = extras.load("PIL.Image", "images", "Looking at images")
    try:
        return pillow.open(file)
    except Unreadable:
        raise
    except Exception as error:  # plugins raise anything
        raise NoImage(str(error)) from error


def _reaches_its_end(file: IO[bytes]) -> bool:
    """Whether a JPEG has an end-of-image marker after the start of its scan."""
    file.seek(2)
    while (marker := _marker(file)) != 0xDA:
        length = int.from_bytes(file.read(2), "big")
        if marker is None or length < 2:
            return True  # Pillow knows headers that are unknown here
        file.seek(length - 2, 1)
    last = b""
    while piece := file.read(_PIECE):
        # in a scan, what follows on FF is 00 or a restart marker
        if b"\xff\xd9" in last + piece:
            return True
        last = piece[-1:]
    return False


def _marker(file: IO[bytes]) -> int | None:
    """Return the second byte of the next marker, which any number of FF may precede."""
    byte = file.read(1)
    if byte != b"\xff":
        return None
    while byte == b"\xff":
        byte = file.read(1)
    return byte[0] if byte else None
