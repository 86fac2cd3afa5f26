"""Objects that no row holds, and rows whose object is gone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import storages
from django.core.files.storage.handler import InvalidStorageError
from django.utils import timezone

from django_fsspec.core import names
from django_fsspec.core.batches import batches
from django_fsspec.exceptions import StorageError
from django_fsspec.rows.columns import FileColumn, Origin, RowText
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.locations import Place, Route, configured_places, place_of

from .columns import Refused, check_databases, columns, elsewhere, missing_file
from .findings import Fate, MissingFile, Orphan, Tally
from .name_index import Listed, NameIndex
from .progress_bars import Bar, no_bar

#: Django's alias for files that no row holds
STATIC = "staticfiles"


class Target:
    """An alias that is swept: its storage, its part of the catalogue and its tally."""

    def __init__(self, part: int, alias: str, place: Place, folder: str) -> None:
        self.part, self.alias, self.place, self.folder = part, alias, place, folder
        self.storage: FSSpecStorage = storages[alias]  # type: ignore[assignment]
        self.tally = Tally()
        #: whether it was listed to the end
        self.complete = False
        #: folders in it where other aliases are at home
        self.foreign: dict[str, str] = {}

    def wants(self, name: str) -> bool:
        """Whether a name lies in the folder that is swept, and in no other alias' own."""
        if self.folder and not name.startswith(f"{self.folder}/"):
            return False
        return not any(name.startswith(f"{folder}/") for folder in self.foreign)


