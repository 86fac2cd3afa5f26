"""UploadsMiddleware: know who is uploading, for direct uploads."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from django_fsspec.core.log_fields import log_fields

from .exceptions import UploadUsed
from .uploads.identity import serving
from .uploads.redeem import USED
from .uploads.refusals import without_django_log

logger = logging.getLogger("django_fsspec")

COOKIE = "django_fsspec_uploader"
_SECRET = re.compile(r"[\w-]{43}", re.ASCII)


class _Visitor:
    """Who makes a request; looked up only where a ticket or a token is used."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._new_secret: str | None = None

    @property
    def _cookie(self) -> str:
        """The name of the cookie; over HTTPS, one that no other host can set (RFC 6265bis)."""
        return f"__Host-{COOKIE}" if self._request.is_secure() else COOKIE

    def identify(self) -> str:
        """Return the user, or the digest of a cookie for a visitor who is not logged in."""
        # the user whom django-ninja has authenticated; DRF sets the one of the request
        for name in ("auth", "user"):
            user: Any = getattr(self._request, name, None)
            if getattr(user, "is_authenticated", False) is True:
                return f"user:{user.pk}"
        secret = self._new_secret or self._request.COOKIES.get(self._cookie, "")
        if not _SECRET.fullmatch(secret):
            secret = self._new_secret = secrets.token_urlsafe(32)
        return f"cookie:{hashlib.sha256(secret.encode()).hexdigest()[:32]}"

    def remember(self, response: HttpResponseBase) -> HttpResponseBase:
        """Set the cookie for a new visitor; it ends with the browser session."""
        if self._new_secret is not None:
            response.set_cookie(
                self._cookie,
                self._new_secret,
                httponly=True,
                samesite="Lax",
                secure=self._request.is_secure(),
            )
        return response


class UploadsMiddleware:
    """Makes the user of a request known to direct uploads.

    Example::

        MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django_fsspec.middleware.UploadsMiddleware",
        ]

    Place it after ``SessionMiddleware`` and ``AuthenticationMiddleware``. Tickets and receipts are
    bound to the user, or to a cookie for a visitor who is not logged in. Requests without uploads
    cost nothing. The later of two requests that use one receipt at the same time is answered with
    409.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request."""
        if self._is_async:
            return self._acall(request)
        visitor = _Visitor(request)
        with serving(request, visitor.identify):
            response: HttpResponseBase = self._get_response(request)
        return visitor.remember(response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Tell who sent a form twice that its file is saved: 409."""
        if not isinstance(exception, UploadUsed):
            return None
        logger.warning(
            "A form was sent twice: %s",
            exception,
            extra=log_fields(operation="upload", status=409),
        )
        response = HttpResponse(str(USED), status=409, content_type="text/plain; charset=utf-8")
        return without_django_log(response)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        visitor = _Visitor(request)
        with serving(request, visitor.identify):
            response: HttpResponseBase = await self._get_response(request)
        return visitor.remember(response)
