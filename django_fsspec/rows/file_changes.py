"""Changes of the files of rows: what a commit deletes, and what a rollback restores."""

from __future__ import annotations

import dataclasses
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from django_fsspec.core import names
from django_fsspec.objects import bulk

from .loaded_values import ColumnText, entry_of, remember, set_entry
from .values import Ref, files_of, refs_of, unmerge

if TYPE_CHECKING:
    from django.db.models import Model

    from django_fsspec.objects.file_object import FileObject

    from .protocols import StoredField


class NewFile(NamedTuple):
    """A file that is new to a row, as the signal ``file_stored`` describes it."""

    ref: Ref
    #: in bytes; None where it is not known without a request
    size: int | None
    #: how long it took to store it; files that were stored together have their sum
    seconds: float

    @classmethod
    def of(cls, file: FileObject, seconds: float) -> NewFile:
        """Return the description of a file that was stored in `seconds`."""
        return cls(Ref(file.backend, file.filename), file._size, seconds)


@dataclasses.dataclass(slots=True, weakref_slot=True, eq=False)
class FileChange:
    """A change of the files in one field of one row, by one statement."""

    instance: weakref.ref[Model] | None = None
    field: StoredField | None = None
    #: a file that was stored, and its state before that, which a rollback restores
    upload: tuple[FileObject, dict[str, Any]] | None = None
    #: bytes of content in that state
    kept_bytes: int = 0
    #: the file that was stored: deleted on rollback
    stored: Ref | None = None
    #: files that the row no longer holds: deleted on commit, unless another row holds them
    replaced: set[Ref] = dataclasses.field(default_factory=set)
    #: bytes of files that the row held, where its JSON has them
    sizes: dict[Ref, int | None] = dataclasses.field(default_factory=dict)
    #: files that no row held before, and none holds after a rollback
    marked: list[FileObject] = dataclasses.field(default_factory=list)
    #: the list before and after it was merged with changes of other processes
    merged: tuple[list[FileObject], list[FileObject]] | None = None
    #: the text of the column after the statement
    text: str | None = None
    #: the alias of the database, and what ``loaded_values`` has of the column before and after
    using: str = ""
    before: ColumnText | None = None
    after: ColumnText | None = None
    #: what ``file_stored`` tells after the commit
    new_file: NewFile | None = None
    #: the row for receivers of signals, referenced until the commit; see ``keep_rows()``
    row: Model | None = None

    def replace(self, held: Any, kept: Any = None) -> None:
        """Note the files of `held` that are not in `kept`.

        Not those whose name differs in case or Unicode form alone from one of `kept`: some
        storages take them for one. On the others they become orphans, which a sweep finds.
        """
        before, after = refs_of(held), refs_of(kept)
        gone = before - after
        same = {(ref.backend, names.folded(ref.name)) for ref in after} if gone else ()
        self.replaced |= {ref for ref in gone if (ref.backend, names.folded(ref.name)) not in same}
        if gone:
            self.sizes |= {Ref(file.backend, file.filename): file._size for file in files_of(held)}

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
            # otherwise the object was given other content since
            if self.stored is None or refs_of(file) == {self.stored}:
                bulk.restore(file, state)
        for file in self.marked:
            file._db = None
        instance = self.instance() if self.instance is not None else None
        if instance is not None and self.field is not None:
            files = vars(instance).get(self.field.attname)
            if self.merged is not None and isinstance(files, list):
                unmerge(files, *self.merged)
            remembered = entry_of(instance, self.field, self.using)
            if self.after is not None and remembered is self.after:
                set_entry(instance, self.field, self.using, self.before)
        return self.stored
