"""Views: a row's file out; signed URLs of ours, for a file out and in; direct uploads."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.files.storage import storages
from django.core.signing import BadSignature
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.generic import View
from django.views.generic.detail import SingleObjectMixin

from . import uploads
from .fields.stored_object import StoredObjectField
from .objects.file_object import FileObject
from .responses.file_response import file_response
from .storage.fsspec_storage import FSSpecStorage
from .storage.signing import ExpiredSignature, Grant, read_token
from .uploads.request_body import Body

logger = logging.getLogger("django_fsspec")

#: bytes of a question about uploads; a token has one or two thousand
_MAX_QUESTION = 64 * 1024

if TYPE_CHECKING:
    _OneRow = SingleObjectMixin[Model]
else:
    _OneRow = SingleObjectMixin


class StoredObjectDownloadView(_OneRow, View):
    """Sends the file of a row: 1 query and 1 GET.

    `model` (or `queryset`) and the row's `pk` or `slug` in the URL are as those of a
    ``DetailView``; `field` may be left out where the model has one. Of a field with several files
    the URL says which: ``<int:index>``. Override ``has_permission()``: what it refuses is 403, and
    an ``Http404`` raised there hides that there is a file. The other attributes are arguments of
    ``file_response()``.

    Sync, so that mixins like ``LoginRequiredMixin`` work; under ASGI Django calls it in a thread,
    and the file is sent by the event loop.
    """

    field: str | None = None
    index_url_kwarg = "index"
    as_attachment = False
    redirect = False
    accel: str | None = None

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Send the file, 404 where there is none, 403 where it is not permitted."""
        file = self.get_file(self.get_object())
        if not self.has_permission(request, file):
            raise PermissionDenied
        return file_response(
            request,
            file,
            as_attachment=self.as_attachment,
            filename=self.get_filename(file),
            redirect=self.redirect,
            accel=self.accel,
        )

    def has_permission(self, request: HttpRequest, file: FileObject) -> bool:
        """Return whether `request` may have `file`; its row is ``self.get_object()``'s."""
        return True

    def get_filename(self, file: FileObject) -> str | None:
        """Return what the download is called; None is its original name."""
        return None

    def get_file(self, row: Model) -> FileObject:
        """Return the file that the URL asks for; ``Http404`` where there is none."""
        field = self._field(row)
        value = getattr(row, field.attname)
        if field.multiple:
            index = self.kwargs.get(self.index_url_kwarg)
            if not isinstance(index, int):
                raise ImproperlyConfigured(
                    f"{field} holds several files: have the URL say which, "
                    f"'<int:{self.index_url_kwarg}>'."
                )
            value = value[index] if 0 <= index < len(value or ()) else None
        if not value:
            raise Http404("There is no file.")
        found: FileObject = value
        return found

    def _field(self, row: Model) -> StoredObjectField:
        fields = [f for f in row._meta.concrete_fields if isinstance(f, StoredObjectField)]
        named = [f for f in fields if self.field in (None, f.name)]
        if len(named) != 1:
            known = ", ".join(repr(f.name) for f in fields) or "none"
            raise ImproperlyConfigured(
                f"{type(self).__name__}.field = {self.field!r}: "
                f"{row._meta.label} has the StoredObjectFields {known}; name one."
            )
        return named[0]


def _refused(status: int, message: str, alias: str | None = None, **headers: str) -> HttpResponse:
    """Return a refusal and log it without the token, which Django would log with the path."""
    where = "" if alias is None else f" ({alias})"
    logger.warning("A signed URL%s was refused with %d: %s", where, status, message)
    response = HttpResponse(message, status=status, content_type="text/plain", headers=headers)
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _granted(token: str, *, for_upload: bool) -> tuple[Grant, FSSpecStorage] | HttpResponse:
    try:
        grant = read_token(token, for_upload=for_upload)
    except ExpiredSignature:
        return _refused(410, "This link has expired.")
    except BadSignature:
        return _refused(403, "This link is not valid.")
    storage = storages[grant.alias] if grant.alias in storages.backends else None
    if not isinstance(storage, FSSpecStorage):
        return _refused(404, "The storage of this link is not there any more.", grant.alias)
    return grant, storage


