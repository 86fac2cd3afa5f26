"""Names in use that no row of a file field holds, as functions of the project tell them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from django.conf import settings
from django.utils.module_loading import import_string

from . import other_packages
from .columns import BadArguments

#: the setting: dotted paths of functions
SETTING = "DJANGO_FSSPEC_NAMES_IN_USE"

#: takes an alias of a storage; yields names of files in use there, "folder/" for all in a folder
NamesInUse: TypeAlias = Callable[[str], Iterable[str]]


class BadSetting(ValueError):
    """The setting DJANGO_FSSPEC_NAMES_IN_USE names something that is no function."""


def functions() -> list[NamesInUse]:
    """Return the functions that the setting names, and ours for other packages.

    Raises ``BadSetting``.
    """
    paths = getattr(settings, SETTING, ())
    if isinstance(paths, str):
        raise BadSetting(f"{SETTING} must be a list of dotted paths: write [{paths!r}].")
    return [*map(_imported, paths), *other_packages.FUNCTIONS]


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
