"""Compressed variants beside a static file, which web servers send in its place."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from tempfile import SpooledTemporaryFile
from typing import Any

from django.core.files.base import File

from django_fsspec.core.content_types import extension_of
from django_fsspec.core.extras import load
from django_fsspec.core.source import seekable

from .options import OptionError

#: content coding -> what nginx (`gzip_static`, `brotli_static`), Caddy and whitenoise append
SUFFIXES = {"gzip": ".gz", "br": ".br"}

#: largest size of a variant that is stored, as a share of the plain file's; whitenoise's figure
_WORTH = 0.95

#: bytes of a variant that are kept in memory
_IN_MEMORY = 1024 * 1024

_IMAGES = ".jpg .jpeg .png .gif .webp .avif .jxl .heic"
_ARCHIVES = ".zip .gz .tgz .bz2 .tbz .xz .br .zst .7z .rar"
_FONTS = ".woff .woff2"
_SOUND = ".mp3 .m4a .aac .ogg .oga .opus .flac"
_VIDEO = ".3gp .3gpp .asf .avi .flv .m4v .mov .mp4 .mpeg .mpg .ogv .swf .webm .wmv"

#: extensions of files that are compressed already; whitenoise's, and later formats
_COMPRESSED = frozenset(f"{_IMAGES} {_ARCHIVES} {_FONTS} {_SOUND} {_VIDEO}".split())


def checked_codings(codings: object, *, gzip: object) -> tuple[str, ...]:
    """Return the value of the option `precompressed`. Raises ``OptionError``."""
    if isinstance(codings, str) or not isinstance(codings, Collection):
        raise OptionError("precompressed", f"must be a list such as ['gzip'], not {codings!r}.")
    for coding in codings:
        if coding not in SUFFIXES:
            known = " and ".join(map(repr, SUFFIXES))
            raise OptionError("precompressed", f"has {coding!r}; known are {known}.")
    if codings and gzip:
        raise OptionError(
            "precompressed",
            "stores compressed files beside the plain ones, and 'gzip' in their place: "
            "leave one out.",
        )
    return tuple(coding for coding in SUFFIXES if coding in codings)


def variants_of(name: str) -> dict[str, str]:
    """Return the name of each variant that a file may have, by content coding."""
    if extension_of(name) in _COMPRESSED:
        return {}
    return {coding: name + suffix for coding, suffix in SUFFIXES.items()}


def require_packages(codings: Collection[str], user: str) -> None:
    """Raise ``ImproperlyConfigured`` for a missing package, naming its extra and the `user`."""
    if "br" in codings:
        load("brotli", "brotli", user)


def compressed(content: File[Any], coding: str) -> File[Any] | None:
    """Return compressed content, or None where it is not worth a file.

    The same content and release of the compressor give the same bytes. Memory is bounded.
    """
    if not seekable(content):
        return None
    packer = _Gzip() if coding == "gzip" else _Brotli()
    out = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (its reader closes it)
    size = 0
    for chunk in content.chunks():
        data = chunk.encode() if isinstance(chunk, str) else chunk
        size += len(data)
        out.write(packer.add(data))
    out.write(packer.end())
    if out.tell() > size * _WORTH:
        out.close()
        return None
    out.seek(0)
    return File(out)


class _Gzip:
    def __init__(self) -> None:
        # wbits 31 is gzip with a zero time
        packer = zlib.compressobj(9, wbits=31)
        self.add, self.end = packer.compress, packer.flush


class _Brotli:
    def __init__(self) -> None:
        packer = load("brotli", "brotli", "precompressed=['br']").Compressor()
        self.add, self.end = packer.process, packer.finish
