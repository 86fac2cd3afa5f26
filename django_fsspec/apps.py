"""The Django app: registers system checks, the admin widget and the serializer field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks


def check_storages(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Run the system checks, which import much that other commands have no need of."""
    from .checks import system_checks

    return system_checks.check_storages(app_configs, **kwargs)


class DjangoFSSpecConfig(AppConfig):
    """Registers system checks, the admin widget, and the field for Django REST framework."""

    name = "django_fsspec"
    verbose_name = "File storage"

    def import_models(self) -> None:
        """Register the admin widget, before any ``admin.py`` creates a ``ModelAdmin``."""
        super().import_models()
        if apps.is_installed("django.contrib.admin"):
            from django.contrib.admin.options import FORMFIELD_FOR_DBFIELD_DEFAULTS

            from .admin.model_admin import AdminStoredObjectWidget
            from .fields.stored_object import StoredObjectField

            overrides = {"widget": AdminStoredObjectWidget}
            FORMFIELD_FOR_DBFIELD_DEFAULTS.setdefault(StoredObjectField, overrides)

    def ready(self) -> None:
        """Register the system checks, the serializer field and its OpenAPI schema.

        Raises ``ImproperlyConfigured`` where OpenTelemetry is switched on and not installed.
        """
        # the package of storages takes a tenth of a second, which not every command needs
        if getattr(settings, "DJANGO_FSSPEC_OPENTELEMETRY", False):
            from .storage import telemetry

            telemetry.start()
        checks.register(check_storages, checks.Tags.files)
        if apps.is_installed("rest_framework"):
            self._register_serializer_field()
        if apps.is_installed("drf_spectacular"):
            from .uploads import rest_framework_schema  # noqa: F401 - its classes register themselves

    def _register_serializer_field(self) -> None:
        """Have serializers use our field for a ``StoredObjectField``.

        Their default is a JSON field, which lets a client choose alias and path.
        """
        from rest_framework.serializers import ModelSerializer

        from .fields.stored_object import StoredObjectField
        from .rest_framework import StoredObjectSerializerField

        mapping = ModelSerializer.serializer_field_mapping
        mapping.setdefault(StoredObjectField, StoredObjectSerializerField)