class Sweep:
    """Compares what storages list with what rows hold. Memory is flat in both.

    `aliases` are by default all of ours but that of static files. A model is looked for in each
    of `databases` that the router lets it live on. `prefix` is a folder in the storages. With
    `delete`, orphans older than `min_age` go, a thousand a request, each batch after another
    look whether rows hold some of it by now. With `missing`, rows whose object is gone are
    yielded too. `bar` makes progress bars, as ``tqdm`` does.

    Raises ``Refused`` for arguments that can't be right.
    """

    def __init__(
        self,
        aliases: Sequence[str] = (),
        *,
        databases: Sequence[str] = ("default",),
        prefix: str = "",
        delete: bool = False,
        min_age: timedelta = timedelta(hours=24),
        missing: bool = False,
        bar: Bar = no_bar,
    ) -> None:
        self._delete, self._missing, self._bar = delete, missing, bar
        check_databases(databases)
        self._columns = columns(databases)
        self._places = configured_places()
        self._origins: set[Origin] = set()
        self._routes: dict[Origin, list[tuple[Target, Route]]] = {}
        folder = _checked_folder(prefix)
        self._targets = [
            Target(part, alias, self._place_of(alias), folder)
            for part, alias in enumerate(dict.fromkeys(aliases or self._ours()))
        ]
        for target in self._targets:
            self._find_foreign(target)
            if delete:
                self._check_deletable(target)
        self._limit = (timezone.now() - min_age).timestamp() if min_age else math.inf

    @property
    def tallies(self) -> dict[str, Tally]:
        """What was found so far, by alias."""
        return {target.alias: target.tally for target in self._targets}

    @property
    def notes(self) -> list[str]:
        """What the reader of the result should know."""
        notes = [
            f"{target.alias}: {folder}/ was left to {alias!r}, which is at home there."
            for target in self._targets
            for folder, alias in target.foreign.items()
        ]
        notes += [
            f"{origin or 'JSON without a backend'}: where its files lie is not known, so names "
            "that rows hold count as referenced everywhere."
            for origin in sorted(self._origins, key=str)
            if self._placed(origin) is None
        ]
        if others := elsewhere(self._columns):
            notes.append(
                f"Rows in {', '.join(map(repr, others))} were not looked at: add --database."
            )
        return notes

    def run(self) -> Iterator[Orphan | MissingFile]:
        """Yield what is found, as it is found: 1 request a thousand objects."""
        with NameIndex() as catalogue:
            self._catalogue = catalogue
            self._hold()
            for target in self._targets:
                yield from self._examine(target)
            if self._missing:
                yield from self._find_missing()

    # arguments

    def _ours(self) -> list[str]:
        found = [
            alias
            for alias, place in self._places.items()
            if place and alias != STATIC and isinstance(storages[alias], FSSpecStorage)
        ]
        if not found:
            raise Refused("No alias of STORAGES is one of django_fsspec's.")
        return found

    def _place_of(self, alias: str) -> Place:
        if alias not in settings.STORAGES:
            known = ", ".join(sorted(settings.STORAGES))
            raise Refused(f"No such alias in STORAGES: {alias!r} (there are {known}).")
        try:
            storage = storages[alias]
        except (ImproperlyConfigured, InvalidStorageError) as error:
            raise Refused(str(error)) from error
        if not isinstance(storage, FSSpecStorage):
            raise Refused(f"{alias!r} is a {type(storage).__name__}, not of django_fsspec.")
        try:
            place = place_of(storage)
        except ImproperlyConfigured as error:
            raise Refused(str(error)) from error
        assert place is not None
        return place

    def _find_foreign(self, target: Target) -> None:
        for alias, place in self._places.items():
            route = None if place is None else target.place.route_to(place)
            if route is not None and route.strip:
                target.foreign[route.strip.removesuffix("/")] = alias

    def _check_deletable(self, target: Target) -> None:
        if not target.storage.flows.adapter.dialect.writable:
            raise Refused(f"{target.alias!r} is read-only: nothing in it can be deleted.")
        static = self._places.get(STATIC)
        if target.alias == STATIC or (static and static.route_to(target.place) == Route()):
            raise Refused(
                f"{target.alias!r} and {STATIC!r} keep their files in one place, and of those of "
                "the latter no row tells: give each a prefix of its own."
            )

    # what rows hold

    def _placed(self, origin: Origin) -> Place | None:
        return origin.place if isinstance(origin, FileColumn) else self._places.get(origin or "")

    def _ways(self, origin: Origin) -> list[tuple[Target, Route]]:
        """Return where files of `origin` may lie, and how their names read there."""
        found = self._routes.get(origin)
        if found is None:
            found = self._routes[origin] = []
            place = self._placed(origin)
            for target in self._targets:
                # what can't be located may be anywhere: better an orphan left than a file lost
                route = Route() if place is None else place.route_to(target.place)
                if route is not None:
                    found.append((target, route))
        return found

    def _hold(self) -> None:
        """Take in the names that rows hold."""
        total = sum(column.count() for column in self._columns)
        with self._bar(total=total, desc="rows", unit=" rows") as bar:
            for column in self._columns:
                for batch in column.texts():
                    for target, held in self._named(column, batch):
                        self._catalogue.hold(target.part, sorted(held))
                    bar.update(len(batch))

    def _named(
        self, column: FileColumn, rows: Iterable[RowText]
    ) -> Iterator[tuple[Target, set[str]]]:
        """Yield the names that rows hold as targets have them."""
        found: defaultdict[Origin, set[str]] = defaultdict(set)
        for row in rows:
            for origin, name in column.files_in(row):
                found[origin].add(name)
        self._origins |= found.keys()
        for origin, held in found.items():
            for target, route in self._ways(origin):
                there = {route(name) for name in held}
                yield target, {name for name in there if name is not None and target.wants(name)}

    # what storages hold

    def _examine(self, target: Target) -> Iterator[Orphan]:
        try:
            self._list(target)
            self._unite(target)
            target.complete = True
        except OSError as error:
            target.tally.problem = str(error)
            return
        for batch in batches(self._catalogue.orphans(target.part)):
            yield from self._judged(target, batch)

    def _list(self, target: Target) -> None:
        tally = target.tally
        with self._bar(desc=target.alias, unit=" objects") as bar:
            for batch in batches(target.storage.walk(target.folder)):
                stats = [stat for stat in batch if target.wants(stat.name)]
                self._catalogue.show(target.part, stats)
                tally.objects += len(stats)
                tally.bytes += sum(stat.size or 0 for stat in stats)
                bar.update(len(batch))

    def _unite(self, target: Target) -> None:
        """Find names that differ in letter case or Unicode form only, and are one file."""
        if target.storage.flows.adapter.dialect.flat:
            return
        for held, listed in self._catalogue.alike(target.part):
            if not _is_usable(target.storage, held) or target.storage.exists(held):
                self._catalogue.unite(target.part, held, listed)

    # what becomes of it

    def _judged(self, target: Target, batch: Sequence[Listed]) -> Iterator[Orphan]:
        fates = {one.name: self._fate(one) for one in batch}
        if self._delete:
            old = [name for name, fate in fates.items() if fate == "orphan"]
            fates |= self._deleted(target, old)
        for one in batch:
            modified = None if one.modified is None else datetime.fromtimestamp(one.modified, UTC)
            orphan = Orphan(
                alias=target.alias,
                name=one.name,
                size=one.size,
                last_modified=modified,
                fate=fates[one.name],
            )
            target.tally.count(orphan)
            yield orphan

    def _fate(self, one: Listed) -> Fate:
        if one.modified is None:
            return "undated"
        return "young" if one.modified > self._limit else "orphan"

    def _deleted(self, target: Target, old: Sequence[str]) -> dict[str, Fate]:
        """Delete what still no row holds, and return what became of each."""
        usable = [name for name in old if _is_usable(target.storage, name)]
        fates: dict[str, Fate] = dict.fromkeys(old, "failed")
        fates |= dict.fromkeys(usable, "deleted")
        kept = self._referenced(target, usable)
        fates |= dict.fromkeys(kept, "referenced")
        going = [name for name in usable if name not in kept]
        if not going:
            return fates
        try:
            target.storage.delete_many(going)
        except OSError as error:
            target.tally.problem = str(error)
            left = error.names if isinstance(error, StorageError) else ()
            fates |= dict.fromkeys(left or going, "failed")
        return fates

    def _referenced(self, target: Target, given: Sequence[str]) -> set[str]:
        """Return those of `given` that rows hold by now."""
        kept: set[str] = set()
        aliases = {*self._places, *(one for one in self._origins if isinstance(one, str))}
        refs = {
            Ref(alias, name): there
            for alias in aliases
            for name, there in self._read_back(alias, target, given).items()
        }
        for using in {column.using for column in self._columns}:
            left = unreferenced(using, refs)
            kept |= {refs[ref] for ref in refs.keys() - set(left)}
        for column in self._columns:
            if column.is_file_field:
                origin = column.alias or column
                asked = self._read_back(origin, target, given)
                kept |= {asked[name] for name in column.referenced(asked)}
        return kept

    def _read_back(
        self, origin: str | FileColumn, target: Target, given: Iterable[str]
    ) -> dict[str, str]:
        """Return `given`, names in the storage of `target`, by what `origin` calls them."""
        routes = [route for one, route in self._ways(origin) if one is target]
        return {
            name: there
            for route in routes
            for there in given
            if (name := route.back(there)) is not None
        }

    # what is gone

    def _find_missing(self) -> Iterator[MissingFile]:
        complete = [target for target in self._targets if target.complete]
        for target in complete:
            target.tally.missing_rows = 0
        lacking = {t for t in complete if self._catalogue.count_held(t.part, unlisted=True)}
        if not lacking:
            return
        # read again: what changed since is not gone
        for column in self._columns:
            for batch in column.texts():
                yield from self._missing_of(column, batch, lacking)

    def _missing_of(
        self, column: FileColumn, rows: Iterable[RowText], lacking: Collection[Target]
    ) -> Iterator[MissingFile]:
        asked: defaultdict[Target, list[tuple[RowText, Target, str, str]]] = defaultdict(list)
        for row in rows:
            for origin, name in column.files_in(row):
                home = self._home(origin)
                if home is None:
                    continue
                for target, route in self._ways(origin):
                    there = route(name)
                    if there is not None and target in lacking and target.wants(there):
                        asked[target].append((row, home, name, there))
                        break
        for target, several in asked.items():
            gone = self._catalogue.unlisted(target.part, [there for *_, there in several])
            for row, home, name, there in several:
                if there in gone and home.tally.missing_rows is not None:
                    home.tally.missing_rows += 1
                    yield missing_file(column, home.alias, row, name)

    def _home(self, origin: Origin) -> Target | None:
        """Return the target that is `origin`, or the very same place for one without an alias."""
        if isinstance(origin, str):
            return next((t for t in self._targets if t.alias == origin), None)
        if origin is None or origin.place is None:
            return None
        return next((t for t, route in self._ways(origin) if route == Route()), None)


def _checked_folder(prefix: str) -> str:
    try:
        return names.check_directory(prefix)
    except SuspiciousFileOperation as error:
        raise Refused(str(error)) from error


def _is_usable(storage: FSSpecStorage, name: str) -> bool:
    """Whether the storage takes `name`; others may have stored what it would refuse."""
    try:
        storage.flows.path(name)
    except SuspiciousFileOperation:
        return False
    return True
