"""Storage classes as a user's own module offers them."""

from __future__ import annotations

from django_fsspec import storage
from django_fsspec.storage import FSSpecStorage

__all__ = ["FSSpecStorage", "MediaStorage", "PlacedStorage"]


class MediaStorage(storage.FSSpecStorage):
    """A storage class of the project's own."""


class PlacedStorage(storage.FSSpecStorage):
    """A storage class whose argument may be positional, as those of ``FileSystemStorage``."""

    def __init__(self, folder: str = "aliases") -> None:
        super().__init__(fs="memory", prefix=folder)
