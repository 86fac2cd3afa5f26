"""The old path of ``django_fsspec.admin.move_files``, which settings and code name."""

from django_fsspec.admin.move_action import move_files

__all__ = ["move_files"]
