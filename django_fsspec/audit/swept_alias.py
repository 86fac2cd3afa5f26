"""SweptAlias: an alias that is swept, and which of its names the sweep leaves alone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from fnmatch import translate

from django.conf import STATICFILES_STORAGE_ALIAS, settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import storages
from django.core.files.storage.handler import InvalidStorageError

from django_fsspec.core import names
from django_fsspec.staticfiles import FSSpecStaticStorage
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.locations import Place, Route, place_of
from django_fsspec.storage.shared_places import Sharing

from .clock import NEGLIGIBLE, StorageClock
from .columns import BadArguments
from .findings import SweepTally
from .tenants import refusal_of_tenants, tenant_folders

#: alias -> where its files are, None where that is not known
Places = Mapping[str, Place | None]


class Exclusion:
    """Shell patterns of names: ``*`` also matches slashes, and a folder's name all files in it.

    Raises ``BadArguments`` for an empty one.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        stripped = [pattern.strip("/") for pattern in patterns]
        if not all(stripped):
            raise BadArguments("--exclude must be a pattern of names: it is empty.")
        texts = [translate(text) for name in stripped for text in (name, f"{name}/*")]
        self._match = re.compile("|".join(texts)).match if texts else None

    def __contains__(self, name: str) -> bool:
        return self._match is not None and self._match(name) is not None


class SweptAlias:
    """An alias that is swept: its storage, its part of the name index, and its counts."""

    def __init__(
        self, part: int, alias: str, place: Place, folder: str, exclusion: Exclusion
    ) -> None:
        self.part, self.alias, self.place, self.folder = part, alias, place, folder
        storage: FSSpecStorage = storages[alias]  # type: ignore[assignment]
        self.storage = storage.pinned()
        #: whether there are no real folders, so that each file has one name
        self.flat = self.storage.flows.adapter.dialect.flat
        self.tally = SweepTally()
        #: why `delete` is refused
        self.refusal: str | None = None
        #: why no trial file could be stored, so that nothing is deleted
        self.trial_error: OSError | None = None
        #: folders inside it that are the root of another alias -> that alias
        self.foreign: dict[str, str] = {}
        #: folders in use, with a slash at the end; "" is the root
        self.used_folders: tuple[str, ...] = ()
        #: the storage's clock, where it was read
        self.clock: StorageClock | None = None
        #: what was modified later, in epoch seconds, is too young
        self.limit = math.inf
        #: files that were listed, and left out because of --exclude or a folder in use
        self.left_out = 0
        self._exclusion = exclusion

    @property
    def complete(self) -> bool:
        """Whether the listing reached its end."""
        return self.tally.listed

    @property
    def notes(self) -> list[str]:
        """Remarks that qualify the result, as sentences."""
        notes = [
            f"{self.alias}: {folder}/ was skipped, because it is the root of {alias!r}."
            for folder, alias in self.foreign.items()
        ]
        if count := self.left_out:
            skipped = "1 file was" if count == 1 else f"{count} files were"
            notes.append(
                f"{self.alias}: {skipped} skipped: excluded by --exclude, or in a folder in use."
            )
        if self.clock and abs(self.clock.skew) >= NEGLIGIBLE:
            notes.append(f"{self.alias}: its clock is {self.clock}, and ages are counted on it.")
        if self.complete and self.folder and not self.tally.objects + self.left_out:
            notes.append(f"{self.alias}: {self.folder}/: no such folder, or nothing in it.")
        if self.refusal:
            notes.append(f"{self.alias}: --delete is refused: {self.refusal}")
        return notes

    def holds(self, name: str) -> bool:
        """Return whether a name is in the folder to sweep, and in no other alias' root."""
        if self.folder and not name.startswith(f"{self.folder}/"):
            return False
        return not any(name.startswith(f"{folder}/") for folder in self.foreign)

    def leaves_out(self, name: str) -> bool:
        """Return whether a name is excluded, or in a folder in use."""
        return name in self._exclusion or name.startswith(self.used_folders)

    def wants(self, name: str) -> bool:
        """Return whether a file of this name is swept."""
        return self.holds(name) and not self.leaves_out(name)

    def note_shared(self, alias: str, place: Place | None, sharing: Sharing) -> None:
        """Note what a trial file told of another alias: a folder in here, static files."""
        for route in sharing.routes:
            if route.strip:
                self.foreign[route.strip.removesuffix("/")] = alias
            elif route == Route() and is_static(alias, place):
                self.refusal = _refusal_of_static(self.alias, alias, sharing.problem)


