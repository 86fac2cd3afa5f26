"""StoredObjectField, its descriptor and its lookups."""

from django_fsspec.rows.values import FileList

from .stored_object import StoredObjectField

__all__ = ["FileList", "StoredObjectField"]
