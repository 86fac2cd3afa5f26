"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.core import checks


class DjangoFSSpecConfig(AppConfig):
    """Registers the system checks, and our fields with the admin and Django REST framework."""

    name = "django_fsspec"
    verbose_name = "File storage"

    def import_models(self) -> None:
        """Have the admin use our widget: before any ``admin.py`` makes a ``ModelAdmin``."""
        super().import_models()
        if apps.is_installed("django.contrib.admin"):
            from django.contrib.admin.options import FORMFIELD_FOR_DBFIELD_DEFAULTS

            from .admin.model_admin import AdminStoredObjectWidget
            from .fields.stored_object import StoredObjectField

            ours = {"widget": AdminStoredObjectWidget}
            FORMFIELD_FOR_DBFIELD_DEFAULTS.setdefault(StoredObjectField, ours)

    def ready(self) -> None:
        """Register what others look up."""
        from .checks.system_checks import check_storages

        checks.register(check_storages, checks.Tags.files)
        if apps.is_installed("rest_framework"):
            self._teach_rest_framework()

    def _teach_rest_framework(self) -> None:
        """Have serializers take uploads for our fields.

        They would take them for the JSON that they are stored as, from which a client could
        choose alias and path.
        """
        from rest_framework.serializers import ModelSerializer

        from .fields.stored_object import StoredObjectField
        from .rest_framework import StoredObjectSerializerField

        mapping = ModelSerializer.serializer_field_mapping
        mapping.setdefault(StoredObjectField, StoredObjectSerializerField)
