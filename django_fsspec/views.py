"""Views: a row's file out, and behind our own signed URLs a file out and a file in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.files.storage import storages
from django.core.signing import BadSignature
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View
from django.views.generic.detail import SingleObjectMixin

from .fields import StoredObjectField
from .objects import FileObject
from .responses import file_response
from .signing import ExpiredSignature, Grant, read_token
from .storage import FSSpecStorage

logger = logging.getLogger("django_fsspec")

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
def upload(request: HttpRequest, token: str) -> HttpResponse:
    """Store the body of a PUT under the name that a signed URL grants; never overwrites."""
    if request.method != "PUT":
        return _refused(405, "This link is for uploading by PUT.", Allow="PUT")
    granted = _granted(token, for_upload=True)
    if isinstance(granted, HttpResponse):
        return granted
    grant, storage = granted
    length = request.headers.get("Content-Length", "")
    if not length.isdigit():
        return _refused(411, "Content-Length is required.", grant.alias)
    kind = grant.headers.get("content_type")
    if kind and request.headers.get("Content-Type") != kind:
        return _refused(400, f"The Content-Type must be {kind}.", grant.alias)
    told: dict[str, Any] = dict(grant.headers)
    flow = storage.backend.save(
        grant.name, _Body(request, int(length)), overwrite=False, exact=True, told=told
    )
    try:
        storage.backend.run(flow)
    except FileExistsError:
        return _refused(412, "There is a file of this name.", grant.alias)
    except ConnectionError:
        logger.info("An upload to %s broke off; nothing was stored.", grant.alias)
        return _refused(400, "The upload broke off.", grant.alias)
    return HttpResponse(status=201)
