"""The exceptions of this package."""

from __future__ import annotations

from collections.abc import Sequence


class StorageError(OSError):
    """The service failed in a way that has no built-in exception of its own."""

    #: names of the files that failed, where there are several
    names: Sequence[str] = ()


class NotSupported(StorageError):
    """The filesystem of the storage can't do what was asked."""
