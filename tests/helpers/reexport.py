"""Storage classes as a user's own module offers them."""

from __future__ import annotations

from django_fsspec import storage
from django_fsspec.storage import FSSpecStorage

__all__ = ["FSSpecStorage", "MediaStorage"]


class MediaStorage(storage.FSSpecStorage):
    """A storage class of the project's own."""
