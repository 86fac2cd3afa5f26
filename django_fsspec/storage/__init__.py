"""FSSpecStorage: its options, the filesystem behind it, its operations, open files and URLs."""

from .aliases import get_storage
from .fsspec_storage import FSSpecStorage

__all__ = ["FSSpecStorage", "get_storage"]
