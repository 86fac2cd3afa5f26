"""Abort an upload that its user has cancelled."""

from __future__ import annotations

from django_fsspec.rows import slots

from .parts import parts_of
from .start import storage_of
from .tokens import Upload


def abort(text: object) -> bool:
    """Abort an upload in parts: 1 request. Return False for an upload in one piece.

    That leaves nothing behind: storages keep no file whose upload broke off. A file that has
    arrived stays until ``sweep_files`` deletes it, because its receipt may be about to be used.

    Raises ``UploadRefused``: 400 and 403 for a wrong token, 410 where it expired; ``OSError``
    where the storage fails.
    """
    upload = Upload.read(text)
    storage = storage_of(upload.alias)
    parts = parts_of(storage, upload)
    slots.free(upload.slot)
    if parts is None:
        return False
    parts.abort()
    return True
