"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class DjangoFSSpecConfig(AppConfig):
    """Registers the system checks."""

    name = "django_fsspec"
    verbose_name = "File storage"

    def ready(self) -> None:
        """Register the checks."""
        from .checks import check_storages

        checks.register(check_storages, checks.Tags.files)
