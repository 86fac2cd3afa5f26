"""Static files on any filesystem, for ``collectstatic``."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.utils.functional import SimpleLazyObject

from .storage.fsspec_storage import FSSpecStorage


class FSSpecStaticStorage(FSSpecStorage):
    """``FSSpecStorage`` with what static files need: exact names and unsigned URLs.

    Example::

        STORAGES = {
            "staticfiles": {
                "BACKEND": "django_fsspec.staticfiles.FSSpecStaticStorage",
                "OPTIONS": {"fs": "s3", "prefix": "bucket/static"},
            },
        }

    `allow_overwrite` is on, since collectstatic replaces files under their own names.
    `base_url` defaults to ``STATIC_URL``; with it on a local filesystem and no `prefix`, files
    go to ``STATIC_ROOT``. URLs are never signed: they go into CSS files and manifests.
    """

    def __init__(self, *, allow_overwrite: bool = True, **options: Any) -> None:
        if options.get("base_url") is None:
            options["base_url"] = settings.STATIC_URL
        if options.get("fs") in ("file", "local") and not options.get("prefix"):
            options["prefix"] = str(settings.STATIC_ROOT or "")
        super().__init__(allow_overwrite=allow_overwrite, **options)


class FSSpecManifestStaticStorage(ManifestFilesMixin, FSSpecStaticStorage):  # type: ignore[misc]
    """``FSSpecStaticStorage`` with hashed names, as Django's ``ManifestStaticFilesStorage``.

    Give hashed files a long life with ``object_options``:
    ``lambda name: {"cache_control": "max-age=31536000, immutable"}``.
    """

    def load_manifest(self) -> tuple[Any, Any]:  # type: ignore[override]
        """Return the manifest's paths and hash, read when first used.

        Django reads it when the storage is made; ``manage.py check`` makes it too, and must make
        no request.
        """
        manifest: Any = SimpleLazyObject(super().load_manifest)
        return SimpleLazyObject(lambda: manifest[0]), SimpleLazyObject(lambda: manifest[1])
