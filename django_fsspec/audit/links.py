"""Symbolic links: which listed files do rows reach by another name, through a link?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache

from django.core.exceptions import SuspiciousFileOperation

from django_fsspec.core.stat import Stat
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.locations import Place

from .name_index import NameIndex


class LinkedFiles:
    """The links of one storage, whose names are a part of the index.

    A listing shows a file under its real name only. A row that names it through a link holds it
    too: such files are the listed ones of the same size and time as what the row's name leads to.
    """

    def __init__(self, storage: FSSpecStorage, index: NameIndex, part: int) -> None:
        self._flows = storage.flows
        self._index, self._part = index, part
        #: folder -> whether it is a link, or lies behind one
        self._behind: dict[str, bool] = {"": False}

    def is_behind_link(self, folder: str) -> bool:
        """Return whether a folder is a link or lies behind one: 1 request for each folder.

        Raises ``OSError`` when that can't be known.
        """
        if folder not in self._behind:
            parent = folder.rpartition("/")[0]
            self._behind[folder] = self.is_behind_link(parent) or self._is_link(folder)
        return self._behind[folder]

    def _is_link(self, folder: str) -> bool:
        try:
            return self._flows.run(self._flows.is_link(folder), "is_link", folder)
        except FileNotFoundError:
            return False

    def hold(self) -> None:
        """Count files that rows reach through links as held: 1 request, or more, for each folder.

        Asks for folders with files that rows hold and no listing shows. Raises ``OSError``.
        """
        for folder in self._index.unlisted_folders(self._part):
            try:
                behind = self.is_behind_link(folder)
                reached = [stat for stat in self._files(folder) if behind or stat.is_link]
            except SuspiciousFileOperation:
                continue  # the storage refuses the names of these rows, so they reach nothing
            self._index.describe(self._part, reached)
            self._index.add_links(self._part, reached)
        self._index.hold_linked(self._part)

    def _files(self, folder: str) -> list[Stat]:
        try:
            return self._flows.run(self._flows.files_in(folder), "listdir")
        except FileNotFoundError:
            return []


class LinkedNames:
    """What names on the local disk lead to through links, in one sweep: folders are remembered."""

    def __init__(self) -> None:
        self._real_folder = lru_cache(maxsize=10_000)(os.path.realpath)

    def inside(self, other: Place, place: Place, names: Iterable[str]) -> Iterator[str]:
        """Yield the names in `other` of files that `names` in `place` lead to.

        1 system call for each name, more for each folder; none where a place is elsewhere.
        """
        if not (place.is_local and other.is_local) or place.root == other.root:
            return
        root = f"/{other.root}/"
        for name in names:
            folder, _, label = f"/{place.root}/{name}".rpartition("/")
            try:
                path = f"{self._real_folder(folder)}/{label}"
                if os.path.islink(path):  # noqa: PTH114 - pathlib is slow for many names
                    path = os.path.realpath(path)
            except ValueError:
                continue  # no file can have this name
            if path.startswith(root):
                yield path.removeprefix(root)
