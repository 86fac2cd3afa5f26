"""Origins: in which swept aliases the files of rows may be, and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from django.conf import settings
from django.core.files.storage import Storage, storages

from django_fsspec.rows.columns import FileColumn, Origin
from django_fsspec.storage.locations import Place, Route, base_place_of, possible_routes
from django_fsspec.storage.shared_places import Sharing, TrialFile, known_sharing, remember

from .swept_alias import Places, SweptAlias
from .tenants import refusal, storages_of_tenants


class Way(NamedTuple):
    """A swept alias that has the files of an origin, and how their names read there.

    Not `sure` where that is not known: then the names count as referenced all the same.
    """

    target: SweptAlias
    route: Route
    sure: bool = True


class Origins:
    """The places that rows name: aliases, and storages of file fields that have no alias."""

    def __init__(self, places: Places, targets: Sequence[SweptAlias]) -> None:
        self._places, self._targets = places, targets
        self._ways: dict[Origin, list[Way]] = {}
        #: what trial files told: how names in a swept alias read in the place of an origin
        self._tried: dict[tuple[int, Origin], Sharing] = {}
        #: those that rows named so far
        self.seen: set[Origin] = set()

    def place(self, origin: Origin) -> Place | None:
        """Return where the files of an origin are, None where that is not known."""
        return origin.place if isinstance(origin, FileColumn) else self._places.get(origin or "")

    def ways(self, origin: Origin) -> list[Way]:
        """Return the swept aliases that may have files of `origin`."""
        ways = self._ways.get(origin)
        if ways is None:
            ways = self._ways[origin] = [
                way for target in self._targets for way in self._ways_to(target, origin)
            ]
        return ways

    def _ways_to(self, target: SweptAlias, origin: Origin) -> Iterator[Way]:
        place = self.place(origin)
        # an unknown place may be any: rather keep an orphan than delete a file in use
        route = Route() if place is None else place.route_to(target.place)
        tried = self._tried.get((target.part, origin))
        if tried is not None:
            for tried_route in tried.routes:
                yield Way(target, tried_route.back, sure=tried.problem is None)
        elif route is not None:
            yield Way(target, route)

    def aliases_of(self, target: SweptAlias) -> Iterator[tuple[str, Route]]:
        """Yield the aliases that may have files of a swept alias, and how their names read there.

        Without those whose place is not known.
        """
        for alias, place in self._places.items():
            if place is not None:
                yield from ((alias, way.route) for way in self.ways(alias) if way.target is target)

    @property
    def notes(self) -> Iterator[str]:
        """Remarks on places that are not known, as sentences."""
        for (part, origin), sharing in self._tried.items():
            if sharing.problem:
                yield (
                    f"{self._targets[part].alias}: whether {str(origin)!r} stores its files in "
                    f"the same place could not be found out ({sharing.problem}), so the names "
                    "that its rows hold count as referenced."
                )
        for origin in sorted(self.seen, key=str):
            if self.place(origin) is None:
                yield _note_of_unknown(origin)

    # trial files

    def try_out(self, columns: Iterable[FileColumn]) -> None:
        """Find out by trial files which origins share files with the swept aliases.

        Settings do not tell that one place is reached by two addresses. 2 requests for each swept
        alias, and 1 for each other storage. Sets what `delete` is refused for, and what keeps an
        alias from being swept.
        """
        others = dict(self._others(columns))
        problems: dict[Origin, str] = {}
        for target in self._targets:
            if target.refusal is not None:
                continue
            try:
                with TrialFile(target.storage) as trial:
                    for origin, storage in others.items():
                        self._try_out(target, origin, storage, trial, problems)
                    _try_tenants(target, trial)
            except OSError as error:
                target.trial_error = error

    def _others(self, columns: Iterable[FileColumn]) -> Iterator[tuple[Origin, Storage]]:
        for alias, place in self._places.items():
            if place is not None:
                yield alias, storages[alias]
        for column in columns:
            # of those whose place is not known, names count as referenced everywhere
            if column.is_file_field and column.alias is None and column.place is not None:
                yield column, column.field.storage  # type: ignore[union-attr]

    def _try_out(
        self,
        target: SweptAlias,
        origin: Origin,
        storage: Storage,
        trial: TrialFile,
        problems: dict[Origin, str],
    ) -> None:
        place = self.place(origin)
        if origin == target.alias or known_sharing(target.place, place) is not None:
            return
        if origin in problems:  # a timeout is long
            sharing = Sharing(possible_routes(target.place, place), problems[origin])
        else:
            sharing = trial.sharing_with(storage)
        if sharing.problem:
            problems[origin] = sharing.problem
        self._tried[target.part, origin] = sharing
        if isinstance(origin, str):
            remember(target.alias, origin, sharing)
            target.note_shared(origin, place, sharing)


def _try_tenants(target: SweptAlias, trial: TrialFile) -> None:
    """Find out where tenants have files, which may be reached by another address.

    1 request for each alias of tenants; sets what is not swept, and what `delete` is refused for.
    """
    if getattr(storages[target.alias], "prefix_callables", ()):
        return  # the folder of one tenant, to which those of others are no closer
    for alias, storage in storages_of_tenants():
        if known_sharing(target.place, base_place_of(storage)) is not None:
            continue
        for route in trial.sharing_with(storage._at_base()).routes:
            if route.strip:
                target.foreign[route.strip.removesuffix("/")] = alias
            else:
                target.refusal = refusal(target.alias, alias)


def _note_of_unknown(origin: Origin) -> str:
    """Return the note of names whose storage is not known."""
    where, why = str(origin or "JSON without a backend"), ""
    if isinstance(origin, str) and origin and origin not in settings.STORAGES:
        why = "it is not in STORAGES, so "
    return (
        f"{where}: {why}the folder of its files is not known, so their names count as "
        "referenced in every storage."
    )
