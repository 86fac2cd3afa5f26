"""The sweep: find and delete orphans, and find rows whose file is missing."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils import timezone

from django_fsspec.core.batches import batches
from django_fsspec.exceptions import StorageError
from django_fsspec.rows.columns import FileColumn, Origin, RowText
from django_fsspec.rows.histories import versioned_models
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from django_fsspec.storage.locations import Route, configured_places
from django_fsspec.storage.prefixes import iterate_pinned, pins_of

from .clock import read_clock
from .columns import (
    BadArguments,
    all_databases,
    check_databases,
    columns,
    databases_not_read,
)
from .findings import Due, Fate, MissingFile, Orphan, SweepTally
from .links import LinkedFiles, LinkedNames
from .missing_files import MissingFiles
from .name_index import Listed, NameIndex
from .names_in_use import SETTING, check_names_in_use, hold_names_in_use
from .origins import Origins
from .progress_bars import Bar, no_bar
from .swept_alias import SweptAlias, swept_aliases
from .tenants import notes_of_tenants


class Sweep:
    """Compares the listings of storages with the files that rows reference, in constant memory.

    `aliases` are by default all FSSpecStorages except 'staticfiles'. A model is read in each of
    `databases` (by default all) that the database router allows for it. `prefix` is a folder in
    the storages; names that match a shell pattern in `exclude` are left alone. With `delete`,
    orphans older than `min_age` are deleted, 1000 per request, after a second query whether rows
    reference them by now; ages are counted on the clock of the storage, which a small file shows.
    Before the first one, `confirm` is called with what is due by alias, and nothing is deleted
    unless it returns True. With `missing`, rows whose file is missing are yielded too. `bar` makes
    progress bars, as ``tqdm`` does.

    With `delete`, a trial file tells which other storages share files with a swept alias: 2
    requests for each alias, and 1 for each other storage.

    Raises ``BadArguments`` for an unknown alias, an unknown or unreachable database, a bad prefix,
    for an alias of static files, and for `delete` while rows of a database are not read, or on a
    storage that is read-only or shares its place with static files.

    Of an alias whose `prefix` is a callable, only the folder that it tells now is swept, to the
    end; names that rows of other tenants hold count as referenced there. `delete` is refused on
    an alias in whose folder those of tenants may be, and that does not contain their common one.
    """

    def __init__(
        self,
        aliases: Sequence[str] = (),
        *,
        databases: Sequence[str] = (),
        prefix: str = "",
        exclude: Sequence[str] = (),
        delete: bool = False,
        confirm: Callable[[Mapping[str, Due]], bool] = lambda due: True,
        min_age: timedelta = timedelta(hours=24),
        missing: bool = False,
        bar: Bar = no_bar,
    ) -> None:
        self._delete, self._missing, self._bar = delete, missing, bar
        self._confirm = confirm
        #: whether `confirm` refused the deletion
        self.cancelled = False
        databases = databases or all_databases()
        check_databases(databases)
        self._columns = columns(databases)
        #: databases with rows that are not read
        self._unread = databases_not_read(self._columns)
        if delete:
            self._require_all_rows()
        places = configured_places()
        check_names_in_use()
        self._targets = swept_aliases(
            aliases, places, prefix=prefix, exclude=exclude, delete=delete
        )
        self._pins = pins_of(settings.STORAGES)
        self._origins = Origins(places, self._targets)
        if delete:
            self._origins.try_out(self._columns)
            for target in self._targets:
                if target.refusal:
                    raise BadArguments(target.refusal)
        self._min_age = min_age
        self._linked = LinkedNames()
        for target in self._targets:
            self._set_limit(target, timezone.now())

    def _require_all_rows(self) -> None:
        """Raise ``BadArguments`` where rows of a database are not read."""
        if self._unread:
            others = " ".join(f"--database {using}" for using in self._unread)
            raise BadArguments(
                f"Rows in {', '.join(map(repr, self._unread))} would not be checked, so that "
                f"--delete could delete their files: add {others}, or leave --database out."
            )

    @property
    def tallies(self) -> dict[str, SweepTally]:
        """The counts so far, by alias."""
        return {target.alias: target.tally for target in self._targets}

    @property
    def refused(self) -> set[str]:
        """The aliases on which `delete` is refused; a note says why."""
        return {target.alias for target in self._targets if target.refusal}

    @property
    def notes(self) -> list[str]:
        """Remarks that qualify the result, as sentences."""
        notes = [note for target in self._targets for note in target.notes]
        notes += self._origins.notes
        notes += notes_of_tenants({target.alias for target in self._targets}, self._missing)
        models = versioned_models()
        versioned = {column.label for column in self._columns if column.model in models}
        if versioned and not getattr(settings, SETTING, ()):
            notes.append(
                f"{', '.join(sorted(versioned))}: earlier versions that django-reversion keeps "
                "are not rows, so their files count as orphans, unless a function in "
                f"{SETTING} names them."
            )
        if self._unread:
            notes.append(
                f"Rows in {', '.join(map(repr, self._unread))} were not checked: add --database."
            )
        return notes

    def run(self) -> Iterator[Orphan | MissingFile]:
        """Yield findings, when all storages are listed: 1 request per 1000 listed files.

        Raises what the database or a function of DJANGO_FSSPEC_NAMES_IN_USE raises; what a storage
        raises goes into its tally.
        """
        # to the end for the tenant of the beginning, whoever asks for the next finding
        return iterate_pinned(self._pins, self._run())

    def _run(self) -> Iterator[Orphan | MissingFile]:
        with NameIndex() as index:
            self._index = index
            self._index_referenced()
            for target in self._targets:
                self._list_and_match(target)
            self._ask_before_deleting()
            for target in self._targets:
                if target.complete:
                    for batch in batches(index.orphans(target.part)):
                        yield from self._orphans_of(target, batch)
            if self._missing:
                yield from MissingFiles(self._columns, self._targets, self._origins, index).find()

    # names that rows reference

    def _index_referenced(self) -> None:
        """Put the names that rows reference into the index."""
        total = sum(column.count() for column in self._columns)
        with self._bar(total=total, desc="rows", unit=" rows") as bar:
            for column in self._columns:
                for batch in column.texts():
                    for target, held in self._names_in_targets(column, batch):
                        self._index.add_referenced(target.part, sorted(held))
                    bar.update(len(batch))
        for target in self._targets:
            # what is in use without a row of a file field
            target.used_folders = tuple(
                folder
                for alias, route in self._origins.aliases_of(target)
                for folder in hold_names_in_use(self._index, target.part, alias, route)
            )

    def _names_in_targets(
        self, column: FileColumn, rows: Iterable[RowText]
    ) -> Iterator[tuple[SweptAlias, set[str]]]:
        """Yield the names that rows reference, as they read in each alias."""
        names_by_origin: defaultdict[Origin, set[str]] = defaultdict(set)
        for row in rows:
            for origin, name in column.files_in(row):
                names_by_origin[origin].add(name)
        self._origins.seen |= names_by_origin.keys()
        for origin, held in names_by_origin.items():
            for target in self._targets:
                place = self._origins.place(origin)
                if place is not None and origin != target.alias:
                    yield target, set(self._linked.inside(target.place, place, held))
            for target, route, _ in self._origins.ways(origin):
                target_names = {route(name) for name in held}
                # of a disk the others too: through a link, they may be files that it wants
                yield (
                    target,
                    {
                        name
                        for name in target_names
                        if name and (not target.flat or target.wants(name))
                    },
                )

    # names that storages list

    def _list_and_match(self, target: SweptAlias) -> None:
        """List a storage and match the names with those of rows."""
        links = LinkedFiles(target.storage, self._index, target.part)
        try:
            if target.trial_error is not None:
                raise StorageError(
                    f"A trial file can't be stored in {target.alias!r}, so that nothing is "
                    f"deleted: {target.trial_error}"
                ) from target.trial_error
            if self._delete and self._min_age:
                self._read_clock(target)
            if not target.flat and links.is_behind_link(target.folder):
                raise StorageError(
                    f"{target.folder!r} in {target.alias!r} is a link, or lies behind one: sweep "
                    "the folder that it leads to."
                )
            self._list(target)
            if not target.flat:
                self._match_spellings(target)
                links.hold()
            target.tally.listed = True
        except OSError as error:
            target.tally.problem = str(error)

    def _read_clock(self, target: SweptAlias) -> None:
        """Count ages on the storage's clock: a file must not be older than its transaction."""
        try:
            target.clock = read_clock(target.storage)
        except OSError as error:
            raise StorageError(
                f"The clock of {target.alias!r} can't be read, so that nothing is deleted: {error}"
            ) from error
        if target.clock is not None:
            self._set_limit(target, target.clock.now)

    def _set_limit(self, target: SweptAlias, now: datetime) -> None:
        target.limit = (now - self._min_age).timestamp() if self._min_age else math.inf

    def _list(self, target: SweptAlias) -> None:
        tally = target.tally
        with self._bar(desc=target.alias, unit=" objects") as bar:
            for batch in batches(target.storage.walk(target.folder)):
                here = [stat for stat in batch if target.holds(stat.name)]
                stats = [stat for stat in here if not target.leaves_out(stat.name)]
                target.left_out += len(here) - len(stats)
                self._index.add_listed(target.part, stats)
                self._index.add_links(target.part, (stat for stat in stats if stat.is_link))
                tally.objects += len(stats)
                tally.bytes += sum(stat.size or 0 for stat in stats)
                bar.update(len(batch))

    def _match_spellings(self, target: SweptAlias) -> None:
        """Match names that differ only in case or Unicode form and are one file."""
        for held, listed in self._index.alike(target.part):
            if target.storage.flows.refusals([held]) or target.storage.exists(held):
                self._index.unite(target.part, held, listed)

    # deleting

    def _ask_before_deleting(self) -> None:
        """Have `confirm` agree to the first deletion; without that, delete nothing."""
        due = {
            target.alias: Due(*self._index.count_orphans(target.part, target.limit))
            for target in self._targets
            if self._delete and target.complete and not self._is_twin(target)
        }
        if any(figures.files for figures in due.values()) and not self._confirm(due):
            self._delete, self.cancelled = False, True

    def _is_twin(self, target: SweptAlias) -> bool:
        """Return whether an alias before this one has its files in the same place."""
        return any(
            way.target.part < target.part and way.sure and way.route == Route()
            for way in self._origins.ways(target.alias)
        )

    def _orphans_of(self, target: SweptAlias, batch: Sequence[Listed]) -> Iterator[Orphan]:
        fates = {listed.name: _fate(listed, target.limit) for listed in batch}
        if self._delete:
            old = [name for name, fate in fates.items() if fate == "orphan"]
            fates |= self._deleted(target, old)
        for listed in batch:
            time = listed.modified
            orphan = Orphan(
                alias=target.alias,
                name=listed.name,
                size=listed.size,
                last_modified=None if time is None else datetime.fromtimestamp(time, UTC),
                fate=fates[listed.name],
            )
            target.tally.count(orphan)
            yield orphan

    def _deleted(self, target: SweptAlias, old: Sequence[str]) -> dict[str, Fate]:
        """Delete files that still no row references; return the fate of each."""
        # other programs may store names that the storage refuses
        refused = target.storage.flows.refusals(old)
        usable = [name for name in old if name not in refused]
        fates: dict[str, Fate] = dict.fromkeys(old, "failed")
        fates |= dict.fromkeys(usable, "deleted")
        kept = self._still_referenced(target, usable)
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
        self._forget(target, [name for name in going if fates[name] == "deleted"])
        return fates

    def _forget(self, target: SweptAlias, deleted: Sequence[str]) -> None:
        """Drop deleted files from what is listed of other aliases in the same place."""
        for other, route, sure in self._origins.ways(target.alias):
            if other is not target and sure:
                names = (route(name) for name in deleted)
                self._index.forget(other.part, [name for name in names if name is not None])

    def _still_referenced(self, target: SweptAlias, candidates: Sequence[str]) -> set[str]:
        """Return those of `candidates` that rows reference by now."""
        kept: set[str] = set()
        refs = {Ref(target.alias, name) for name in candidates}
        for using in {column.using for column in self._columns}:
            kept |= {ref.name for ref in refs.difference(unreferenced(using, refs))}
        for column in self._columns:
            if column.is_file_field:
                origin = column.alias or column
                target_names = self._names_of_origin(origin, target, candidates)
                kept |= {target_names[name] for name in column.referenced(target_names)}
        return kept

    def _names_of_origin(
        self, origin: str | FileColumn, target: SweptAlias, candidates: Iterable[str]
    ) -> dict[str, str]:
        """Return names in the storage of `target`, by the names that `origin` has for them."""
        return {
            name: target_name
            for way in self._origins.ways(origin)
            if way.target is target
            for target_name in candidates
            if (name := way.route.back(target_name)) is not None
        }


def _fate(listed: Listed, limit: float) -> Fate:
    if listed.modified is None:
        return "undated"
    return "young" if listed.modified > limit else "orphan"
