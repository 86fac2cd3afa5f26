"""What may be deleted at the source: what no row holds, and what is not the copy itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db.models import FileField

from django_fsspec.audit.columns import columns as columns_in
from django_fsspec.rows.columns import FileColumn
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from django_fsspec.storage.locations import Place, place_of

from .plan import BadPlan


class Sources:
    """The files of columns at their source, of which some are to be deleted.

    Raises ``BadPlan`` where source and target have files in common, or where a ``FileField``
    would not find its files any more. Where settings don't tell, a file of its own is stored on
    the target and looked for: 3 requests.
    """

    def __init__(self, columns: Sequence[FileColumn], target: str) -> None:
        self._others: dict[str, list[FileColumn]] = {}
        self._places = {alias: place_of(storages[alias]) for alias in _aliases(columns, target)}
        fields = [one.field for one in columns if isinstance(one.field, FileField)]
        if self._overlap(columns, target):
            raise BadPlan(
                f"--delete-source: {columns[0].source!r} and {target!r} have files in common, "
                "and what is deleted on one would be gone on the other. Leave it out."
            )
        if fields or None in self._places.values():
            self._try(columns, fields, target)

    def _overlap(self, columns: Sequence[FileColumn], target: str) -> bool:
        goal = self._places[target]
        return any(_shares(self._places[one.source], goal) for one in columns)

    def _try(
        self, columns: Sequence[FileColumn], fields: Sequence[FileField], target: str
    ) -> None:
        storage = storages[target]
        try:
            name = storage.save(f"django-fsspec-{uuid.uuid4().hex}.txt", ContentFile(b"a try"))
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            raise BadPlan(f"--delete-source: {target!r} took no file: {told}") from error
        try:
            for alias in {one.source for one in columns}:
                if storages[alias].exists(name):
                    raise BadPlan(f"--delete-source: {alias!r} and {target!r} are one place.")
            for field in fields:
                if not field.storage.exists(name):
                    raise BadPlan(
                        f"--delete-source: {field.model._meta.label}.{field.name} does not read "
                        f"from {target!r}: its rows would point at nothing. Give the field a "
                        "storage that does."
                    )
        finally:
            storage.delete(name)

    def free(self, column: FileColumn, names: Iterable[str]) -> list[Ref]:
        """Return those of a column's files that no row holds on the source: a query a field."""
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
                one
                for one in columns_in([column.using])
                if one.is_file_field
                and (one.place is None or place is None or _shares(one.place, place))
            ]
        return [one for one in self._others[column.using] if one.field is not column.field]


def _aliases(columns: Sequence[FileColumn], target: str) -> set[str]:
    return {target, *(one.source for one in columns)}


def _shares(one: Place | None, other: Place | None) -> Any:
    return one is not None and other is not None and one.route_to(other) is not None
