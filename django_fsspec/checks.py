"""System checks of ``settings.STORAGES``; no I/O. Storages check themselves, this loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.core.files.storage.handler import InvalidStorageError

from .storage import FSSpecStorage


def check_storages(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check every alias whose backend is ours."""
    found: list[CheckMessage] = []
    ours = False
    for alias in settings.STORAGES:
        try:
            storage = storages[alias]
        except ImproperlyConfigured as error:
            if "django_fsspec" in str(settings.STORAGES[alias].get("BACKEND", "")):
                ours = True
                found.append(Error(str(error), id="django_fsspec.E001"))
            continue
        except InvalidStorageError:
            continue  # not ours to report: Django names it when it is used
        if isinstance(storage, FSSpecStorage):
            ours = True
            found += storage.check()
    if ours and not apps.is_installed("django_fsspec"):
        found.append(
            Error(
                "STORAGES uses django_fsspec, which is not in INSTALLED_APPS.",
                hint="Add 'django_fsspec' to INSTALLED_APPS.",
                id="django_fsspec.E002",
            )
        )
    return found
