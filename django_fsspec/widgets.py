"""The widget of the form fields; it is defined in ``django_fsspec.forms.widgets``."""

from .forms.widgets import Rules, StoredObjectInput, Ticket

__all__ = ["Rules", "StoredObjectInput", "Ticket"]
