"""``manage.py collectstatic``: Django's own, side by side and from one listing."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.staticfiles.management.commands import collectstatic
from django.core.management.base import CommandError

from django_fsspec.audit.progress_bars import bars
from django_fsspec.staticfiles import FSSpecStaticStorage


class Command(collectstatic.Command):
    """Django's ``collectstatic``; with a static storage of ours it makes few requests.

    Takes the place of Django's where ``django_fsspec`` stands before
    ``django.contrib.staticfiles`` in ``INSTALLED_APPS``.

    Example::

        python manage.py collectstatic --no-input
    """

    def handle(self, **options: Any) -> str | None:
        """Collect, as Django does. Raises ``CommandError`` without Django's app."""
        if not apps.is_installed("django.contrib.staticfiles"):
            raise CommandError("INSTALLED_APPS has no 'django.contrib.staticfiles'. Add it.")
        return super().handle(**options)

    def collect(self) -> dict[str, list[str]]:
        """Collect; return names of files by what became of them."""
        # links are made on the disk, not by the storage
        if self.symlink or not isinstance(self.storage, FSSpecStaticStorage):
            return super().collect()
        bar = bars(shown=self.verbosity > 0)
        with (
            bar(desc="Uploading", unit=" files", leave=False) as uploads,
            self.storage.collecting() as collection,
        ):
            collection.sends_all = self.clear
            collection.on_upload = uploads.update
            names = super().collect()
        unchanged = [name for name in names["modified"] if name in collection.unchanged]
        modified = [name for name in names["modified"] if name not in collection.unchanged]
        return {
            **names,
            "modified": modified,
            "unmodified": [*names["unmodified"], *unchanged],
        }
