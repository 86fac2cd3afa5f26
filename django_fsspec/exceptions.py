"""The exceptions of this package."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import SuspiciousOperation


class StorageError(OSError):
    """The service failed in a way that has no built-in exception of its own."""

    #: names of the files that failed, where there are several
    names: Sequence[str] = ()


class UploadUsed(SuspiciousOperation):
    """The receipt of an upload was used for another row at the same time.

    ``UploadsMiddleware`` answers 409.
    """


class NotSupported(StorageError):
    """The filesystem of the storage can't do what was asked."""
