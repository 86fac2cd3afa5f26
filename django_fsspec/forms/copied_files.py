"""Copied files: the files of a row whose form is saved as another, new row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.core.signing import BadSignature, Signer

from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.values import Ref, files_of

from .cards import key_of
from .kept_uploads import StoredUpload

if TYPE_CHECKING:
    from django.db.models import Model

    from django_fsspec.rows.protocols import StoredField

#: seconds until the reference in a form expires
LIFETIME = 12 * 3600


class CopiedFile(StoredUpload):
    """The content of another row's file, for a new row. Makes no request before it is read."""

    def __init__(self, file: FileObject) -> None:
        super().__init__(
            Ref(file.backend, file.filename), file.original_name, file.content_type, file.size or 0
        )
        #: the file of the other row
        self.source = file
        #: a copy waits for a scanner as its file does
        self.scan_state = file.scan_state


def reference(row: Model, field: StoredField) -> str:
    """Return a signed reference to the files of a row, for the form that shows them; "" for none.

    It names the row and the files that are shown, no path.
    """
    files = [file for file in files_of(getattr(row, field.attname)) if not file.has_pending_data]
    if row._state.adding or not files:
        return ""
    # first letters of pk, database, keys, expiry
    payload = {
        "p": str(_pk(field).value_from_object(row)),
        "d": row._state.db,
        "k": [key_of(file) for file in files],
        "e": int(time.time()) + LIFETIME,
    }
    return _signer(field).sign_object(payload, compress=True)


def copied(text: str, field: StoredField) -> Sequence[CopiedFile]:
    """Return copies of the files of a reference, as far as the row still has them: 1 query.

    Returns none for a reference that is forged, expired or of another field.
    """
    try:
        payload = _signer(field).unsign_object(text)
    except (BadSignature, ValueError):  # or what is no text, such as half of a character
        return []
    if payload["e"] <= time.time():
        return []
    rows = field.model._base_manager.using(payload["d"]).filter(pk=payload["p"])
    values = list(rows.values_list(field.name, flat=True)[:1])
    files = files_of(values[0]) if values else []
    return [CopiedFile(file) for file in files if file and key_of(file) in payload["k"]]


def _pk(field: StoredField) -> Any:
    """Return the primary key of the table with the field, which may be a parent's."""
    return field.model._meta.pk


def _signer(field: StoredField) -> Signer:
    return Signer(salt=f"django_fsspec.copied_files:{field.model._meta.label}.{field.name}")
