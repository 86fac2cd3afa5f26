"""StoredObjectField, the model field for files, with its descriptor and lookups."""

from django_fsspec.rows.values import FileList

from .stored_object import StoredObjectField

__all__ = ["FileList", "StoredObjectField"]
