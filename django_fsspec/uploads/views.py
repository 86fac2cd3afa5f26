"""Views of direct uploads: start, status, finish and abort. JSON in, JSON out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_protect

from django_fsspec.core.log_fields import log_fields

from .abort import abort
from .finish import finish, status
from .refusals import UploadRefused, refusing_storage_errors, without_django_log
from .request_body import content_length
from .start import start

logger = logging.getLogger("django_fsspec")

#: largest request body in bytes; a token has one or two thousand
MAX_BODY = 64 * 1024


@csrf_protect
def start_upload(request: HttpRequest) -> HttpResponse:
    """Start a direct upload: see ``uploads.start()``; `sha256` may be left out."""
    return _respond(
        request,
        ("ticket", "name", "size", "type"),
        lambda data: start(
            data["ticket"],
            data["name"],
            data["size"],
            data["type"],
            origin=request.headers.get("Origin", ""),
            sha256=data.get("sha256", ""),
        ),
        ("sha256",),
    )


@csrf_protect
def upload_status(request: HttpRequest) -> HttpResponse:
    """Return which parts of a direct upload arrived: see ``uploads.status()``."""
    return _respond(request, ("upload",), lambda data: status(data["upload"]))


@csrf_protect
def finish_upload(request: HttpRequest) -> HttpResponse:
    """Finish a direct upload: see ``uploads.finish()``; `sha256` may be left out."""
    return _respond(
        request,
        ("upload",),
        lambda data: {"receipt": finish(data["upload"], data.get("sha256", ""))},
        (
            "sha256",
            "parts",
        ),  # clients may list parts, as S3 wants it: the storage is asked instead
    )


@csrf_protect
def abort_upload(request: HttpRequest) -> HttpResponse:
    """Abort a direct upload: see ``uploads.abort()``."""
    return _respond(request, ("upload",), lambda data: {"aborted": abort(data["upload"])})


def _respond(
    request: HttpRequest,
    required: Sequence[str],
    action: Callable[[dict[str, Any]], dict[str, Any]],
    optional: Sequence[str] = (),
) -> HttpResponse:
    """Return what `action` makes of the JSON body, or its refusal as ``{"error": …}``.

    400 for keys other than `required` and `optional`, 405 for another method than POST, 413 for a
    body above ``MAX_BODY`` or of unknown length, 415 for another type than JSON; the statuses of
    what `action` refuses; 502 where the storage fails.
    """
    try:
        with refusing_storage_errors():
            return JsonResponse(action(_read_json(request, required, optional)))
    except UploadRefused as error:
        refusal = error
    logger.warning(
        "A direct upload was refused with %d: %s",
        refusal.status,
        refusal.message,
        extra=log_fields(operation="upload", status=refusal.status),
    )
    response = JsonResponse(refusal.as_json(), status=refusal.status)
    if refusal.status == 405:
        response["Allow"] = "POST"
    return without_django_log(response)


def _read_json(
    request: HttpRequest, required: Sequence[str], optional: Sequence[str]
) -> dict[str, Any]:
    if request.method != "POST":
        raise UploadRefused(405, "Use POST.")
    if request.content_type != "application/json":
        raise UploadRefused(415, "The Content-Type must be application/json.")
    length = content_length(request)
    if length is None or length > MAX_BODY:
        raise UploadRefused(413, f"Content-Length is required, at most {MAX_BODY} bytes.")
    try:
        data = json.loads(request.body)
    except (ValueError, RecursionError):
        raise UploadRefused(400, "The body is not valid JSON.") from None
    if not isinstance(data, dict):
        raise UploadRefused(400, "The body must be a JSON object.")
    if missing := [key for key in required if key not in data]:
        raise UploadRefused(400, f"The key {missing[0]!r} is missing.")
    if unknown := [key for key in data if key not in (*required, *optional)]:
        raise UploadRefused(400, f"The key {unknown[0][:40]!r} is not allowed.")
    return data