def swept_aliases(
    aliases: Sequence[str],
    places: Places,
    *,
    prefix: str,
    exclude: Sequence[str],
    delete: bool,
) -> list[SweptAlias]:
    """Return the aliases to sweep: by default, all of ours but those of static files.

    Raises ``BadArguments``, see ``Sweep``.
    """
    folder, exclusion = _checked_folder(prefix), Exclusion(exclude)
    targets = [
        SweptAlias(part, alias, _checked_place(alias), folder, exclusion)
        for part, alias in enumerate(dict.fromkeys(aliases or _ours(places)))
    ]
    for target in targets:
        _find_foreign(target, places)
        target.refusal = _refusal(target, places)
        if delete and target.refusal:
            raise BadArguments(target.refusal)
    return targets


def _checked_folder(prefix: str) -> str:
    try:
        return names.check_directory(prefix)
    except SuspiciousFileOperation as error:
        raise BadArguments(str(error)) from error


def _ours(places: Places) -> list[str]:
    aliases = [
        alias
        for alias, place in places.items()
        if place and isinstance(storages[alias], FSSpecStorage) and not is_static(alias, place)
    ]
    if not aliases:
        raise BadArguments("STORAGES has no FSSpecStorage.")
    return aliases


def is_static(alias: str, place: Place | None) -> bool:
    """Return whether the files of an alias are static files, which no row references."""
    ours = place is not None and isinstance(storages[alias], FSSpecStaticStorage)
    return ours or alias == STATICFILES_STORAGE_ALIAS


def _checked_place(alias: str) -> Place:
    if alias not in settings.STORAGES:
        configured = ", ".join(sorted(settings.STORAGES))
        raise BadArguments(f"{alias!r} is not in STORAGES, which has {configured}.")
    try:
        storage = storages[alias]
    except (ImproperlyConfigured, InvalidStorageError) as error:
        raise BadArguments(str(error)) from error
    if not isinstance(storage, FSSpecStorage):
        raise BadArguments(f"{alias!r} is a {type(storage).__name__}, not an FSSpecStorage.")
    try:
        place = place_of(storage)
    except ImproperlyConfigured as error:
        raise BadArguments(str(error)) from error
    assert place is not None
    if is_static(alias, place):
        raise BadArguments(
            f"{alias!r} has static files, and no row references these: each would count as an "
            "orphan. Delete outdated ones with manage.py collectstatic --clear."
        )
    return place


def _find_foreign(target: SweptAlias, places: Places) -> None:
    for alias, place in places.items():
        route = None if place is None else target.place.route_to(place)
        if route is not None and route.strip:
            target.foreign[route.strip.removesuffix("/")] = alias
    target.foreign |= tenant_folders(target.alias, target.place)


def _refusal(target: SweptAlias, places: Places) -> str | None:
    """Return why files of an alias can't be deleted, as a sentence."""
    if not target.storage.flows.adapter.dialect.writable:
        return f"{target.alias!r} is read-only, so its files can't be deleted."
    if refusal := refusal_of_tenants(target.alias, target.place):
        return refusal
    for alias, place in places.items():
        if place and place.route_to(target.place) == Route() and is_static(alias, place):
            return _refusal_of_static(target.alias, alias)
    return None


def _refusal_of_static(alias: str, static: str, problem: str | None = None) -> str:
    if problem:
        return (
            f"whether {alias!r} and {static!r} store their files in one place could not be found "
            f"out: {static!r} did not answer ({problem}), and no row references static files."
        )
    return (
        f"{alias!r} and {static!r} store their files in one place, and no row references static "
        "files. Give each alias a prefix of its own."
    )
