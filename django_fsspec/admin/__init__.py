"""The admin: widget, list columns and filters, totals by storage, and the move_files action."""

from .filters import BackendListFilter, ContentTypeListFilter, SizeListFilter
from .model_admin import AdminStoredObjectWidget, StoredObjectAdminMixin
from .move_action import move_files

__all__ = [
    "AdminStoredObjectWidget",
    "BackendListFilter",
    "ContentTypeListFilter",
    "SizeListFilter",
    "StoredObjectAdminMixin",
    "move_files",
]
