"""The admin: widget, filters, the storage overview, and the action that moves files."""

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
