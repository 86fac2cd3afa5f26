"""The one exception of ours, and the errors that name a setting."""

from __future__ import annotations

from collections.abc import Sequence


class StorageError(OSError):
    """The storage backend failed in a way that has no built-in exception of its own."""

    #: the files it tells of, where they are several
    names: Sequence[str] = ()


class NotSupported(StorageError):
    """The filesystem behind the storage can not do what was asked."""
