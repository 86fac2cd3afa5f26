"""FileObject: a file as a value, its unsaved content, and what its bytes are."""

from .file_object import FileObject

__all__ = ["FileObject"]
