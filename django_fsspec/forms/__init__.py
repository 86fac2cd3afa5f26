"""Form fields and widget for stored files, and files kept between two tries of a form."""

from .fields import MultipleStoredObjectFormField, StoredObjectFormField

__all__ = ["MultipleStoredObjectFormField", "StoredObjectFormField"]
