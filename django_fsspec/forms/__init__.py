"""Form fields and the widget, and uploads kept while a form with errors is shown again."""

from .fields import MultipleStoredObjectFormField, StoredObjectFormField

__all__ = ["MultipleStoredObjectFormField", "StoredObjectFormField"]
