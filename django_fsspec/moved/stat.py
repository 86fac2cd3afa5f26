"""The old path of ``django_fsspec.core.stat``, which pickles name."""

from django_fsspec.core.stat import Stat

__all__ = ["Stat"]
