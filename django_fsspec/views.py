"""Views: download the file of a row; serve and store files by our own signed URLs."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from django.core.exceptions import (
    ImproperlyConfigured,
    PermissionDenied,
    SuspiciousFileOperation,
)
from django.core.files.storage import storages
from django.core.signing import BadSignature
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View
from django.views.generic.detail import SingleObjectMixin

from django_fsspec.core.log_fields import log_fields

from .core.content_types import safe_type
from .core.names import check_name
from .fields.stored_object import StoredObjectField
from .objects.file_object import FileObject
from .responses.file_response import file_response
from .responses.requested_file import check_usable
from .rows.scan_states import is_passed
from .rows.values import Ref
from .storage.fsspec_storage import FSSpecStorage
from .storage.signing import ExpiredSignature, Grant, read_token
from .uploads import UploadRefused
from .uploads.refusals import without_django_log
from .uploads.request_body import RequestBody

logger = logging.getLogger("django_fsspec")

if TYPE_CHECKING:
    _OneRow = SingleObjectMixin[Any]
else:
    _OneRow = SingleObjectMixin


class StoredObjectDownloadView(_OneRow, View):
    """Download the file of a row: 1 query and 1 GET to the storage.

    Example::

        class DocumentDownload(StoredObjectDownloadView):
            model = Document

            def has_permission(self, request, file):
                return request.user.is_authenticated

        urlpatterns = [path("documents/<int:pk>/file/", DocumentDownload.as_view())]

    `model` (or `queryset`) and the row's `pk` or `slug` in the URL work as in a ``DetailView``.
    `field` names the ``StoredObjectField``; a model with only one needs no name. For a field with
    several files the URL says which: ``<int:index>``. `as_attachment`, `redirect` and `accel` are
    arguments of ``file_response()``.

    Raises ``PermissionDenied`` (403) where ``has_permission()`` returns False, ``Http404`` where
    there is no row or no file, ``ImproperlyConfigured`` where `field` or ``<int:index>`` is
    missing, ``OSError`` where the storage fails. Raise ``Http404`` in ``has_permission()`` to hide
    that a file exists.

    The view is sync, so that mixins like ``LoginRequiredMixin`` work. Under ASGI Django calls it
    in a thread, and the event loop sends the file.
    """

    field: str | None = None
    index_url_kwarg = "index"
    as_attachment = False
    redirect = False
    accel: str | None = None

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return the response with the file. Raises what the class says."""
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
        """Return whether `request` may download `file`; ``self.get_object()`` is its row."""
        return True

    def get_filename(self, file: FileObject) -> str | None:
        """Return the file name of the download; None for the original name."""
        return None

    def get_file(self, row: Model) -> FileObject:
        """Return the file for the URL.

        Raises ``Http404`` where there is none or its JSON is invalid, ``ImproperlyConfigured``
        without ``<int:index>``.
        """
        field = self._field(row)
        value = getattr(row, field.attname)
        if field.multiple:
            index = self.kwargs.get(self.index_url_kwarg)
            if not isinstance(index, int):
                raise ImproperlyConfigured(
                    f"{field} holds several files: add '<int:{self.index_url_kwarg}>' to the URL, "
                    "to say which."
                )
            value = value[index] if 0 <= index < len(value or ()) else None
        if value is None:
            raise Http404("There is no file.")
        file: FileObject = value
        if not file:
            check_usable(file)
        return file

    def _field(self, row: Model) -> StoredObjectField:
        fields = [f for f in row._meta.concrete_fields if isinstance(f, StoredObjectField)]
        matching = [f for f in fields if self.field in (None, f.name)]
        if len(matching) != 1:
            names = ", ".join(repr(f.name) for f in fields) or "none"
            raise ImproperlyConfigured(
                f"{type(self).__name__}.field = {self.field!r} matches {len(matching)} fields: "
                f"set it to one StoredObjectField of {row._meta.label} (there are: {names})."
            )
        return matching[0]


def _refused(status: int, message: str, alias: str | None = None, **headers: str) -> HttpResponse:
    """Log a refusal and return the error response."""
    where = "" if alias is None else f" ({alias})"
    logger.warning(
        "A signed URL%s was refused with %d: %s",
        where,
        status,
        message,
        extra=log_fields(alias, operation="signed_url", status=status),
    )
    response = HttpResponse(message, status=status, content_type="text/plain", headers=headers)
    return without_django_log(response)


