"""ListedStats: size, time and etag of the files that rows name, read from listings."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import groupby

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage, storages

from django_fsspec.audit.name_index import NameIndex
from django_fsspec.core import names
from django_fsspec.core.batches import batches
from django_fsspec.core.stat import Stat
from django_fsspec.storage.foreign import ForeignStorage, wrap
from django_fsspec.storage.fsspec_storage import FSSpecStorage

#: objects of a listing noted at a time
_PAGE = 1000
#: objects in a row that no row names, after which the next wanted folder is listed instead
_PATIENCE = 5000
#: the only part of the index
_PART = 0
#: sorts after every name
_LAST = chr(0x10FFFF)


class ListedStats:
    """The stats of files on the storage `alias`, which is called once there are files.

    They are in a temporary SQLite index: memory stays flat, whatever the number of files.
    """

    def __init__(self, alias: Callable[[], str]) -> None:
        self._alias = alias
        self._index = NameIndex()
        #: how many files were not listed yet
        self._left = 0

    def close(self) -> None:
        """Delete the index."""
        self._index.close()

    @cached_property
    def _storage(self) -> Storage:
        return storages[self._alias()]

    @property
    def _may_have_links(self) -> bool:
        """Whether there may be files that a listing of ours leaves out."""
        storage = self._storage
        return isinstance(storage, FSSpecStorage) and not storage.flows.adapter.dialect.flat

    def _fits(self, path: str) -> bool:
        """Whether the storage can hold a file of this name at all; others than ours may."""
        if not isinstance(self._storage, FSSpecStorage):
            return True
        try:
            names.check_name(path)
            names.check_directory(posixpath.dirname(path))
        except SuspiciousFileOperation:
            return False
        return True

    def want(self, paths: Iterable[str]) -> None:
        """Add files to look for."""
        self._index.add_referenced(_PART, filter(self._fits, paths))

    def read(self) -> None:
        """Look for the files: 1 request for 1000 objects, or more on other storages than ours.

        Raises ``StorageError`` and other ``OSError`` that the storage raises.
        """
        self._left = self._index.count_held(_PART, unlisted=True)
        if not self._left:
            return
        storage = self._storage
        if not isinstance(storage, FSSpecStorage):
            self._ask(storage)
            return
        folder: str | None = self._index.common_folder(_PART)
        position = ""
        while folder is not None:
            position = self._walk(storage, folder, position)
            folder = self._folder_after(position)

    def of(self, paths: Sequence[str]) -> dict[str, Stat | None]:
        """Return the stats of files, None for a file that is not there.

        A file that a row got after ``want()`` is looked for now, and one that may be behind a
        link, where listings do not show it: 1 request each.
        """
        stats: dict[str, Stat | None] = dict(self._index.stats(_PART, paths))
        if not self._may_have_links:
            stats |= dict.fromkeys(self._index.unlisted(_PART, paths))
        return stats | {path: self._look(path) for path in paths if path not in stats}

    def _look(self, path: str) -> Stat | None:
        try:
            return wrap(self._storage).stat(path)
        except (FileNotFoundError, SuspiciousFileOperation):
            return None

    def _note(self, stats: Iterable[Stat]) -> int:
        """Keep the stats of files that are wanted; return how many those were."""
        hits = self._index.describe(_PART, stats)
        self._left -= hits
        return hits

    # listings of ours

    def _walk(self, storage: FSSpecStorage, folder: str, position: str) -> str:
        """Read the listing of a folder; return the name up to which all files were looked for."""
        idle = 0
        listing = storage.walk(folder)
        for page in batches(listing, _PAGE):
            idle = 0 if self._note(page) else idle + len(page)
            if not self._left:
                return _LAST
            position = max(position, page[-1].name)
            if idle >= _PATIENCE and self._leads_away(folder, position):
                return position
        return max(position, names.join(folder, _LAST))

    def _leads_away(self, folder: str, position: str) -> bool:
        """Return whether to leave the rest of `folder` for that of the next wanted file.

        Not when a file is wanted beside `position`: its folder would have to be listed again.
        """
        following = self._folder_after(position)
        if following is None:
            return True
        parts = position.split("/")[:-1]
        around = ["/".join(parts[:count]) for count in range(len(parts) + 1)]
        beside = any(self._index.has_unlisted(_PART, path, position) for path in around)
        return f"{following}/" > position and not beside

    def _folder_after(self, position: str) -> str | None:
        """Return the topmost folder of the next wanted file that begins after `position`."""
        name = self._index.next_unlisted(_PART, position)
        if name is None:
            return None
        parts = name.split("/")[:-1]
        folders = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        deepest = folders[-1] if folders else ""
        return next((folder for folder in folders if f"{folder}/" > position), deepest)

    # other storages, by Django's API

    def _ask(self, storage: Storage) -> None:
        """List each folder, then ask for size and time of each file in it."""
        rows = self._index.held_by_folder(_PART)
        for folder, group in groupby(rows, key=lambda row: row[0]):
            there = _listed(storage, folder)
            wanted = (name for _, name in group)
            stats = (self._asked(storage, name, there) for name in wanted)
            for chunk in batches((stat for stat in stats if stat is not None), _PAGE):
                self._note(chunk)

    def _asked(self, storage: Storage, name: str, there: set[str] | None) -> Stat | None:
        if there is not None and posixpath.basename(name) not in there:
            return None
        try:
            if there is None and not storage.exists(name):
                return None
            return ForeignStorage(storage).stat(name)
        except (FileNotFoundError, SuspiciousFileOperation):
            return None


def _listed(storage: Storage, folder: str) -> set[str] | None:
    """Return the names of the files in a folder, None where the storage can't list."""
    try:
        return set(storage.listdir(folder)[1])
    except (FileNotFoundError, NotADirectoryError, SuspiciousFileOperation):
        return set()
    except NotImplementedError:
        return None
