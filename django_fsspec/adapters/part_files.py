"""Names of files that are being written, beside what they will become."""

from __future__ import annotations

import hashlib
import secrets

from django_fsspec.core.names import PARTIAL_SUFFIX


def parent_of(path: str) -> str:
    """Return the directory of `path`; "" is where relative paths start, "/" the root."""
    directory, slash, _ = path.rpartition("/")
    return directory or slash


def partial_beside(path: str) -> str:
    """Return a fresh name in the directory of `path`."""
    return _beside(path, secrets.token_hex(8))


def lock_beside(path: str) -> str:
    """Return the one name that stands for the right to create `path`.

    It is a digest, so that it is short whatever the file is called.
    """
    return _beside(path, hashlib.sha256(path.rpartition("/")[2].encode()).hexdigest()[:32])


def _beside(path: str, label: str) -> str:
    directory, slash, _ = path.rpartition("/")
    return f"{directory}{slash}.{label}{PARTIAL_SUFFIX}"