def _granted(token: str, *, for_upload: bool) -> tuple[Grant, FSSpecStorage] | HttpResponse:
    try:
        grant = read_token(token, for_upload=for_upload)
    except ExpiredSignature:
        return _refused(410, "This link has expired.")
    except BadSignature:
        return _refused(403, "This link is not valid.")
    try:
        check_name(grant.name)
    except SuspiciousFileOperation:
        return _refused(403, "This link is not valid.")
    storage = storages[grant.alias] if grant.alias in storages.backends else None
    if not isinstance(storage, FSSpecStorage):
        return _refused(404, "The storage of this link is not in STORAGES any more.", grant.alias)
    return grant, storage


def file(request: HttpRequest, token: str) -> HttpResponseBase:
    """Serve the file of a signed URL; see ``file_response()``.

    403 for a forged URL, and for a file that no scanner has passed yet, 404 where the file or its
    storage is missing, 405 for other methods than GET and HEAD, 410 for an expired URL, 502 and
    504 where the storage fails or is too slow; 206, 304, 412 and 416 by RFC 9110.
    """
    if request.method not in ("GET", "HEAD"):
        return _refused(405, "This link is for downloads: use GET or HEAD.", Allow="GET, HEAD")
    granted = _granted(token, for_upload=False)
    if isinstance(granted, HttpResponse):
        return granted
    grant, _ = granted
    if grant.is_guarded and not is_passed(Ref(grant.alias, grant.name)):
        return _refused(403, "The file was not scanned yet, or refused.", grant.alias)
    content_type = grant.headers.get("content_type")
    try:
        response = file_response(
            request, grant.name, backend=grant.alias, content_type=content_type
        )
    except Http404:
        return _refused(404, "The file does not exist.", grant.alias)
    except OSError as error:
        logger.exception(
            "A file of %s could not be sent: the storage failed.",
            grant.alias,
            extra=log_fields(grant.alias, grant.name, operation="response", error=error),
        )
        if isinstance(error, TimeoutError):
            return _refused(504, "The storage did not answer in time.", grant.alias)
        return _refused(502, "The storage failed.", grant.alias)
    if response.status_code >= 400:
        logger.warning(
            "A range or condition was refused with %d.",
            response.status_code,
            extra=log_fields(
                grant.alias, grant.name, operation="response", status=response.status_code
            ),
        )
        return without_django_log(response)
    _set_granted_headers(response, grant)
    return response


def _set_granted_headers(response: HttpResponseBase, grant: Grant) -> None:
    """Set the headers of a download that its URL grants; a cache keeps it until that expires."""
    lifetime = max(0, grant.expires - int(time.time()))
    caching = grant.headers.get("cache_control") or f"private, max-age={lifetime}"
    response["Cache-Control"] = caching
    if response.status_code != 304 and "content_disposition" in grant.headers:
        response["Content-Disposition"] = grant.headers["content_disposition"]


@csrf_exempt  # the token in the URL proves what a CSRF token would
def upload(request: HttpRequest, token: str) -> HttpResponse:
    """Store the body of a PUT under the name in a signed URL; never overwrites a file.

    201; 400 where type, length or SHA-256 differ from the granted ones or the body ends early, 403
    for a forged URL, 404 where the storage is missing, 405 for other methods, 408 for a client
    that is too slow (setting ``FSSPEC_UPLOADS``), 410 for an expired URL, 411 without a length,
    412 where the name is taken, 413 where the body is too long, 415 where the first bytes are of
    another content type, 502 where the storage fails.
    """
    if request.method != "PUT":
        return _refused(405, "This link is for uploads: use PUT.", Allow="PUT")
    granted = _granted(token, for_upload=True)
    if isinstance(granted, HttpResponse):
        return granted
    grant, storage = granted
    content_type = grant.headers.get("content_type")
    if content_type:
        content_type = safe_type(content_type)
    if content_type and request.headers.get("Content-Type") != content_type:
        return _refused(400, f"The Content-Type must be {content_type}.", grant.alias)
    try:
        name = grant.original or grant.name
        with RequestBody(request, name, grant.size, grant.types, grant.sha256) as body:
            flow = storage.flows.save(
                grant.name, body, overwrite=False, exact=True, own_options=grant.headers
            )
            storage.flows.run(flow, "save", grant.name)
    except UploadRefused as error:
        return _refused(error.status, error.message, grant.alias)
    except FileExistsError:
        return _refused(412, "A file with this name exists already.", grant.alias)
    except OSError as error:
        logger.exception(
            "An upload to %s could not be stored: the storage failed.",
            grant.alias,
            extra=log_fields(grant.alias, grant.name, operation="upload", error=error),
        )
        return _refused(502, "The storage failed.", grant.alias)
    return HttpResponse(status=201)
