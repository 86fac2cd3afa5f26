"""Resumable uploads by the tus protocol 1.0.0, for clients that speak it.

Core, creation, expiration, checksum and termination: https://tus.io/protocols/resumable-upload
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Self

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from django_fsspec.core.log_fields import log_fields
from django_fsspec.rows import slots

from .deadline import TimedBody
from .finish import finish
from .pending_parts import PendingParts
from .refusals import UploadRefused, refusing_storage_errors, too_long, without_django_log
from .request_body import content_length
from .start import begin_upload, storage_of
from .tokens import Upload

logger = logging.getLogger("django_fsspec")

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,checksum,termination"
CHECKSUMS = ("sha1", "sha256")
#: digits of a number
_MAX_DIGITS = 20


@csrf_exempt  # the ticket proves what a CSRF token would
def tus_uploads(request: HttpRequest) -> HttpResponse:
    """Create an upload: POST with ``Upload-Length`` and ``Upload-Metadata``.

    The metadata have `ticket`, `filename` and `filetype`. 201 with the ``Location`` of the upload,
    or what ``uploads.start()`` refuses.
    """
    return _respond(request, {"POST": lambda: _create(request)})


@csrf_exempt  # the token in the URL proves what a CSRF token would
def tus_upload(request: HttpRequest, token: str) -> HttpResponse:
    """Send bytes of an upload (PATCH), ask how many arrived (HEAD), delete them (DELETE).

    400 for a malformed request, 403 for a forged URL or that of another user, 408 for a client
    that is too slow, 409 for another offset than the one reached, 410 for an expired URL and where
    the upload was deleted, 413 for more bytes than were announced or too many parts, 460 for
    another checksum, 502 where the storage fails. When all bytes are there, the header
    ``Upload-Receipt`` is the receipt for a form; what ``uploads.finish()`` refuses is refused.
    """

    def parts() -> tuple[Upload, PendingParts]:
        upload = Upload.parse(token)
        if not upload.part_size:
            # the URL of a part is for whoever has it, as other signed URLs are: here nobody knows
            # the user of a client of an API, whom finish() checks
            upload = Upload.read(token)
        if not upload.parts_id:
            raise UploadRefused(404, "The upload does not go to this view.")
        return upload, PendingParts(storage_of(upload.alias), upload)

    actions = {
        "HEAD": lambda: _progress(token, *parts()),
        "PATCH": lambda: _append(request, token, *parts()),
        "DELETE": lambda: _delete(*parts()),
    }
    return _respond(request, actions)


def _respond(
    request: HttpRequest, actions: Mapping[str, Callable[[], HttpResponse]]
) -> HttpResponse:
    """Return what the action for the method does, with the headers of the protocol."""
    method = request.headers.get("X-HTTP-Method-Override", request.method or "")
    if method == "OPTIONS":
        response = HttpResponse(status=204)
        response["Tus-Extension"] = EXTENSIONS
        response["Tus-Checksum-Algorithm"] = ",".join(CHECKSUMS)
    elif method not in actions:
        response = _refused(405, "The method is not allowed.")
        response["Allow"] = ", ".join((*actions, "OPTIONS"))
    elif request.headers.get("Tus-Resumable") != VERSION:
        response = _refused(412, f"The header Tus-Resumable must be {VERSION}.")
    else:
        response = _answered(actions[method])
    if response.status_code == 412 or method == "OPTIONS":
        response["Tus-Version"] = VERSION
    response["Tus-Resumable"] = VERSION
    response["Cache-Control"] = "no-store"
    return response


def _answered(action: Callable[[], HttpResponse]) -> HttpResponse:
    try:
        with refusing_storage_errors():
            return action()
    except UploadRefused as error:
        return _refused(error.status, error.message)


def _refused(status: int, message: str) -> HttpResponse:
    """Log a refusal and return the error response."""
    logger.warning(
        "A tus upload was refused with %d: %s",
        status,
        message,
        extra=log_fields(operation="upload", status=status),
    )
    response = HttpResponse(message, status=status, content_type="text/plain")
    if status == 460:
        response.reason_phrase = "Checksum Mismatch"
    return without_django_log(response)


def _create(request: HttpRequest) -> HttpResponse:
    metadata = _metadata(request.headers.get("Upload-Metadata", ""))
    size = _byte_count(request, "Upload-Length")
    upload = begin_upload(
        metadata.get("ticket"), metadata.get("filename"), size, metadata.get("filetype", "")
    )
    parts = PendingParts(storage_of(upload.alias), upload)
    upload = parts.begun()
    token = upload.signed()
    response = HttpResponse(status=201)
    response["Location"] = reverse("django_fsspec:tus_upload", kwargs={"token": token})
    if not size:
        parts.complete("")
    return _with_progress_and_receipt(response, token, upload, 0)


def _metadata(header: str) -> dict[str, str]:
    """Return the pairs of ``Upload-Metadata``. Raises ``UploadRefused`` (400)."""
    try:
        pairs = (pair.strip().partition(" ") for pair in header.split(",") if pair.strip())
        return {key: base64.b64decode(text, validate=True).decode() for key, _, text in pairs}
    except ValueError:
        raise UploadRefused(400, "Upload-Metadata is malformed.") from None


def _byte_count(request: HttpRequest, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        raise UploadRefused(400, f"The header {header} must be a number of bytes.")
    return int(text)


def _progress(token: str, upload: Upload, parts: PendingParts) -> HttpResponse:
    response = HttpResponse()
    response["Upload-Length"] = str(upload.size)
    metadata = {"filename": upload.original, "filetype": upload.final_type or upload.content_type}
    response["Upload-Metadata"] = ",".join(
        f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in metadata.items()
    )
    return _with_progress_and_receipt(response, token, upload, parts.offset())


def _with_progress_and_receipt(
    response: HttpResponse, token: str, upload: Upload, offset: int
) -> HttpResponse:
    """Add how far an upload is; finish one that is all there, which tus has no request for.

    Raises as ``finish()``.
    """
    response["Upload-Offset"] = str(offset)
    response["Upload-Expires"] = http_date(upload.expires)
    if offset == upload.size and not upload.part_size:
        response["Upload-Receipt"] = finish(token)
    return response


def _delete(upload: Upload, parts: PendingParts) -> HttpResponse:
    parts.offset()  # raises where it was deleted before
    slots.free(upload.slot)
    parts.abort()
    return HttpResponse(status=204)


def _append(request: HttpRequest, token: str, upload: Upload, parts: PendingParts) -> HttpResponse:
    if request.content_type != "application/offset+octet-stream":
        raise UploadRefused(415, "The Content-Type must be application/offset+octet-stream.")
    offset, checksum = _byte_count(request, "Upload-Offset"), _Checksum(request)
    parts.check_offset(offset)
    added: list[int] = []
    try:
        with _Body(request, upload.size - offset) as body:
            while data := body.read(parts.piece_size):
                checksum.update(data)
                parts.add(offset, data)
                added.append(offset)
                offset += len(data)
        if body.late is not None:
            raise body.late
        checksum.finish(complete=not body.cut)
    except UploadRefused:
        if checksum:
            parts.drop(added)  # nobody has checked them; without a checksum the client resumes
        raise
    return _with_progress_and_receipt(HttpResponse(status=204), token, upload, offset)


class _Checksum:
    """The checksum that a client announced of a body, if any; true where there is one."""

    def __init__(self, request: HttpRequest) -> None:
        header = request.headers.get("Upload-Checksum", "")
        algorithm, _, digest = header.partition(" ")
        self._hash: Any = None
        if not header:
            return
        if algorithm not in CHECKSUMS:
            names = " or ".join(CHECKSUMS)
            raise UploadRefused(400, f"The algorithm of Upload-Checksum must be {names}.")
        try:
            self._digest = base64.b64decode(digest, validate=True)
        except ValueError:
            raise UploadRefused(400, "Upload-Checksum is not Base64.") from None
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def __bool__(self) -> bool:
        return self._hash is not None

    def update(self, data: bytes) -> None:
        if self:
            self._hash.update(data)

    def finish(self, *, complete: bool) -> None:
        """Raise ``UploadRefused`` (460) where the body differs, or ended early."""
        if self and not (complete and self._hash.digest() == self._digest):
            raise UploadRefused(460, "The bytes differ from their checksum. Send them again.")


class _Body:
    """The body of a PATCH, of at most `most` bytes; one that breaks off counts as far as it came.

    Raises ``UploadRefused`` (413) where it is longer.
    """

    def __init__(self, request: HttpRequest, most: int) -> None:
        self._length = content_length(request)
        if (self._length or 0) > most:
            raise too_long()
        self._left = most if self._length is None else self._length
        self._source = TimedBody(request, chunked=self._length is None)
        #: whether it ended before the client had sent all
        self.cut = False
        #: why the client was cut off, if it was too slow, or is gone
        self.late: UploadRefused | None = None

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._source.__exit__(*error)

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end, b"" after it."""
        gathered = bytearray()
        while not self.cut and len(gathered) < size and self._left:
            try:
                piece = self._source.read(min(size - len(gathered), self._left))
            except UploadRefused as error:
                self.late, piece = error, b""
            gathered += piece
            self._left -= len(piece)
            self.cut = not piece and (self._length is not None or self.late is not None)
            if not piece:
                break
        if not (self._left or self.cut) and self._length is None and self._source.read(1):
            raise too_long()
        return bytes(gathered)
