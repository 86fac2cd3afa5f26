"""Who is uploading: the middleware sets it for the time of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

MIDDLEWARE = "django_fsspec.middleware.UploadsMiddleware"

#: the request, and what returns who makes it
_served: ContextVar[tuple[HttpRequest, Callable[[], str]] | None] = ContextVar(
    "django_fsspec_uploader", default=None
)


@contextmanager
def serving(request: HttpRequest, identify: Callable[[], str]) -> Iterator[None]:
    """Have `current_uploader()` call `identify` inside the block."""
    token = _served.set((request, identify))
    try:
        yield
    finally:
        _served.reset(token)


def current_uploader() -> str:
    """Return who makes the current request: a user or a visitor, as text.

    Raises ``ImproperlyConfigured`` without the middleware.
    """
    return _current()[1]()


def current_request() -> HttpRequest:
    """Return the current request. Raises ``ImproperlyConfigured`` without the middleware."""
    return _current()[0]


def current_user() -> str:
    """Return the logged-in user as `current_uploader()` does; "" for others, or unknown."""
    served = _served.get()
    user = getattr(served and served[0], "user", None)
    return f"user:{user.pk}" if user is not None and user.is_authenticated else ""


def _current() -> tuple[HttpRequest, Callable[[], str]]:
    served = _served.get()
    if served is None:
        raise ImproperlyConfigured(
            f"Direct uploads need to know who is uploading: add {MIDDLEWARE!r} to MIDDLEWARE, "
            "after the session and authentication middleware."
        )
    return served
