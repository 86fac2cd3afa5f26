"""UploadGuard: under ASGI, look at an upload before its body is read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.signing import BadSignature
from django.urls import Resolver404, resolve

from django_fsspec.core.log_fields import log_fields
from django_fsspec.storage.signing import ExpiredSignature, read_token

from . import tus
from . import views as upload_views
from .deadline import Deadline
from .refusals import UploadRefused, too_long, too_slow
from .tokens import Upload

logger = logging.getLogger("django_fsspec")

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
#: of ASGI 3; Django and others describe its arguments differently
Application = Callable[..., Awaitable[None]]

#: views whose body is small, or empty
_SMALL_BODIES = (
    upload_views.start_upload,
    upload_views.upload_status,
    upload_views.finish_upload,
    upload_views.abort_upload,
    tus.tus_uploads,
)


class UploadGuard:
    """Refuse uploads with a worthless token, that are too long or too slow, before Django reads.

    Example::

        # asgi.py
        from django.core.asgi import get_asgi_application
        from django_fsspec.uploads.asgi import UploadGuard

        application = UploadGuard(get_asgi_application())

    Django writes the whole body of a request to a temporary file before it calls middleware and
    views. All other requests pass as they are. What this refuses is answered with 403, 408, 410
    or 413. Of a PATCH by tus that breaks off, what came is kept, as it is under WSGI.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3.0)."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            try:
                allowed = _allowed(scope)
            except UploadRefused as error:
                await _refuse(send, error)
                return
            if allowed is not None:
                body = GuardedBody(receive, send, *allowed)
                receive, send = body.receive, body.send
        await self._application(scope, receive, send)


class GuardedBody:
    """The body of a request: at most `most` bytes, and until a `Deadline`.

    One that breaks off, or is too slow, ends the request; with `resumes`, it ends where it is.
    """

    def __init__(self, receive: Receive, send: Send, most: int, resumes: bool) -> None:
        self._receive, self._send = receive, send
        self._most, self._resumes = most, resumes
        self._deadline = Deadline()
        self._complete = self._refused = self._cut = False

    async def receive(self) -> Message:
        """Return the next message. One that comes too late is answered and ends the request."""
        if self._cut:
            # Django asks whether the client is gone, and would end the view
            await asyncio.get_running_loop().create_future()
        if self._complete:
            return await self._receive()
        try:
            left = max(0.0, self._deadline.left())
            message = await asyncio.wait_for(self._receive(), left)
        except TimeoutError:
            ended = await self._refuse(too_slow())
            return self._end() if self._resumes else ended
        if message["type"] == "http.disconnect" and self._resumes:
            return self._end()
        self._deadline.received += len(message.get("body", b""))
        if self._deadline.received > self._most:
            return await self._refuse(too_long())
        self._complete = not message.get("more_body")
        return message

    def _end(self) -> Message:
        self._complete = self._cut = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _refuse(self, error: UploadRefused) -> Message:
        self._complete = self._refused = True
        await _refuse(self._send, error)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass an answer on, unless the request was answered here."""
        if not self._refused:
            await self._send(message)


def _allowed(scope: Any) -> tuple[int, bool] | None:
    """Return how many bytes an upload may send, and whether it resumes; None for no upload.

    Raises ``UploadRefused`` for a worthless token, and a length above that.
    """
    prefix = settings.FORCE_SCRIPT_NAME or scope.get("root_path", "")
    try:
        match = resolve(scope["path"].removeprefix(prefix.rstrip("/")))
    except Resolver404:
        return None
    most = None
    if match.view_name == "django_fsspec:upload":
        most = _granted_bytes(match.kwargs["token"])
    elif match.func is tus.tus_upload:
        most = Upload.parse(match.kwargs["token"], any_tenant=True).size
    elif match.func in _SMALL_BODIES:
        most = upload_views.MAX_BODY
    headers = {name.lower(): value for name, value in scope["headers"]}
    length = headers.get(b"content-length", b"")[:20]
    if most is not None and length.isdigit() and int(length) > most:
        raise too_long()
    return None if most is None else (most, match.func is tus.tus_upload)


def _granted_bytes(token: str) -> int | None:
    try:
        # the middleware that tells the tenant runs later, and so does the view that asks for it
        size = read_token(token, for_upload=True, any_tenant=True).size
    except ExpiredSignature:
        raise UploadRefused(410, "This link has expired.") from None
    except BadSignature:
        raise UploadRefused(403, "This link is not valid.") from None
    # a signed URL without a size takes any number of bytes
    return 1 << 62 if size is None else size


async def _refuse(send: Send, error: UploadRefused) -> None:
    # no path, which has the token
    logger.warning(
        "An upload was refused with %d: %s",
        error.status,
        error.message,
        extra=log_fields(operation="upload", status=error.status),
    )
    body = error.message.encode()
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
