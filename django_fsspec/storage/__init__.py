"""FSSpecStorage: its options, the filesystem behind it, its operations, open files and URLs."""

from .fsspec_storage import FSSpecStorage, get_storage

__all__ = ["FSSpecStorage", "get_storage"]
