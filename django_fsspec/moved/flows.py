"""The old path of ``django_fsspec.core.flows``, which documents named."""

from django_fsspec.core.flows import arun, call, run

__all__ = ["arun", "call", "run"]
