"""The setting ``FSSPEC_UPLOADS``: bounds of direct uploads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_fsspec.storage.options import nearest

SETTING = "FSSPEC_UPLOADS"
#: a function, or its dotted path
Hook = str | Callable[..., Any]
#: options that are hooks
HOOKS = ("may_upload", "scan")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOptions:
    """The options of direct uploads; docs/reference/direct-uploads.md says what they mean.

    A body has `body_timeout` seconds, and a second more for each `body_min_rate` bytes that came.
    """

    body_timeout: float = 30
    body_min_rate: float = 5000
    may_upload: Hook | None = None
    scan: Hook | None = None
    max_open: int | None = 100
    max_kept: int | None = 100

    def __post_init__(self) -> None:
        for name in ("body_timeout", "body_min_rate"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise _wrong(f"{name!r} must be a number above 0, not {value!r}.")
        for name in ("max_open", "max_kept"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value <= 0):
                raise _wrong(f"{name!r} must be a number above 0 or None, not {value!r}.")

    def hook(self, name: str) -> Callable[..., Any] | None:
        """Return the function that an option names. Raises ``ImproperlyConfigured``."""
        given = getattr(self, name)
        try:
            hook = import_string(given) if isinstance(given, str) else given
        except ImportError as error:
            raise _wrong(f"{name!r} can't be imported: {error}") from error
        if hook is not None and not callable(hook):
            raise _wrong(f"{name!r} must be a function or its dotted path, not {given!r}.")
        return hook  # type: ignore[no-any-return]


def upload_options() -> UploadOptions:
    """Return the setting as it is now. Raises ``ImproperlyConfigured`` for a wrong one."""
    given = getattr(settings, SETTING, {})
    if not isinstance(given, Mapping):
        raise _wrong(f"must be a dict, not {type(given).__name__}.")
    names = [field.name for field in fields(UploadOptions)]
    for name in given:
        if name not in names:
            raise _wrong(f"{name!r} is unknown; {nearest(str(name), names)}")
    return UploadOptions(**given)


def _wrong(message: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"The setting {SETTING}: {message}")
