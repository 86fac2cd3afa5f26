"""StoredField: the part of StoredObjectField that rows, forms and uploads use.

The class itself is in a layer above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

    from django_fsspec.objects.file_object import FileObject


class StoredField(Protocol):
    """A field that holds files; see ``StoredObjectField`` for each of its options."""

    name: Any
    verbose_name: Any
    attname: Any
    column: Any
    model: Any
    max_length: Any
    backend: Any
    upload_to: Any
    multiple: bool
    cleanup: bool
    image: bool
    formats: tuple[str, ...] | None
    max_pixels: int | None
    max_size: int | None
    content_types: tuple[str, ...] | None

    def alias_for(self, instance: Model | None) -> str:
        """Return the alias of the storage for the files of `instance`."""

    def default_files(self) -> list[FileObject]:
        """Return the files that new rows get. Raises what a callable default raises."""

    def prepare(self, instance: Model, file: FileObject) -> None:
        """Set alias, path, checksum algorithm, content type and image size of unsaved content."""

    def generate_filename(self, instance: Model | None, filename: str) -> str:
        """Return the path to store a file under that the user calls `filename`."""

    def unique_filename(self, instance: Model | None, filename: str) -> str:
        """Return a new path for `filename`, with a random part."""

    def validate_name(self, file: FileObject, instance: Model | None) -> None:
        """Raise ``ValidationError`` for a name that the storage can't store."""

    def run_validators(self, value: Any) -> None:
        """Raise ``ValidationError`` for a file that the field refuses."""

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Return `value` as a parameter for the database."""
