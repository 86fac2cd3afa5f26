"""A field of each kind, and fields of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

from django_fsspec import FileObject
from django_fsspec.fields import StoredObjectField


class ScanField(StoredObjectField):
    """A field with an option of its own; its attribute is Any."""

    def __init__(self, *args: Any, scan: bool = True, **options: Any) -> None:
        self.scan = scan
        super().__init__(*args, **options)


if TYPE_CHECKING:
    Base = StoredObjectField[FileObject, FileObject]
else:
    Base = StoredObjectField


class StrictField(Base):
    """A field whose attribute takes less."""


def alias_for(row: models.Model) -> str:
    return str(row.pk)


def path_for(row: Document, filename: str) -> str:
    return f"{row.pk}/{filename}"


def check(file: FileObject) -> None:
    """Validate a file."""


class Document(models.Model):
    """One model."""

    file = StoredObjectField(
        "the file",
        backend=alias_for,
        upload_to=path_for,
        max_size=5,
        content_types=["image/*"],
        help_text="A picture",
        validators=[check],
    )
    cover = StoredObjectField(
        upload_to="%Y", null=True, blank=True, image=True, formats=("PNG",), max_pixels=5
    )
    pages = StoredObjectField(multiple=True, blank=True, checksum="md5", cleanup=False)
    nullable_pages = StoredObjectField(multiple=True, null=True)
    scan = ScanField(scan=False)
    strict = StrictField()
