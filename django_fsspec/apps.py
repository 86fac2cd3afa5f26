"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class DjangoFSSpecConfig(AppConfig):
    """Registers the system checks."""

    name = "django_fsspec"
    verbose_name = "File storage"
