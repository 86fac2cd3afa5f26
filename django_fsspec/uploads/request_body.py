"""The body of a PUT to our own upload URL: length and content type checked as it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Self

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from django_fsspec.objects.sniffing import HEAD
from django_fsspec.validators import ContentTypeValidator

from .deadline import TimedBody
from .refusals import UploadRefused, ended_early, other_bytes, too_long


def content_length(request: HttpRequest) -> int | None:
    """Return the ``Content-Length`` of a request; None without one, or where it is no number."""
    text = request.headers.get("Content-Length", "")
    # int() raises for thousands of digits
    return int(text[:20]) if text.isascii() and text.isdigit() else None


class RequestBody:
    """The body of a request as content to store. Reading raises, so that nothing is stored.

    A context manager around all reading: see `TimedBody`.

    `size` is the granted number of bytes; without one the request must have a
    ``Content-Length``. A chunked body is counted as it comes (RFC 9112 7.1), where the server
    passes it on. `types` are patterns that the first bytes must match; `name` counts too. `sha256`
    is in hexadecimal, "" for any.

    Raises ``UploadRefused``: 400 or 413 for another length, 411 without a length.
    """

    def __init__(
        self,
        request: HttpRequest,
        name: str,
        size: int | None,
        types: Sequence[str] | None,
        sha256: str = "",
    ) -> None:
        announced = content_length(request)
        if size is not None and announced is not None and announced != size:
            status = 413 if announced > size else 400
            message = (
                f"Content-Length is {announced}, but the upload was announced with {size} bytes."
            )
            raise UploadRefused(status, message)
        if announced is None and (size is None or not _reads_chunks(request)):
            raise UploadRefused(411, "Content-Length is required.")
        self.size = announced if size is None else size
        self._left: int = self.size or 0
        self._source = TimedBody(request, chunked=announced is None)
        self._name, self._types, self._head = name, types, b""
        self._began = self._ended = False
        self._sha256, self._hash = sha256, hashlib.sha256()

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._source.__exit__(*error)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, b"" at the end.

        Raises ``UploadRefused``: 400 where the body ends early or has another SHA-256, 408 where
        it is too slow, 413 where it is longer than announced, 415 for another content type.
        """
        if not self._began:
            self._began = True
            self._check_type()
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._take(size)

    def _take(self, size: int) -> bytes:
        if self._ended:
            return b""
        # ask for one byte more than is left: it shows a body that is too long
        piece = self._source.read(min(size, self._left + 1))
        if len(piece) > self._left:
            raise too_long()
        if not piece:
            self._ended = True
            if self._left:
                raise ended_early()
        self._left -= len(piece)
        if self._sha256:
            self._hash.update(piece)
            if not self._left and self._hash.hexdigest() != self._sha256:
                raise other_bytes()
        return piece

    def _check_type(self) -> None:
        while len(self._head) < HEAD and (piece := self._take(HEAD - len(self._head))):
            self._head += piece
        if self._types is None:
            return
        try:
            ContentTypeValidator(self._types)(ContentFile(self._head, name=self._name))
        except ValidationError as error:
            raise UploadRefused(415, " ".join(error.messages)) from None


def _reads_chunks(request: HttpRequest) -> bool:
    """Return whether the server marks the end of a body without a length."""
    return isinstance(request, ASGIRequest) or bool(request.META.get("wsgi.input_terminated"))
