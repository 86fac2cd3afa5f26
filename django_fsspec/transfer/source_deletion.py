"""--delete-source: delete source files that are not in use and that are not the copies."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.conf import STATICFILES_STORAGE_ALIAS, settings
from django.core.files.storage import Storage, storages
from django.db.models import FileField

from django_fsspec.audit.columns import BadArguments
from django_fsspec.audit.columns import columns as columns_in
from django_fsspec.audit.names_in_use import FilesInUse
from django_fsspec.core.log_fields import log_fields
from django_fsspec.objects import deletion
from django_fsspec.rows.columns import FileColumn
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from django_fsspec.storage.locations import UNCHANGED, Route, place_of, possible_routes
from django_fsspec.storage.shared_places import (
    Sharing,
    TrialFile,
    known_sharing,
    remember,
    sharing_of,
    unknown_sharing,
)

from .journal import Journal
from .plan import BadPlan

logger = logging.getLogger("django_fsspec")


class SourceDeletion:
    """Deletes source files of columns after their rows are updated. Counts go into `journal`.

    Raises ``BadPlan`` where source and target share files, or where a ``FileField`` would not
    find its files any more, and for a wrong DJANGO_FSSPEC_NAMES_IN_USE. Calls its functions, and
    raises what they raise. Settings don't tell whether two addresses lead to one place: a trial
    file is stored in the target and looked up in the source, 3 requests. Another one is stored in
    the source and looked up in the other aliases, see ``sharing_of()``.
    """

    def __init__(self, columns: Sequence[FileColumn], target: str, journal: Journal) -> None:
        self._journal = journal
        self._others: dict[str, list[FileColumn]] = {}
        self._sharings: dict[tuple[str, FileColumn], Sharing] = {}
        sources = {column.source for column in columns}
        fields = [column.field for column in columns if isinstance(column.field, FileField)]
        with TrialFile(storages[target]) as trial:
            _check_sources(sources, target, trial)
            _check_fields(fields, target, trial)
        try:
            self._in_use = FilesInUse({source: _aliases_like(source) for source in sources})
        except BadArguments as error:
            raise BadPlan(f"--delete-source: {error}") from error

    def delete(self, column: FileColumn, names: Iterable[str]) -> set[str]:
        """Delete those of a column's source files that are not in use: 1 query per field.

        In use are files that a row references, and those that DJANGO_FSSPEC_NAMES_IN_USE names.
        Returns the names of files that could not be deleted. Raises ``DatabaseError``.
        """
        unreferenced_refs = self._unreferenced(column, names)
        kept = self._in_use.among(column.source, [ref.name for ref in unreferenced_refs])
        deletable = [ref for ref in unreferenced_refs if ref.name not in kept]
        left = deletion.discard(deletable)
        self._journal.kept += len(kept)
        self._journal.deleted += len(deletable) - len(left)
        return {name for _, name in left}

    def _unreferenced(self, column: FileColumn, names: Iterable[str]) -> list[Ref]:
        refs = [Ref(column.source, name) for name in names]
        left = {ref.name: ref for ref in unreferenced(column.using, refs)}
        for other in self._file_fields(column):
            for name in self._referenced(column.source, other, left):
                del left[name]
        return list(left.values())

    def _file_fields(self, column: FileColumn) -> list[FileColumn]:
        """Return the other ``FileField`` columns that may read from the source."""
        if column.using not in self._others:
            self._others[column.using] = [
                other for other in columns_in([column.using]) if other.is_file_field
            ]
        return [other for other in self._others[column.using] if other.field is not column.field]

    def _referenced(self, source: str, other: FileColumn, names: Iterable[str]) -> set[str]:
        """Return those names of source files that rows of another ``FileField`` hold: 1 query."""
        place = place_of(storages[source])
        known = known_sharing(place, other.place)
        routes = possible_routes(place, other.place) if known is None else known.routes
        there = {(route(name), name) for route in routes for name in names}
        found = other.referenced(theirs for theirs, _ in there if theirs)
        if found and known is None:
            routes = self._sharing(source, other).routes
        return {name for name in names if any(route(name) in found for route in routes)}

    def _sharing(self, source: str, other: FileColumn) -> Sharing:
        """Return how names of the source read in the storage of a ``FileField``: 3 requests, once.

        Where that can't be found out, its rows count.
        """
        key = source, other
        if key not in self._sharings:
            try:
                with TrialFile(storages[source]) as trial:
                    self._sharings[key] = trial.sharing_with(_storage_of(other))
            except Exception as error:
                self._sharings[key] = unknown_sharing(
                    place_of(storages[source]), other.place, error
                )
            if problem := self._sharings[key].problem:
                logger.warning(
                    "%s may read its files from %r: that could not be found out (%s), so source "
                    "files with the names that its rows hold are kept.",
                    other.label,
                    source,
                    problem,
                    extra=log_fields(source, operation="migrate"),
                )
        return self._sharings[key]


def _check_sources(sources: Iterable[str], target: str, trial: TrialFile) -> None:
    """Raise ``BadPlan`` where a source shares files with the target, or does not tell."""
    for source in sources:
        try:
            sharing = trial.sharing_with(storages[source])
        except Exception as error:
            raise _no_trial(target, error) from error
        if sharing.problem:
            raise BadPlan(
                f"--delete-source: whether {source!r} and {target!r} share files could not be "
                f"found out: {source!r} does not answer ({sharing.problem})."
            )
        if sharing.routes:
            raise BadPlan(
                f"--delete-source: {source!r} and {target!r} share files: deleting a source file "
                "would delete its copy. Remove --delete-source."
            )
        remember(source, target, sharing)


def _check_fields(fields: Iterable[FileField], target: str, trial: TrialFile) -> None:
    """Raise ``BadPlan`` where a field does not read from the target."""
    for field in fields:
        try:
            reads = trial.is_in(field.storage)
        except Exception as error:
            raise _no_trial(target, error) from error
        if not reads:
            raise BadPlan(
                f"--delete-source: {field.model._meta.label}.{field.name} does not read from "
                f"{target!r}, so its files would be missing. Set the field's storage to the "
                "target first."
            )


def _no_trial(target: str, error: Exception) -> BadPlan:
    return BadPlan(
        f"--delete-source: a trial file could not be stored in {target!r}: "
        f"{type(error).__name__}: {error}"
    )


def _aliases_like(source: str) -> Iterator[tuple[str, Route]]:
    """Yield the aliases that have files of `source`, or may, and how their names read there."""
    yield source, UNCHANGED
    others = [alias for alias in settings.STORAGES if alias != source and _is_usable(alias)]
    for alias, sharing in sharing_of(source, others).items():
        for route in sharing.routes:
            yield alias, route.back


def _is_usable(alias: str) -> bool:
    """Return whether an alias has a storage that can be made, and not that of static files."""
    if alias == STATICFILES_STORAGE_ALIAS:
        return False
    try:
        storages[alias]
    except Exception:  # storages of other packages may raise anything
        return False
    return True


def _storage_of(column: FileColumn) -> Storage:
    field: Any = column.field
    storage: Storage = field.storage
    return storage
