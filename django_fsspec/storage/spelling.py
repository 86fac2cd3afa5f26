"""Storages that take names which differ in case or Unicode form alone for one name.

Such a storage (a disk of Windows or macOS, Dropbox, servers in front of them) finds "photo.jpg"
where "Photo.jpg" is. To ask for a name is not enough there: its folder is listed. Written as flows
that ``perform`` and ``aperform`` of foreign.py drive, for any storage.
"""

from __future__ import annotations

import unicodedata
import uuid
from typing import NamedTuple, TypeAlias

from django_fsspec.core.flows import Flow

from .foreign import ForeignStorage, call_method
from .fsspec_storage import FSSpecStorage

AnyStorage: TypeAlias = FSSpecStorage | ForeignStorage

#: names of a listed folder that are remembered
REMEMBERED = 100_000


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


def folding(storage: AnyStorage, name: str) -> Flow[Folding]:
    """Return what a storage does not tell apart: 2 requests.

    `name` is of a file that it has, and made by ``trial_name()``. Raises what the storage raises.
    """
    case = yield from call_method(storage, "exists", _in_other_case(name))
    form = yield from call_method(storage, "exists", unicodedata.normalize("NFD", name))
    return Folding(bool(case), bool(form))


def _in_other_case(name: str) -> str:
    """Return `name` with the ASCII letters of its last part in the other case.

    Some storages fold no other letters.
    """
    folder, slash, label = name.rpartition("/")
    other = "".join(c.swapcase() if c.isascii() else c for c in label)
    return folder + slash + other


class Spellings:
    """Tells whether what a storage finds under a name is spelled like it.

    The first question of a storage costs 4 requests; where it folds names, each folder above the
    name is listed. Listings of the last folders are remembered, and read again for names that
    they don't have.
    """

    def __init__(self, storage: AnyStorage) -> None:
        self._storage = storage
        self._folding: Folding | None = None
        self._listed: dict[str, frozenset[str]] = {}

    def has(self, name: str) -> Flow[bool]:
        """Return whether `name`, which the storage finds, is in its listings.

        False where the storage folds names and lists none: nothing tells then.
        """
        if self._folding is None:
            self._folding = yield from self._try()
        if not any(self._folding):
            return True
        folder, rest = "", name
        while rest:
            label, _, rest = rest.partition("/")
            if not (yield from self._lists(folder, label)):
                return False
            folder = f"{folder}/{label}" if folder else label
        return True

    def _try(self) -> Flow[Folding]:
        stored: str | None = None
        try:
            stat = yield from call_method(self._storage, "store", trial_name(), b"a trial")
            stored = stat.name
            return (yield from folding(self._storage, stat.name))
        except Exception:
            # a storage that takes no such name: its listings tell
            return Folding(case=True, form=True)
        finally:
            if stored is not None:
                yield from call_method(self._storage, "delete", stored)

    def _lists(self, folder: str, label: str) -> Flow[bool]:
        if label in self._listed.get(folder, ()):
            return True
        try:
            folders, files = yield from call_method(self._storage, "listdir", folder)
        except NotImplementedError:
            return False
        if sum(map(len, self._listed.values())) + len(folders) + len(files) > REMEMBERED:
            self._listed.clear()
        self._listed[folder] = frozenset((*folders, *files))
        return label in self._listed[folder]
