"""collectstatic in a process of its own."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.test import override_settings

from django_fsspec.management.commands.collectstatic import Command

FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]


def collect(backend: str, options: dict[str, Any], source: str) -> None:
    """Collect the files of a folder."""
    storages = {
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "staticfiles": {"BACKEND": backend, "OPTIONS": options},
    }
    with override_settings(
        STORAGES=storages, STATICFILES_DIRS=[source], STATICFILES_FINDERS=FINDERS
    ):
        call_command(Command(), interactive=False, verbosity=0)
