"""``file_response()``: a stored file as an HTTP response, sync under WSGI and async under ASGI."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.files.storage import Storage, storages
from django.core.handlers.asgi import ASGIRequest
from django.db.models.fields.files import FieldFile
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.utils.encoding import filepath_to_uri
from django.utils.functional import LazyObject

from django_fsspec.core import flows
from django_fsspec.core.content_types import GENERIC_TYPES, guess_type, safe_type
from django_fsspec.core.flows import Flow
from django_fsspec.objects.file_object import FileObject
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.object_options import packs

from . import disposition
from .bodies import AsyncBody, Opened, Stored, SyncBody
from .delivery import METHODS, Delivery, Representation, deliver
from .ranges import Span

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat

    File = FileObject | FieldFile | str

#: headers that need the file's size or validators to be answered
_ASKING = (
    "Range",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
)
#: types that backends give to what they were told nothing about
#: alias -> prefix of an internal location of nginx
ACCEL_SETTING = "FSSPEC_ACCEL_REDIRECT"


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
    """Return a response that sends `file`: a ``FileObject``, a ``FieldFile``, or a name.

    A name is one of the storage `backend`. Ranges, conditions and HEAD are those of RFC 9110; the
    name is told as RFC 6266 says, `filename` instead of the original one. What a browser could
    execute, or nobody knows, is an attachment with a sandboxing policy, and ``nosniff`` goes with
    everything. Memory is flat, and a client that goes away releases the storage's connection.

    With `redirect` the client is sent to `base_url` or to the backend's own signed URL where
    there is one. `accel` is the prefix of an internal location of nginx, which then sends the
    file (``X-Accel-Redirect``); without it that of the setting ``FSSPEC_ACCEL_REDIRECT`` for the
    alias, and ``""`` turns it off.

    A ``FileObject`` costs 1 GET, and none for HEAD, 304, 412, 416; a name or ``FieldFile`` 1 GET,
    or 1 HEAD more where the request has ranges or conditions. Raises ``Http404`` when there is no
    such file, ``OSError`` when the storage fails.
    """
    options = (as_attachment, filename, content_type, redirect, accel)
    download = Download(request, file, backend, *options)
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
    """See file_response()."""
    options = (as_attachment, filename, content_type, redirect, accel)
    download = Download(request, file, backend, *options)
    return await flows.arun(download.respond(), download.stored.aperform)


@dataclass(frozen=True, slots=True)
class Target:
    """A file to send, and what is known of it without a request."""

    storage: Storage
    name: str
    label: str
    alias: str | None
    known: Representation | None = None
    #: the version that the row is of, where the backend told it
    etag: str | None = None

    @classmethod
    def of(cls, file: File, backend: str) -> Target:
        """Return where a file lies and what its row tells."""
        if isinstance(file, FileObject):
            return cls._of_row(file)
        if isinstance(file, FieldFile):
            if not file.name:
                raise Http404("There is no file.")
            storage = _unwrapped(file.storage)
            alias = storage.alias if isinstance(storage, FSSpecStorage) else None
            return cls(storage, file.name, posixpath.basename(file.name), alias)
        return cls(storages[backend], file, posixpath.basename(file), backend)

    @classmethod
    def _of_row(cls, file: FileObject) -> Target:
        # in quotes it was made up by advanced-alchemy, and is of no version
        etag = file.etag if file.etag and not file.etag.startswith('"') else None
        digest = (file.checksum or "").partition(":")[2]
        known = None
        if file.size is not None:
            known = Representation(
                content_type=file.content_type,
                size=file.size,
                etag=etag or digest[:32] or None,
                last_modified=file.last_modified,
            )
        return cls(file.storage, file._kept(), file.original_name, file.backend, known, etag)


def _unwrapped(storage: Any) -> Storage:
    """Return the storage behind ``default_storage``."""
    found: Storage = storages["default"] if isinstance(storage, LazyObject) else storage
    return found


class Download:
    """One request for one file."""

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
        # that of Django REST framework wraps Django's
        self._request: HttpRequest = getattr(request, "_request", request)
        self._target = Target.of(file, backend)
        self._attachment, self._redirect = as_attachment, redirect
        self._label = filename or self._target.label
        self._type, self._accel = content_type, accel
        storage, name = self._target.storage, self._target.name
        self._ours = storage if isinstance(storage, FSSpecStorage) else None
        self.stored = Stored(storage, name)

    def respond(self) -> Flow[HttpResponseBase]:
        """Return the response."""
        if self._request.method not in METHODS:
            return HttpResponseNotAllowed(METHODS)
        if self._redirect and (url := (yield from self._elsewhere())) is not None:
            return HttpResponseRedirect(url)
        if location := self._location():
            return self._accelerated(location)
        try:
            return (yield from self._sent())
        except FileNotFoundError as error:
            raise Http404("There is no such file.") from error

    # by others

    def _elsewhere(self) -> Flow[str | None]:
        """Return a URL at which somebody else serves the file, if there is one."""
        if self._ours is None:
            return None
        kind = self._content_type(None)
        told = {"content_type": kind, "content_disposition": self._disposition(kind)}
        return (yield from self._ours.urls.elsewhere(self._target.name, told))

    def _location(self) -> str | None:
        """Return the path of the file at nginx, if it is to send the file."""
        prefix = self._accel
        if prefix is None:
            prefix = getattr(settings, ACCEL_SETTING, {}).get(self._target.alias)
        if not prefix or (self._ours is not None and self._ours.options.gzip):
            return None  # what the storage packs only the storage unpacks
        return prefix.rstrip("/") + "/" + filepath_to_uri(self._target.name)

    def _accelerated(self, location: str) -> HttpResponseBase:
        kind = self._content_type(None)
        headers = {"X-Accel-Redirect": location, "Content-Type": kind, **self._policy(kind)}
        return HttpResponse(headers=headers)

    # by us

    def _sent(self) -> Flow[HttpResponseBase]:
        known, opened = self._known(), None
        if known is None:
            asks = self._request.method == "HEAD" or any(
                header in self._request.headers for header in _ASKING
            )
            if asks:
                known = self._told((yield from self.stored.stat()))
            else:
                opened = yield from self.stored.open(0, None)
                known = self._told(opened.stat, packed=opened.packed)
        delivery = self._delivery(known)
        span = _first(delivery)
        if span is None:
            if opened is not None:
                opened.close()
            return self._answer(delivery, known)
        if opened is None:
            opened = yield from self._opened(span, known)
            actual = yield from self._corrected(known, opened, span)
            if actual != known:
                known, delivery = actual, self._delivery(actual)
                again = _first(delivery)
                if again != span:
                    opened.close()
                    if again is None:
                        return self._answer(delivery, known)
                    opened = yield from self._opened(again, known)
        return self._answer(delivery, known, opened)

    def _opened(self, span: Span, known: Representation) -> Flow[Opened]:
        """Open the first span; one that goes to the end is not bounded, as a whole file is not."""
        end = None if span.end == known.size else span.end
        return (yield from self.stored.open(span.start, end))

    def _known(self) -> Representation | None:
        """Return what the row tells; of what may be packed it does not tell the length."""
        known = self._target.known
        if known is None:
            return None
        known = replace(known, content_type=self._content_type(None))
        storage = self._ours
        if storage is not None and packs(storage.options, known.content_type):
            known = replace(known, size=None)
        return known

    def _told(self, stat: Stat, *, packed: bool | None = None) -> Representation:
        """Return what the storage tells. What it unpacks on the way is longer than it is."""
        if packed is None:
            unpacks = self._ours is not None and bool(self._ours.options.gzip)
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
        self, known: Representation, opened: Opened, span: Span
    ) -> Flow[Representation]:
        """Return `known`, or what opening told where it is of another version than the row's."""
        stat = opened.stat
        if stat.size is None and span.start and not opened.packed:
            # the range may begin past the end of what is there now
            stat = yield from self.stored.stat()
        told = self._told(stat, packed=opened.packed)
        other = known.size is not None and told.size is not None and told.size != known.size
        if other or (self._target.etag and told.etag and told.etag != self._target.etag):
            return replace(told, content_type=known.content_type)
        size = None if opened.packed else (known.size if told.size is None else told.size)
        return replace(known, size=size, content_encoding=told.content_encoding)

    def _delivery(self, known: Representation) -> Delivery:
        return deliver(str(self._request.method), self._request.headers, known)

    def _content_type(self, told: str | None) -> str:
        """Return the type: as asked for, of the row, of the storage, by the name."""
        known = self._target.known
        given = self._type or (known.content_type if known else told)
        if given in (*GENERIC_TYPES, None):
            given = guess_type(self._target.name)
        return safe_type(given)

    def _disposition(self, kind: str) -> str:
        attachment = self._attachment or disposition.is_active(kind)
        return disposition.disposition(self._label, attachment=attachment)

    def _policy(self, kind: str) -> Mapping[str, str]:
        policy = {
            "Content-Disposition": self._disposition(kind),
            "X-Content-Type-Options": "nosniff",
        }
        if disposition.is_active(kind):
            policy["Content-Security-Policy"] = disposition.SANDBOX
        return policy

    def _answer(
        self, delivery: Delivery, known: Representation, opened: Opened | None = None
    ) -> HttpResponseBase:
        headers = dict(delivery.headers)
        if delivery.status in (200, 206):
            headers |= self._policy(known.content_type)
        if opened is None:
            response = HttpResponse(status=delivery.status, headers=headers)
            if "Content-Type" not in headers:
                del response["Content-Type"]
                if delivery.status >= 400:
                    response["Content-Length"] = "0"
            return response
        kind = AsyncBody if isinstance(self._request, ASGIRequest) else SyncBody
        body = kind(self.stored, delivery.pieces, opened)
        return StreamingHttpResponse(body, status=delivery.status, headers=headers)


def _first(delivery: Delivery) -> Span | None:
    return next((piece for piece in delivery.pieces if isinstance(piece, Span)), None)
