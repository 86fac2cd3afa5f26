"""Names in use that no row of a file field holds, as functions of the project tell them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from django.conf import settings
from django.utils.module_loading import import_string

from django_fsspec.core.batches import batches
from django_fsspec.rows.references import default_refs
from django_fsspec.storage.locations import UNCHANGED, Route

from . import other_packages
from .columns import BadArguments
from .name_index import NameIndex

#: the setting: dotted paths of functions
SETTING = "DJANGO_FSSPEC_NAMES_IN_USE"

#: takes an alias of a storage; yields names of files in use there, "folder/" for all in a folder
NamesInUse: TypeAlias = Callable[[str], Iterable[str]]


class BadSetting(ValueError):
    """The setting DJANGO_FSSPEC_NAMES_IN_USE names something that is no function."""


def functions() -> list[NamesInUse]:
    """Return the functions that the setting names, and ours for defaults and other packages.

    Raises ``BadSetting``.
    """
    paths = getattr(settings, SETTING, ())
    if isinstance(paths, str):
        raise BadSetting(f"{SETTING} must be a list of dotted paths: write [{paths!r}].")
    return [*map(_imported, paths), _defaults, *other_packages.FUNCTIONS]


def _defaults(alias: str) -> Iterator[str]:
    """Yield the files that a ``StoredObjectField`` gives to new rows."""
    yield from (ref.name for ref in default_refs() if ref.backend == alias)


def _imported(path: object) -> NamesInUse:
    try:
        function: NamesInUse = import_string(str(path))
    except ImportError as error:
        raise BadSetting(f"{SETTING}: {path!r} can't be imported: {error}") from error
    if not callable(function):
        raise BadSetting(f"{SETTING}: {path!r} is no function.")
    return function


def check_names_in_use() -> None:
    """Raise ``BadArguments`` for a wrong setting."""
    try:
        functions()
    except BadSetting as error:
        raise BadArguments(str(error)) from error


def names_in_use(alias: str) -> Iterator[str]:
    """Yield the names in use on `alias`, by all functions. Raises what a function raises."""
    for function in functions():
        yield from function(alias)


def hold_names_in_use(
    index: NameIndex, part: int, alias: str, route: Route = UNCHANGED
) -> tuple[str, ...]:
    """Put the names in use on `alias` into a part of the index; return the folders in use.

    Both as `route` has them in the storage of that part. Folders have a slash at the end; "" is
    the root. Raises what a function raises.
    """
    folders: set[str] = set()
    for batch in batches(names_in_use(alias)):
        folders.update(_folders(batch, route))
        files = (route(name) for name in batch if not name.endswith("/"))
        index.add_referenced(part, (name for name in files if name))
    return tuple(folders)


def _folders(names: Iterable[str], route: Route) -> Iterator[str]:
    for name in names:
        if name.endswith("/"):
            folder = name.lstrip("/")
            there = route(folder)
            if there is not None:
                yield there
            elif route.strip.startswith(folder):
                yield ""  # the whole storage is in this folder


class FilesInUse:
    """The names in use on some aliases, as they are when this is made; in a temporary file.

    `aliases`: for each alias, the aliases whose files may be the same, and how their names read
    on it. Raises ``BadArguments`` for a wrong setting, and what a function raises.
    """

    def __init__(self, aliases: Mapping[str, Iterable[tuple[str, Route]]]) -> None:
        check_names_in_use()
        self._index = NameIndex()
        # a deletion of sources has no end at which to close it; Python 3.13 warns if nobody does
        weakref.finalize(self, self._index.close)
        self._parts = {alias: part for part, alias in enumerate(aliases)}
        self._folders = {
            alias: tuple(
                folder
                for other, route in aliases[alias]
                for folder in hold_names_in_use(self._index, part, other, route)
            )
            for alias, part in self._parts.items()
        }

    def among(self, alias: str, file_names: Iterable[str]) -> set[str]:
        """Return those of `file_names` that are in use on `alias`, one of the aliases."""
        asked = list(file_names)
        in_folders = {name for name in asked if name.startswith(self._folders[alias])}
        return in_folders | self._index.unlisted(self._parts[alias], asked)