def file(request: HttpRequest, token: str) -> HttpResponseBase:
    """Serve what a signed URL grants; see ``file_response()``."""
    if request.method not in ("GET", "HEAD"):
        return _refused(405, "This link is for reading.", Allow="GET, HEAD")
    granted = _granted(token, for_upload=False)
    if isinstance(granted, HttpResponse):
        return granted
    grant, _ = granted
    kind = grant.headers.get("content_type")
    try:
        response = file_response(request, grant.name, backend=grant.alias, content_type=kind)
    except Http404:
        return _refused(404, "There is no such file.", grant.alias)
    except TimeoutError:
        logger.exception("A file of %s could not be sent.", grant.alias)
        return _refused(504, "The storage did not answer in time.", grant.alias)
    except OSError:
        logger.exception("A file of %s could not be sent.", grant.alias)
        return _refused(502, "The storage failed.", grant.alias)
    if response.status_code >= 400:
        logger.warning("A range or condition was refused with %d.", response.status_code)
        response._has_been_logged = True  # type: ignore[attr-defined]
    elif response.status_code != 304:
        for option, header in (
            ("content_disposition", "Content-Disposition"),
            ("cache_control", "Cache-Control"),
        ):
            if option in grant.headers:
                response[header] = grant.headers[option]
    return response


@csrf_exempt  # the token in the URL is what a CSRF token would prove
def upload(request: HttpRequest, token: str) -> HttpResponse:
    """Store the body of a PUT under the name that a signed URL grants; never overwrites.

    201; 400 for another type or length than was granted and for a body that breaks off, 411
    without a length, 412 for a name that is taken, 413 for too much, 415 for what the first bytes
    tell of another type.
    """
    if request.method != "PUT":
        return _refused(405, "This link is for uploading by PUT.", Allow="PUT")
    granted = _granted(token, for_upload=True)
    if isinstance(granted, HttpResponse):
        return granted
    grant, storage = granted
    kind = grant.headers.get("content_type")
    if kind and request.headers.get("Content-Type") != kind:
        return _refused(400, f"The Content-Type must be {kind}.", grant.alias)
    told: dict[str, Any] = dict(grant.headers)
    try:
        body = Body(request, grant.name, grant.size, grant.types)
        flow = storage.flows.save(grant.name, body, overwrite=False, exact=True, told=told)
        storage.flows.run(flow)
    except uploads.Refused as error:
        return _refused(error.status, error.message, grant.alias)
    except FileExistsError:
        return _refused(412, "There is a file of this name.", grant.alias)
    except ConnectionError:
        return _refused(400, "The upload broke off.", grant.alias)
    except OSError:
        logger.exception("An upload to %s could not be stored.", grant.alias)
        return _refused(502, "The storage failed.", grant.alias)
    return HttpResponse(status=201)


@csrf_protect
def start_upload(request: HttpRequest) -> HttpResponse:
    """Begin a direct upload: see ``uploads.start()``."""
    return _answered(
        request,
        ("ticket", "name", "size", "type"),
        lambda q: uploads.start(q["ticket"], q["name"], q["size"], q["type"]),
    )


@csrf_protect
def upload_status(request: HttpRequest) -> HttpResponse:
    """Say which parts of a direct upload arrived: see ``uploads.status()``."""
    return _answered(request, ("upload",), lambda q: uploads.status(q["upload"]))


@csrf_protect
def finish_upload(request: HttpRequest) -> HttpResponse:
    """End a direct upload: see ``uploads.finish()``."""
    return _answered(
        request, ("upload",), lambda q: {"receipt": uploads.finish(q["upload"])}, ("parts",)
    )


def _answered(
    request: HttpRequest,
    needed: Sequence[str],
    work: Callable[[dict[str, Any]], dict[str, Any]],
    ignored: Sequence[str] = (),
) -> HttpResponse:
    """Answer a question in JSON in JSON. Keys that are not asked for are refused, not ignored."""
    try:
        return JsonResponse(work(_question(request, needed, ignored)))
    except uploads.Refused as error:
        status, message = error.status, error.message
    except OSError:
        logger.exception("A direct upload failed.")
        status, message = 502, "The storage failed."
    logger.warning("A direct upload was refused with %d: %s", status, message)
    response = JsonResponse({"error": message}, status=status)
    if status == 405:
        response["Allow"] = "POST"
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _question(
    request: HttpRequest, needed: Sequence[str], ignored: Sequence[str]
) -> dict[str, Any]:
    if request.method != "POST":
        raise uploads.Refused(405, "Ask by POST.")
    if request.content_type != "application/json":
        raise uploads.Refused(415, "Ask in application/json.")
    length = request.headers.get("Content-Length", "")
    if not length.isdigit() or int(length[:20]) > _MAX_QUESTION:
        raise uploads.Refused(413, f"A question has a length, of at most {_MAX_QUESTION} bytes.")
    try:
        question = json.loads(request.body)
    except (ValueError, RecursionError):
        raise uploads.Refused(400, "The question is no JSON.") from None
    if not isinstance(question, dict):
        raise uploads.Refused(400, "The question must be an object.")
    if missing := [key for key in needed if key not in question]:
        raise uploads.Refused(400, f"{missing[0]!r} is missing.")
    if unknown := [key for key in question if key not in (*needed, *ignored)]:
        raise uploads.Refused(400, f"{unknown[0][:40]!r} is not for clients to say.")
    return question
