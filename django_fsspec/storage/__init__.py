"""FSSpecStorage: its options, the filesystem behind it, its operations, open files and URLs."""

from .aliases import storage_of
from .fsspec_storage import FSSpecStorage, get_storage

__all__ = ["FSSpecStorage", "get_storage", "storage_of"]
