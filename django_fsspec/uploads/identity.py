"""Who is uploading: kept by the middleware while a request is served."""

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
    """Have `identify` say who uploads, if anybody asks."""
    token = _identify.set(identify)
    try:
        yield
    finally:
        _identify.reset(token)


def current_uploader() -> str:
    """Return who the request is of; ``ImproperlyConfigured`` without the middleware."""
    identify = _identify.get()
    if identify is None:
        raise ImproperlyConfigured(
            f"Direct uploads need to know whose they are: add {MIDDLEWARE!r} to MIDDLEWARE, after "
            "those of sessions and authentication."
        )
    return identify()
