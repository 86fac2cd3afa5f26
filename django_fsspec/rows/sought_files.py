"""SoughtFiles: files that are looked for in rows, under the names of other aliases too.

Two aliases may have one place. Then a row of either holds the file.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable

from django_fsspec.core.log_fields import log_fields
from django_fsspec.storage.shared_places import Sharing, routes_to_other_aliases, sharing_of

from .values import Ref

logger = logging.getLogger("django_fsspec")


class SoughtFiles:
    """Files that are looked for in rows. `unheld` are those that no row was found to hold."""

    def __init__(self, refs: Iterable[Ref]) -> None:
        self.unheld = set(refs)
        self._by_name: defaultdict[str, set[Ref]] = defaultdict(set)
        #: what rows hold under another alias, by files that it may be
        self._elsewhere: defaultdict[Ref, set[Ref]] = defaultdict(set)
        routes = {
            alias: routes_to_other_aliases(alias) for alias in {r.backend for r in self.unheld}
        }
        for ref in self.unheld:
            names = {route(ref.name) for route in routes[ref.backend]} | {ref.name}
            for name in names - {None, ""}:
                self._by_name[name].add(ref)  # type: ignore[index]

    def names(self) -> list[str]:
        """Return the names under which rows may hold the files that are unheld so far."""
        return sorted(name for name, refs in self._by_name.items() if refs & self.unheld)

    def note(self, held: Iterable[Ref]) -> None:
        """Note what rows hold."""
        for other in held:
            self.unheld.discard(other)
            for ref in self._by_name.get(other.name, ()):
                if ref.backend != other.backend:
                    self._elsewhere[ref].add(other)

    def hold_shared(self) -> None:
        """Count files as held that rows hold under another alias of the same place.

        No request where no row holds such a name. Otherwise as many as ``sharing_of()`` needs.
        Files count as held, and a warning is logged, where that can't be found out.
        """
        others: defaultdict[str, set[str]] = defaultdict(set)
        for ref in self.unheld & self._elsewhere.keys():
            others[ref.backend].update(other.backend for other in self._elsewhere[ref])
        sharings = {alias: sharing_of(alias, sorted(names)) for alias, names in others.items()}
        for ref in self.unheld & self._elsewhere.keys():
            same = {
                other: sharings[ref.backend][other.backend].problem
                for other in self._elsewhere[ref]
                if _is_one(ref, other, sharings[ref.backend][other.backend])
            }
            if same:
                self.unheld.discard(ref)
            if same and all(same.values()):
                _warn(ref, *same.popitem())


def _is_one(ref: Ref, other: Ref, sharing: Sharing) -> bool:
    """Return whether two references are, or may be, of one file."""
    return any(route(ref.name) == other.name for route in sharing.routes)


def _warn(ref: Ref, other: Ref, problem: str | None) -> None:
    logger.warning(
        "%r on %r is kept: a row holds %r on %r, and whether that is the same file could not be "
        "found out (%s).",
        ref.name,
        ref.backend,
        other.name,
        other.backend,
        problem,
        extra=log_fields(ref.backend, ref.name, operation="delete", files=[ref, other]),
    )
