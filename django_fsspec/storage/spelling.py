"""Storages that take names which differ in case or Unicode form alone for one name.

Such a storage (a disk of Windows or macOS, Dropbox, servers in front of them) finds "photo.jpg"
where "Photo.jpg" is.
"""

from __future__ import annotations

import unicodedata
import uuid
from typing import NamedTuple

from django.core.files.storage import Storage


class Folding(NamedTuple):
    """What a storage does not tell apart in names: upper and `case`, Unicode `form`."""

    case: bool
    form: bool

    def __str__(self) -> str:
        ways = [("case", self.case), ("Unicode form", self.form)]
        return " and ".join(label for label, folds in ways if folds)


def trial_name(prefix: str = "django-fsspec") -> str:
    """Return a fresh name that has other spellings, in case and in Unicode form."""
    return f"{prefix}-{uuid.uuid4().hex}-Aa\u00e9.txt"


def folding(storage: Storage, name: str) -> Folding:
    """Return what a storage does not tell apart: 2 requests.

    `name` is of a file that it has, and made by ``trial_name()``. Raises what the storage raises.
    """
    return Folding(
        case=storage.exists(_in_other_case(name)),
        form=storage.exists(unicodedata.normalize("NFD", name)),
    )


def _in_other_case(name: str) -> str:
    """Return `name` with the ASCII letters of its last part in the other case.

    Some storages fold no other letters.
    """
    folder, slash, label = name.rpartition("/")
    other = "".join(c.swapcase() if c.isascii() else c for c in label)
    return folder + slash + other
