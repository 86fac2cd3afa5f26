"""What the plugin of django-stubs asks for."""

from __future__ import annotations

INSTALLED_APPS = ["django_fsspec", "tests.typing.project"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "for types"
