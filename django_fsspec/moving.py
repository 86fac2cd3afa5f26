"""The old place of ``django_fsspec.admin.move_files``, kept importable."""

from .admin.move_action import move_files

__all__ = ["move_files"]
