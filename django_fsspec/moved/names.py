"""The old path of ``django_fsspec.core.names``, which pickles name."""

from django_fsspec.core.names import RoomyName

__all__ = ["RoomyName"]
