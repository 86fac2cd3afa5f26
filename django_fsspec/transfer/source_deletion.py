"""--delete-source: delete source files that are not in use and that are not the copies."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db.models import FileField

from django_fsspec.audit.columns import BadArguments
from django_fsspec.audit.columns import columns as columns_in
from django_fsspec.audit.names_in_use import FilesInUse
from django_fsspec.objects import bulk
from django_fsspec.rows.columns import FileColumn
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from django_fsspec.storage.locations import Place, place_of

from .journal import Journal
from .plan import BadPlan


class SourceDeletion:
    """Deletes source files of columns after their rows are updated. Counts go into `journal`.

    Raises ``BadPlan`` where source and target share files, or where a ``FileField`` would not
    find its files any more, and for a wrong DJANGO_FSSPEC_NAMES_IN_USE. Calls its functions, and
    raises what they raise. Where the settings don't tell, a trial file is stored in the target and
    looked up in the source: 3 requests.
    """

    def __init__(self, columns: Sequence[FileColumn], target: str, journal: Journal) -> None:
        self._journal = journal
        self._others: dict[str, list[FileColumn]] = {}
        self._places = {alias: place_of(storages[alias]) for alias in _aliases(columns, target)}
        fields = [column.field for column in columns if isinstance(column.field, FileField)]
        if self._overlap(columns, target):
            raise BadPlan(
                f"--delete-source: {columns[0].source!r} and {target!r} share files: deleting a "
                "source file would delete its copy. Remove --delete-source."
            )
        if fields or None in self._places.values():
            self._try(columns, fields, target)
        try:
            self._in_use = FilesInUse({column.source for column in columns})
        except BadArguments as error:
            raise BadPlan(f"--delete-source: {error}") from error

    def _overlap(self, columns: Sequence[FileColumn], target: str) -> bool:
        goal = self._places[target]
        return any(_shares(self._places[column.source], goal) for column in columns)

    def _try(
        self, columns: Sequence[FileColumn], fields: Sequence[FileField], target: str
    ) -> None:
        storage = storages[target]
        try:
            name = storage.save(f"django-fsspec-{uuid.uuid4().hex}.txt", ContentFile(b"a try"))
        except Exception as error:
            raise BadPlan(
                f"--delete-source: a trial file could not be stored in {target!r}: "
                f"{type(error).__name__}: {error}"
            ) from error
        try:
            for alias in {column.source for column in columns}:
                if storages[alias].exists(name):
                    raise BadPlan(
                        f"--delete-source: {alias!r} and {target!r} store their files in one "
                        "place. Remove --delete-source."
                    )
            for field in fields:
                if not field.storage.exists(name):
                    raise BadPlan(
                        f"--delete-source: {field.model._meta.label}.{field.name} does not read "
                        f"from {target!r}, so its files would be missing. Set the field's storage "
                        "to the target first."
                    )
        finally:
            storage.delete(name)

    def delete(self, column: FileColumn, names: Iterable[str]) -> set[str]:
        """Delete those of a column's source files that are not in use: 1 query per field.

        In use are files that a row references, and those that DJANGO_FSSPEC_NAMES_IN_USE names.
        Returns the names of files that could not be deleted. Raises ``DatabaseError``.
        """
        unreferenced_refs = self._unreferenced(column, names)
        kept = self._in_use.among(column.source, [ref.name for ref in unreferenced_refs])
        deletable = [ref for ref in unreferenced_refs if ref.name not in kept]
        left = bulk.discard(deletable)
        self._journal.kept += len(kept)
        self._journal.deleted += len(deletable) - len(left)
        return {name for _, name in left}

    def _unreferenced(self, column: FileColumn, names: Iterable[str]) -> list[Ref]:
        refs = [Ref(column.source, name) for name in names]
        left = {ref.name: ref for ref in unreferenced(column.using, refs)}
        for other in self._file_fields(column):
            for name in other.referenced(left):
                del left[name]
        return list(left.values())

    def _file_fields(self, column: FileColumn) -> list[FileColumn]:
        """Return the other ``FileField`` columns that may read from the source."""
        if column.using not in self._others:
            place = self._places[column.source]
            self._others[column.using] = [
                other
                for other in columns_in([column.using])
                if other.is_file_field
                and (other.place is None or place is None or _shares(other.place, place))
            ]
        return [other for other in self._others[column.using] if other.field is not column.field]


def _aliases(columns: Sequence[FileColumn], target: str) -> set[str]:
    return {target, *(column.source for column in columns)}


def _shares(place: Place | None, other: Place | None) -> Any:
    return place is not None and other is not None and place.route_to(other) is not None
