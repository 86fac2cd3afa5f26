"""The old path of ``django_fsspec.rows.values``, which pickles name."""

from django_fsspec.rows.values import FileList

__all__ = ["FileList"]
