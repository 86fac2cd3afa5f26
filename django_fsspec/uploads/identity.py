"""Who is uploading: the middleware sets it for the time of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.core.exceptions import ImproperlyConfigured

MIDDLEWARE = "django_fsspec.middleware.UploadsMiddleware"

_identify: ContextVar[Callable[[], str] | None] = ContextVar(
    "django_fsspec_uploader", default=None
)


@contextmanager
def serving(identify: Callable[[], str]) -> Iterator[None]:
    """Have `current_uploader()` call `identify` inside the block."""
    token = _identify.set(identify)
    try:
        yield
    finally:
        _identify.reset(token)


def current_uploader() -> str:
    """Return who makes the current request: a user or a visitor, as text.

    Raises ``ImproperlyConfigured`` without the middleware.
    """
    identify = _identify.get()
    if identify is None:
        raise ImproperlyConfigured(
            f"Direct uploads need to know who is uploading: add {MIDDLEWARE!r} to MIDDLEWARE, "
            "after the session and authentication middleware."
        )
    return identify()
