"""Files and transactions: delete replaced files on commit, undo uploads on rollback."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import sys
import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_fsspec.core.flows import running_loop
from django_fsspec.objects import bulk

from .references import unreferenced
from .values import Ref, refs_of

if TYPE_CHECKING:
    from django.db.models import Model

    from django_fsspec.objects.file_object import FileObject

    from .protocols import StoredField

logger = logging.getLogger("django_fsspec")

#: seconds that a rollback waits for the deletion of its uploads
_PATIENCE = 10
#: attribute of a row's state: by field, its primary key and the text of its column
_STORED = "stored_objects"
_UNKNOWN: Any = object()


# the text of columns


def remember(instance: Model, name: str, raw: str | None) -> None:
    """Remember the text `raw` of the column of the attribute `name`."""
    state = vars(instance._state)
    # copies of a row share the dict in its state: never change it in place
    state[_STORED] = {**state.get(_STORED, {}), name: (_pk(instance), raw)}


def remembered(instance: Model, name: str) -> tuple[bool, str | None]:
    """Return whether the text of a row's column was read, and the text."""
    pk, raw = vars(instance._state).get(_STORED, {}).get(name, (_UNKNOWN, None))
    if instance._state.adding or pk is _UNKNOWN or pk not in (None, _pk(instance)):
        return False, None
    return True, raw


def _pk(instance: Model) -> Any:
    return vars(instance).get(instance._meta.pk.attname)


@dataclasses.dataclass
class FileChange:
    """A change of the files in one field of one row, by one statement."""

    field: StoredField | None = None
    instance: weakref.ref[Model] | None = None
    before: str | None = None
    after: str | None = None
    #: a file that was stored, its state before that, and its reference now
    upload: tuple[FileObject, dict[str, Any]] | None = None
    stored: Ref | None = None
    #: files that the row no longer holds: deleted on commit
    replaced: set[Ref] = dataclasses.field(default_factory=set)
    #: files that no row held before
    marked: list[FileObject] = dataclasses.field(default_factory=list)
    #: files that other processes added to the list
    added: list[FileObject] = dataclasses.field(default_factory=list)

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
            name = self.field.attname
            files = vars(instance).get(name)
            if self.added and isinstance(files, list):
                files[:] = [
                    file for file in files if not any(file is added for added in self.added)
                ]
            _, noted = vars(instance._state).get(_STORED, {}).get(name, (None, None))
            if noted == self.after:
                remember(instance, name, self.before)
        return self.stored


# commit and rollback


class Settlement:
    """The file changes of a transaction, registered as an ``on_commit()`` callback.

    On commit the callback deletes replaced files. On rollback Django discards the callback, and
    that deletes the new files: Django sends no signal on rollback, nor for a savepoint or
    ``set_rollback()``.
    """

    def __init__(self, using: str, changes: Iterable[FileChange]) -> None:
        self.using = using
        self.changes = list(changes)
        weakref.finalize(self, _freed, self.changes).atexit = False

    def __call__(self) -> None:
        """Delete replaced files that no row holds. Never raises: the rows are committed."""
        changes = list(self.changes)
        self.changes.clear()
        replaced = {ref for change in changes for ref in change.replaced}
        if not replaced:
            return
        try:
            fields = {change.field for change in changes if change.field is not None}
            bulk.discard(unreferenced(self.using, replaced, fields))
        except Exception:
            logger.exception("Replaced files could not be deleted: %s", _listed(replaced))


def settle(connection: BaseDatabaseWrapper, changes: Iterable[FileChange]) -> None:
    """Register `changes` with the transaction of `connection`.

    Its commit deletes replaced files, its rollback deletes new ones.
    """
    hooks = connection.run_on_commit
    last = hooks[-1] if hooks else None
    if last and isinstance(last[1], Settlement) and last[0] == set(connection.savepoint_ids):
        last[1].changes += changes
    else:
        transaction.on_commit(Settlement(connection.alias, changes), using=connection.alias)


#: the code of Django's that discards callbacks on rollback
_ROLLBACKS = frozenset(
    inspect.unwrap(method).__code__
    for method in (BaseDatabaseWrapper.rollback, BaseDatabaseWrapper.savepoint_rollback)
)


def _freed(changes: list[FileChange]) -> None:
    """Undo the changes of a settlement that was never called.

    If anything but a rollback freed it, the transaction may be committed: the connection was lost
    before the answer to COMMIT, or another ``on_commit()`` callback raised.
    """
    frame = sys._getframe(1).f_back  # the caller of weakref's own frame
    rolled_back(changes, sure=frame is not None and frame.f_code in _ROLLBACKS)


def rolled_back(changes: list[FileChange], *, sure: bool) -> None:
    """Undo changes, in whichever thread the garbage collector runs. Never raises.

    Stored files are deleted if it is `sure` that no row holds them; otherwise a warning names
    them.
    """
    undone = [change.undo() for change in reversed(changes)]
    stored = {ref for ref in undone if ref is not None}
    touched = stored.union(*(change.replaced for change in changes))
    changes.clear()
    if touched and not sure:
        logger.warning(
            "It is unknown whether the transaction was committed, so none of these files was "
            "deleted: %s",
            _listed(touched),
        )
    if not stored or not sure:
        return
    worker = threading.Thread(target=bulk.discard, args=(stored,), daemon=True)
    try:
        worker.start()
    except RuntimeError:  # the interpreter ends
        logger.warning(
            "Files of a rolled back transaction could not be deleted: %s", _listed(stored)
        )
        return
    # never block an event loop, least of all fsspec's own
    if running_loop() is None and not sys.is_finalizing():
        worker.join(_PATIENCE)


def never_executed(changes: list[FileChange]) -> None:
    """Log the files stored for a statement that was never executed.

    Don't delete them: a second attempt may have put the file into a row by now.
    """
    stored = {change.stored for change in changes if change.stored is not None}
    if stored:
        logger.warning(
            "Files were stored for a statement that was not executed: %s", _listed(stored)
        )


def _listed(refs: Iterable[Ref]) -> str:
    shown = sorted(f"{ref.backend}:{ref.name}" for ref in refs)
    more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
    return f"{', '.join(shown[:20])}{more}. Find unreferenced files with `manage.py sweep_files`."
