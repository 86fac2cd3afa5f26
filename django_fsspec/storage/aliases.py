"""The aliases of ``settings.STORAGES``: from an alias to its storage, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.files.storage import Storage, storages
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from .options import Arguments


def storage_of(alias: str) -> Storage:
    """Return the storage of `alias`, of any class; migrations and pickles call this.

    Raises ``InvalidStorageError`` for an alias that is not in ``settings.STORAGES``.
    """
    return storages[alias]


# migrations and pickles name this, wherever the function is defined
storage_of.__module__ = "django_fsspec.storage"


def label_of(alias: str) -> str:
    """Return what people call a storage: the option `label` of the alias, else the alias."""
    options = settings.STORAGES.get(alias, {}).get("OPTIONS", {})
    return str(options.get("label", "")) or alias


def made_storages() -> dict[str, Storage]:
    """Return the storages that were made in this process, by alias."""
    return dict(getattr(storages, "_storages", {}))


def alias_of(storage: object, options: Mapping[str, Any] | Arguments) -> str | None:
    """Return the alias in ``settings.STORAGES`` that `storage` was made for, or None.

    Django does not tell a storage its alias: this looks for the instance among those made,
    then for the alias whose OPTIONS are `options`.
    """
    for alias, instance in made_storages().items():
        if instance is storage:
            return alias
    for alias, config in settings.STORAGES.items():
        if config.get("OPTIONS", {}) == options and _is_of(storage, config.get("BACKEND")):
            return str(alias)
    return None


def _is_of(storage: object, backend: Any) -> bool:
    """Return whether the BACKEND of an alias is the class of `storage`, by whatever path."""
    if isinstance(backend, str):
        try:
            backend = import_string(backend)
        except Exception:  # what the alias of another storage imports may fail in any way
            return False
    return backend is type(storage)
