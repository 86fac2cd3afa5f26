"""``file_response()``: download a stored file, sync under WSGI and async under ASGI."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    Http404,
    HttpRequest,
    HttpResponseBase,
    HttpResponseNotAllowed,
)
from django.utils.encoding import filepath_to_uri

from django_fsspec import signals
from django_fsspec.core import flows
from django_fsspec.core.flows import Flow
from django_fsspec.core.log_fields import log_fields
from django_fsspec.core.names import check_name
from django_fsspec.objects.file_object import FileObject
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.object_options import packs

from .bodies import AsyncBody, FileStream, FileToServe, SyncBody, WholeFile
from .content_headers import content_headers, content_type_of
from .delivery import METHODS, Delivery, Representation, deliver
from .ranges import Span, in_file_order
from .requested_file import RequestedFile, row_of
from .response_classes import (
    FileHttpResponse,
    FileRedirect,
    FileStreamResponse,
    ServedResponse,
    WholeFileResponse,
)

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat

    from .requested_file import File

logger = logging.getLogger("django_fsspec")

#: what storages of other packages raise that can't read a file: Django's "staticfiles" without
#: STATIC_ROOT, one without open(), a name outside of the storage
_CANNOT_READ = (ImproperlyConfigured, NotImplementedError, SuspiciousFileOperation)
#: headers for which size or validators of the file are needed
_CONDITIONAL = (
    "Range",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
)
#: the setting: alias -> prefix of an internal location of nginx
ACCEL_SETTING = "FSSPEC_ACCEL_REDIRECT"
#: the setting: which sites may embed files, a value of Cross-Origin-Resource-Policy
POLICY_SETTING = "FSSPEC_RESOURCE_POLICY"


def caching_headers(lifetime: str) -> dict[str, str]:
    """Return headers that keep a file from shared caches, other visitors and other sites.

    `lifetime` is a directive of ``Cache-Control`` (RFC 9111, 5.2.2).
    """
    return {
        "Cache-Control": f"private, {lifetime}",
        "Vary": "Cookie",
        "Cross-Origin-Resource-Policy": getattr(settings, POLICY_SETTING, "same-site"),
    }


def file_response(
    request: HttpRequest,
    file: File,
    *,
    backend: str = "default",
    as_attachment: bool = False,
    filename: str | None = None,
    content_type: str | None = None,
    redirect: bool = False,
    accel: str | None = None,
) -> HttpResponseBase:
    """Return a response with `file`: a ``FileObject``, a ``FieldFile``, or a name.

    Example::

        response = file_response(request, document.file, as_attachment=True)
        assert response.status_code == 200

    A name is looked up in the storage with the alias `backend`. `filename` replaces the original
    name in ``Content-Disposition`` (RFC 6266), `content_type` the type of the file. Ranges,
    conditional requests and HEAD follow RFC 9110. Content that a browser could execute is sent as
    an attachment with a sandbox policy; every response has ``nosniff``, and is private to its
    visitor (``Cache-Control``, ``Vary``, ``Cross-Origin-Resource-Policy``). Memory use does not
    grow with the file, and a client that disconnects releases the storage's connection.

    With `redirect` the response redirects to `base_url` or to a URL that the storage signs, if
    there is one. `accel` is the prefix of an internal location of nginx, which then sends the
    file (``X-Accel-Redirect``). Its default is the setting ``FSSPEC_ACCEL_REDIRECT`` for the
    alias; ``""`` turns it off.

    Requests: for a ``FileObject`` 1 GET, none for HEAD, 304, 412 and 416; for a name or a
    ``FieldFile`` 1 GET, and 1 HEAD for ranges, conditional requests and HEAD. Raises ``Http404``
    where the file does not exist, or a ``FileObject`` has an `error`, which is logged;
    ``PermissionDenied`` (403) for a ``FileObject`` with a `scan_state`;
    ``InvalidStorageError`` where `backend` does not exist, ``OSError`` where the storage fails.
    """
    options = (as_attachment, filename, content_type, redirect, accel)
    download = DownloadRequest(request, file, backend, *options)
    return flows.run(download.respond(), download.stored.perform)


async def afile_response(
    request: HttpRequest,
    file: File,
    *,
    backend: str = "default",
    as_attachment: bool = False,
    filename: str | None = None,
    content_type: str | None = None,
    redirect: bool = False,
    accel: str | None = None,
) -> HttpResponseBase:
    """Return a response with `file` without blocking the event loop; see ``file_response()``."""
    options = (as_attachment, filename, content_type, redirect, accel)
    download = DownloadRequest(request, file, backend, *options)
    return await flows.arun(download.respond(), download.stored.aperform)


class DownloadRequest:
    """One request for one file, and how to respond to it."""

    def __init__(
        self,
        request: HttpRequest,
        file: File,
        backend: str,
        as_attachment: bool,
        filename: str | None,
        content_type: str | None,
        redirect: bool,
        accel: str | None,
    ) -> None:
        # the request of Django REST framework wraps Django's
        self._request: HttpRequest = getattr(request, "_request", request)
        self._file = RequestedFile.of(file, backend)
        self._is_row_file = isinstance(file, FileObject)
        self._attachment, self._redirect = as_attachment, redirect
        self._download_name = filename or self._file.download_name
        self._type, self._accel = content_type, accel
        storage, name = self._file.storage, self._file.name
        self._storage = storage if isinstance(storage, FSSpecStorage) else None
        self.stored = FileToServe(storage, name)
        #: what a receiver of ``file_served`` is told
        self._row = row_of(file)
        self._size = None if self._file.metadata is None else self._file.metadata.size
        self._ranges: tuple[Span, ...] = ()

    def respond(self) -> Flow[HttpResponseBase]:
        """Return the response. Raises as ``file_response()``."""
        if self._request.method not in METHODS:
            return HttpResponseNotAllowed(METHODS)
        began = time.perf_counter()
        response = yield from self._answer()
        sender = type(self._file.storage if self._row is None else self._row)
        if signals.is_wanted(signals.file_served, sender):
            self._tell_when_closed(response, sender, began)
        for header, value in caching_headers("no-cache").items():
            response[header] = value
        return response

    def _tell_when_closed(self, response: HttpResponseBase, sender: Any, began: float) -> None:
        if self._request.method != "GET" or response.status_code not in (200, 206, 302):
            return
        arguments = {
            "alias": self._file.alias,
            "name": self._file.name,
            "size": self._size,
            "row": self._row,
            "ranges": self._ranges,
            "request": self._request,
        }

        def tell() -> None:
            seconds = time.perf_counter() - began
            signals.send(signals.file_served, sender, seconds=seconds, **arguments)

        assert isinstance(response, ServedResponse)
        response.notify = tell

    def _answer(self) -> Flow[HttpResponseBase]:
        if self._redirect and (url := (yield from self._redirect_url())) is not None:
            return FileRedirect(url)
        try:
            if location := self._accel_path():
                return self._accelerated(location)
            return (yield from self._streamed())
        except FileNotFoundError as error:
            raise Http404("The file does not exist.") from error
        except _CANNOT_READ as error:
            if self._storage is not None or not self._is_row_file:
                raise
            logger.warning(
                "%s can't read a file of a row: %s",
                self._file.alias,
                error,
                extra=log_fields(
                    self._file.alias, self._file.name, operation="response", error=error
                ),
            )
            raise Http404("The file does not exist.") from error

    # sent by the storage or nginx

    def _redirect_url(self) -> Flow[str | None]:
        """Return a URL at which another server has the file, or None."""
        if self._storage is None:
            return None
        content_type = self._content_type(None)
        disposition = self._headers(content_type)["Content-Disposition"]
        headers = {"content_type": content_type, "content_disposition": disposition}
        return (yield from self._storage.urls.external_url(self._file.name, headers))

    def _accel_path(self) -> str | None:
        """Return the path of the file in nginx, if nginx is to send it."""
        prefix, name = self._accel, self._file.name
        if prefix is None:
            prefix = getattr(settings, ACCEL_SETTING, {}).get(self._file.alias)
        if not prefix or (self._storage is not None and self._storage.options.gzip):
            return None  # nginx would send the compressed bytes
        # nginx would follow "..", out of its location
        return prefix.rstrip("/") + "/" + filepath_to_uri(check_name(name))

    def _accelerated(self, location: str) -> HttpResponseBase:
        content_type = self._content_type(None)
        headers = {
            "X-Accel-Redirect": location,
            "Content-Type": content_type,
            **self._headers(content_type),
        }
        return FileHttpResponse(headers=headers)

    # sent by Django

    def _streamed(self) -> Flow[HttpResponseBase]:
        file, opened = self._row_metadata(), None
        if file is None:
            needs_stat = self._request.method == "HEAD" or any(
                header in self._request.headers for header in _CONDITIONAL
            )
            if needs_stat:
                file = self._metadata((yield from self.stored.stat()))
            else:
                opened = yield from self.stored.open(0, None)
                file = self._metadata(opened.stat, packed=opened.packed)
        delivery = self._delivery(file)
        span = _first(delivery)
        if span is None:
            if opened is not None:
                opened.close()
            return self._response(delivery, file)
        if opened is None:
            file, delivery, opened = yield from self._present(file, delivery, span)
            if opened is None:
                return self._response(delivery, file)
        delivery, opened = yield from self._in_one_pass(delivery, opened)
        return self._response(delivery, file, opened)

    def _present(
        self, file: Representation, delivery: Delivery, span: Span
    ) -> Flow[tuple[Representation, Delivery, FileStream | None]]:
        """Open `span`. Decide again where the file has changed since its metadata was known."""
        opened = yield from self._opened(span, file)
        actual = yield from self._corrected(file, opened, span)
        if actual == file:
            return file, delivery, opened
        delivery = self._delivery(actual)
        actual_span = _first(delivery)
        if actual_span == span:
            return actual, delivery, opened
        opened.close()
        if actual_span is None:
            return actual, delivery, None
        return actual, delivery, (yield from self._opened(actual_span, actual))

    def _in_one_pass(
        self, delivery: Delivery, opened: FileStream
    ) -> Flow[tuple[Delivery, FileStream]]:
        """Have several spans read in the file's order, where reading back starts over."""
        spans = sorted(piece for piece in delivery.pieces if isinstance(piece, Span))
        if len(spans) < 2 or not opened.sequential:
            return delivery, opened
        opened.close()
        opened = yield from self.stored.open(spans[0].start, spans[-1].end)
        return replace(delivery, pieces=tuple(in_file_order(delivery.pieces))), opened

    def _opened(self, span: Span, file: Representation) -> Flow[FileStream]:
        """Open the first span; without an end where it goes to the end of the file."""
        end = None if span.end == file.size else span.end
        return (yield from self.stored.open(span.start, end))

    def _row_metadata(self) -> Representation | None:
        """Return the metadata of the row, if there is a row."""
        metadata = self._file.metadata
        if metadata is None:
            return None
        metadata = replace(metadata, content_type=self._content_type(None))
        storage = self._storage
        if storage is not None and packs(storage.options, metadata.content_type):
            # a compressed object has another length than its content
            metadata = replace(metadata, size=None)
        return metadata

    def _metadata(self, stat: Stat, *, packed: bool | None = None) -> Representation:
        """Return the metadata from the storage; no size where it decompresses the object."""
        if packed is None:
            unpacks = self._storage is not None and bool(self._storage.options.gzip)
            packed = unpacks and stat.content_encoding == "gzip"
        modified = stat.last_modified
        return Representation(
            content_type=self._content_type(stat.content_type),
            size=None if packed else stat.size,
            etag=stat.etag,
            last_modified=None if modified is None else modified.timestamp(),
            content_encoding=None if packed else stat.content_encoding,
        )

    def _corrected(
        self, row: Representation, opened: FileStream, span: Span
    ) -> Flow[Representation]:
        """Return `row`, or the metadata of the stream where it is of another version."""
        stat = opened.stat
        if stat.size is None and span.start and not opened.packed:
            # the range may be beyond the end of the present version
            stat = yield from self.stored.stat()
        now = self._metadata(stat, packed=opened.packed)
        resized = row.size is not None and now.size is not None and now.size != row.size
        if resized or (self._file.etag and now.etag and now.etag != self._file.etag):
            return replace(now, content_type=row.content_type)
        size = None if opened.packed else (row.size if now.size is None else now.size)
        return replace(row, size=size, content_encoding=now.content_encoding)

    def _delivery(self, file: Representation) -> Delivery:
        return deliver(str(self._request.method), self._request.headers, file)

    def _content_type(self, stored: str | None) -> str:
        """Return the argument, the row's type, the storage's, or one guessed from the name."""
        row = self._file.metadata
        given = self._type or (row.content_type if row else stored)
        return content_type_of(self._file.name, given)

    def _headers(self, content_type: str) -> Mapping[str, str]:
        return content_headers(self._download_name, content_type, attachment=self._attachment)

    def _response(
        self, delivery: Delivery, file: Representation, opened: FileStream | None = None
    ) -> HttpResponseBase:
        headers = dict(delivery.headers)
        self._size = file.size
        if delivery.status == 206:
            self._ranges = tuple(piece for piece in delivery.pieces if isinstance(piece, Span))
        if delivery.status in (200, 206):
            headers |= self._headers(file.content_type)
        if opened is None:
            response = FileHttpResponse(status=delivery.status, headers=headers)
            if "Content-Type" not in headers:
                del response["Content-Type"]
                if delivery.status >= 400:
                    response["Content-Length"] = "0"
            return response
        is_async = isinstance(self._request, ASGIRequest)
        # a range is not left to servers: uWSGI sends a file from its beginning to its end
        if opened.file is not None and not is_async and delivery.pieces == ((0, file.size),):
            whole = WholeFile(self.stored, opened, opened.stat.size or 0)
            return WholeFileResponse(whole, status=delivery.status, headers=headers)
        body = (AsyncBody if is_async else SyncBody)(self.stored, delivery.pieces, opened)
        return FileStreamResponse(body, status=delivery.status, headers=headers)


def _first(delivery: Delivery) -> Span | None:
    return next((piece for piece in delivery.pieces if isinstance(piece, Span)), None)
