"""What a user's project makes of our classes. Fixtures name this module: it stays where it is."""

from __future__ import annotations

from typing import Any

from django_fsspec.fields import StoredObjectField
from django_fsspec.operations import ConvertFileField
from django_fsspec.validators import ContentTypeValidator


def alias_for_row(instance: Any) -> str:
    return "default"


def path_for_row(instance: Any, filename: str) -> str:
    return f"placed/{filename}"


class ScanField(StoredObjectField):
    """A field of the project's own."""


class ConvertToScan(ConvertFileField):
    """An operation of the project's own."""


class ScanValidator(ContentTypeValidator):
    """A validator of the project's own."""

    def __init__(self) -> None:
        super().__init__(["image/tiff"])
