"""Files of rows on a storage of one's choice: a field by itself takes the one it names."""

from __future__ import annotations

from typing import Any

from django.core.files.base import File
from django.db.models import Model

from django_fsspec import FileObject


def placed(row: Model, field: str, alias: str, content: File[Any]) -> FileObject:
    """Return `content` as a file for a field of a row, on the storage `alias`.

    It is stored with the row. Raises ``SuspiciousFileOperation`` where no path can be made of
    its name.
    """
    called = content.name or ""
    path = row._meta.get_field(field).generate_filename(row, called)  # type: ignore[union-attr]
    return FileObject(alias, called, to_filename=path, content=content)
