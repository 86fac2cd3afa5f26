"""Bodies of uploads to our own endpoint: counted, bounded and looked at while they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from django_fsspec.objects.sniffing import HEAD
from django_fsspec.validators import ContentTypeValidator

from .tokens import Refused


class Body:
    """A request's body as content. What is wrong with it raises, so that nothing is stored.

    `size` is what was granted, to the byte; without one the request must tell its length. A
    chunked body is counted as it comes (RFC 9112 7.1), as far as the server hands it on.
    `types` are patterns for what the first bytes tell, beside what `name` promises.
    """

    def __init__(
        self, request: HttpRequest, name: str, size: int | None, types: Sequence[str] | None
    ) -> None:
        told = request.headers.get("Content-Length", "")
        announced = int(told[:20]) if told.isascii() and told.isdigit() else None
        if size is not None and announced is not None and announced != size:
            status = 413 if announced > size else 400
            raise Refused(status, f"{size} bytes were announced, not {announced}.")
        if announced is None and (size is None or not _reads_chunks(request)):
            raise Refused(411, "Content-Length is required.")
        self.size = announced if size is None else size
        self._left: int = self.size or 0
        self._source = _source(request, chunked=announced is None)
        self._name, self._types, self._head = name, types, b""
        self._began = self._ended = False

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; raises ``Refused`` for what was not granted."""
        if not self._began:
            self._began = True
            self._look()
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._take(size)

    def _take(self, size: int) -> bytes:
        if self._ended:
            return b""
        # one more than is left, to see that there is one
        piece: bytes = self._source.read(min(size, self._left + 1))
        if len(piece) > self._left:
            raise Refused(413, "More bytes came than were announced.")
        if not piece:
            self._ended = True
            if self._left:
                raise Refused(400, "The upload broke off.")
        self._left -= len(piece)
        return piece

    def _look(self) -> None:
        while len(self._head) < HEAD and (piece := self._take(HEAD - len(self._head))):
            self._head += piece
        if self._types is None:
            return
        try:
            ContentTypeValidator(self._types)(ContentFile(self._head, name=self._name))
        except ValidationError as error:
            raise Refused(415, " ".join(error.messages)) from None


def _reads_chunks(request: HttpRequest) -> bool:
    """Whether the server marks the end of a body without a length."""
    return isinstance(request, ASGIRequest) or bool(request.META.get("wsgi.input_terminated"))


def _source(request: HttpRequest, *, chunked: bool) -> Any:
    # Django's own stream ends at the Content-Length, which is 0 where there is none
    wsgi = chunked and not isinstance(request, ASGIRequest)
    return request.META["wsgi.input"] if wsgi else request
