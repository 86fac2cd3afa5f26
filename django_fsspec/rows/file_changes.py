"""A change of the files of a row: what its commit deletes, and what its rollback restores."""

from __future__ import annotations

import dataclasses
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from django_fsspec.objects import bulk

from .loaded_values import ColumnText, entry_of, remember, set_entry
from .values import Ref, refs_of

if TYPE_CHECKING:
    from django.db.models import Model

    from django_fsspec.objects.file_object import FileObject

    from .protocols import StoredField


class NewFile(NamedTuple):
    """A file that is new to a row: what ``file_stored`` tells of."""

    ref: Ref
    size: int | None
    #: of files that were stored together, those of all
    seconds: float

    @classmethod
    def of(cls, file: FileObject, seconds: float) -> NewFile:
        """Return what is to be told of a file that was just stored."""
        return cls(Ref(file.backend, file.filename), file._size, seconds)


@dataclasses.dataclass(slots=True, weakref_slot=True, eq=False)
class FileChange:
    """A change of the files in one field of one row, by one statement."""

    instance: weakref.ref[Model] | None = None
    field: StoredField | None = None
    #: a file that was stored, its state before that, and its reference now
    upload: tuple[FileObject, dict[str, Any]] | None = None
    stored: Ref | None = None
    #: bytes of content in that state
    kept_bytes: int = 0
    #: files that the row no longer holds: deleted on commit, unless another row holds them
    replaced: set[Ref] = dataclasses.field(default_factory=set)
    #: files that no row held before / files that other processes added to the list
    marked: list[FileObject] = dataclasses.field(default_factory=list)
    added: list[FileObject] = dataclasses.field(default_factory=list)
    #: the text of the column after the statement, and what is remembered of it before and after
    text: str | None = None
    using: str = ""
    before: ColumnText | None = None
    after: ColumnText | None = None
    #: what is told after the commit, and of which row, which is kept for receivers until then
    new_file: NewFile | None = None
    row: Model | None = None

    def remember_written(self, using: str) -> None:
        """Remember what the column holds, now that the statement is executed."""
        instance = self.instance() if self.instance is not None else None
        if instance is not None and self.field is not None:
            self.using = using
            self.before = entry_of(instance, self.field, using)
            self.after = remember(instance, self.field, using, self.text)

    def undo(self) -> Ref | None:
        """Restore the objects in memory; return the reference of the stored file."""
        if self.upload is not None:
            file, state = self.upload
            # otherwise it was given other content since, or was never stored
            if self.stored is None or refs_of(file) == {self.stored}:
                bulk.restore(file, state)
        for file in self.marked:
            file._db = None
        instance = self.instance() if self.instance is not None else None
        if instance is not None and self.field is not None:
            files = vars(instance).get(self.field.attname)
            if self.added and isinstance(files, list):
                added = {id(file) for file in self.added}
                files[:] = [file for file in files if id(file) not in added]
            remembered = entry_of(instance, self.field, self.using)
            if self.after is not None and remembered is self.after:
                set_entry(instance, self.field, self.using, self.before)
        return self.stored
