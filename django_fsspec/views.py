"""The views behind our own signed URLs: a file out, a file in."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

from django.core.files.storage import storages
from django.core.handlers.asgi import ASGIRequest
from django.core.signing import BadSignature
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header, http_date
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from .headers import guess_type
from .signing import ExpiredSignature, Grant, read_token
from .stat import Stat
from .storage import FSSpecStorage

logger = logging.getLogger("django_fsspec")

#: content types that a browser shows without running anything in them
_PASSIVE = re.compile(r"(image/(?!svg)|audio/|video/|text/plain$|application/pdf$)")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


def _granted(token: str, *, for_upload: bool) -> tuple[Grant, FSSpecStorage] | HttpResponse:
    try:
        grant = read_token(token, for_upload=for_upload)
    except ExpiredSignature:
        return HttpResponse("This link has expired.", status=410, content_type="text/plain")
    except BadSignature:
        return HttpResponse("This link is not valid.", status=403, content_type="text/plain")
    storage = storages[grant.alias] if grant.alias in storages.backends else None
    if not isinstance(storage, FSSpecStorage):
        raise Http404("The storage of this link is not there any more.")
    return grant, storage


@require_http_methods(["GET", "HEAD"])
def file(request: HttpRequest, token: str) -> HttpResponseBase:
    """Serve what a signed URL grants: whole or one range of it, streamed, memory flat."""
    granted = _granted(token, for_upload=False)
    if isinstance(granted, HttpResponse):
        return granted
    grant, storage = granted
    try:
        stat = storage.stat(grant.name)
    except FileNotFoundError as error:
        raise Http404("There is no such file.") from error
    if stat.content_encoding == "gzip" and storage.options.gzip:
        # what the storage unpacks on the way is longer than what is stored
        stat = replace(stat, size=None, content_encoding=None)
    try:
        wanted = _range(request.headers.get("Range", ""), stat.size)
    except ValueError:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{stat.size}"})
    response = _response(request, storage, grant, wanted)
    _describe(response, grant, stat, wanted)
    return response


def _range(header: str, size: int | None) -> tuple[int, int] | None:
    """Return the one range asked for, as Python offsets, or None for the whole (RFC 9110 14).

    Raises ``ValueError`` for one that can't be satisfied; several ranges give the whole.
    """
    match = _RANGE.match(header)
    if match is None or size is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= size or end <= start:
        raise ValueError(header)
    return start, end


def _response(
    request: HttpRequest, storage: FSSpecStorage, grant: Grant, wanted: tuple[int, int] | None
) -> HttpResponseBase:
    status = 200 if wanted is None else 206
    if request.method == "HEAD":
        return HttpResponse(status=status)
    start, end = wanted or (None, None)
    content: Iterator[bytes] | AsyncIterator[bytes]
    if isinstance(request, ASGIRequest):
        content = storage.astream(grant.name, start, end)
    else:
        content = storage.stream(grant.name, start, end)
    return StreamingHttpResponse(content, status=status)


def _describe(
    response: HttpResponseBase, grant: Grant, stat: Stat, wanted: tuple[int, int] | None
) -> None:
    kind = grant.headers.get("content_type") or stat.content_type or guess_type(grant.name)
    label = grant.name.rpartition("/")[2]
    active = not _PASSIVE.match(kind)
    response["Content-Type"] = kind
    response["Content-Disposition"] = grant.headers.get("content_disposition") or str(
        content_disposition_header(active, label)
    )
    response["X-Content-Type-Options"] = "nosniff"
    if active:
        response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Accept-Ranges"] = "none" if stat.size is None else "bytes"
    if stat.last_modified is not None:
        response["Last-Modified"] = http_date(stat.last_modified.timestamp())
    if wanted is not None:
        response["Content-Range"] = f"bytes {wanted[0]}-{wanted[1] - 1}/{stat.size}"
        response["Content-Length"] = str(wanted[1] - wanted[0])
    elif stat.size is not None:
        response["Content-Length"] = str(stat.size)
    if stat.content_encoding:
        response["Content-Encoding"] = stat.content_encoding


class _Body:
    """The request's body as content: one that stops short of its length is an error."""

    def __init__(self, request: HttpRequest, length: int) -> None:
        self._request, self._left = request, length
        self.size = length

    def read(self, size: int) -> bytes:
        chunk = self._request.read(min(size, self._left))
        if not chunk and self._left:
            raise ConnectionError("The upload ended before its Content-Length.")
        self._left -= len(chunk)
        return chunk


@csrf_exempt  # the token in the URL is what a CSRF token would prove
@require_http_methods(["PUT"])
def upload(request: HttpRequest, token: str) -> HttpResponse:
    """Store the body of a PUT under the name that a signed URL grants; never overwrites."""
    granted = _granted(token, for_upload=True)
    if isinstance(granted, HttpResponse):
        return granted
    grant, storage = granted
    length = request.headers.get("Content-Length", "")
    if not length.isdigit():
        return HttpResponse("Content-Length is required.", status=411)
    kind = grant.headers.get("content_type")
    if kind and request.headers.get("Content-Type") != kind:
        return HttpResponse(f"The Content-Type must be {kind}.", status=400)
    told: dict[str, Any] = dict(grant.headers)
    flow = storage.backend.save(
        grant.name, _Body(request, int(length)), overwrite=False, exact=True, told=told
    )
    try:
        storage.backend.run(flow)
    except FileExistsError:
        return HttpResponse("There is a file of this name.", status=412)
    except ConnectionError:
        logger.info("An upload to %s broke off; nothing was stored.", grant.alias)
        return HttpResponse("The upload broke off.", status=400)
    return HttpResponse(status=201)
