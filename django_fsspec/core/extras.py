"""Optional packages: imported when they are used, with the extra named where one is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.core.exceptions import ImproperlyConfigured


def load(module: str, extra: str, user: str) -> Any:
    """Return a module of an optional package, which `user` needs.

    Raises ``ImproperlyConfigured`` with the extra that brings it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"{user} needs a package: pip install 'django-fsspec-storage[{extra}]'."
        ) from error
