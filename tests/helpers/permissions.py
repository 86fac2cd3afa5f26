"""Permissions and content types, which tests make as they need them."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.management import create_contenttypes
from django.contrib.contenttypes.models import ContentType
from django.core.signals import setting_changed
from django.db.models.signals import post_migrate


@cache  # mutmut runs tests twice in one process
def make_none_after_flush() -> None:
    """Have ``flush`` leave the tables of permissions and content types empty."""
    assert _disconnect() == (True, True)
    post_migrate.connect(_forget_content_types)
    setting_changed.connect(_loaded_again)


def _disconnect() -> tuple[bool, bool]:
    return (
        post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions"),
        post_migrate.disconnect(create_contenttypes),
    )


def _loaded_again(*, setting: str, **kwargs: Any) -> None:
    # apps connect what they make in ready(), which other INSTALLED_APPS call again
    if setting == "INSTALLED_APPS":
        _disconnect()


def _forget_content_types(**kwargs: Any) -> None:
    ContentType.objects.clear_cache()


def permission(app_label: str, codename: str) -> Permission:
    """Return a permission of an app, after making all of them."""
    create_permissions(apps.get_app_config(app_label), verbosity=0)
    return Permission.objects.get(content_type__app_label=app_label, codename=codename)
