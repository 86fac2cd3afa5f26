"""Django REST framework: serializer fields for files, and views for direct uploads.

Needs the extra `drf`.
"""

from .fields import (
    SHOWN,
    MultipleStoredObjectSerializerField,
    StoredObjectSerializerField,
    StoredObjectSerializerMixin,
)
from .uploads import DirectUploadViewSet

__all__ = [
    "SHOWN",
    "DirectUploadViewSet",
    "MultipleStoredObjectSerializerField",
    "StoredObjectSerializerField",
    "StoredObjectSerializerMixin",
]
