"""Middleware: who is uploading."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from .uploads.identity import serving

COOKIE = "django_fsspec_uploader"
_SECRET = re.compile(r"[\w-]{43}", re.ASCII)


class _Visitor:
    """Whose a request is: asked only where a page or a request has to do with uploads."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._made: str | None = None

    def identify(self) -> str:
        """Return the user, or for somebody who is not logged in a cookie's digest."""
        user = getattr(self._request, "user", None)
        if user is not None and user.is_authenticated:
            return f"user:{user.pk}"
        secret = self._made or self._request.COOKIES.get(COOKIE, "")
        if not _SECRET.fullmatch(secret):
            secret = self._made = secrets.token_urlsafe(32)
        return f"cookie:{hashlib.sha256(secret.encode()).hexdigest()[:32]}"

    def remember(self, response: HttpResponseBase) -> HttpResponseBase:
        """Give a new visitor the cookie, for as long as the browser runs."""
        if self._made is not None:
            response.set_cookie(
                COOKIE,
                self._made,
                httponly=True,
                samesite="Lax",
                secure=self._request.is_secure(),
            )
        return response


class UploadsMiddleware:
    """Keeps who is uploading while a request is served.

    Place it after ``SessionMiddleware`` and ``AuthenticationMiddleware``. Costs nothing where
    nobody asks. Tickets and receipts are bound to the user, or to a cookie of somebody who is not
    logged in.
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
        with serving(visitor.identify):
            response: HttpResponseBase = self._get_response(request)
        return visitor.remember(response)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        visitor = _Visitor(request)
        with serving(visitor.identify):
            response: HttpResponseBase = await self._get_response(request)
        return visitor.remember(response)
