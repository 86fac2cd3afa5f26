"""What a transaction does to files: settled when it is committed, undone when it is not."""

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

#: seconds that a rollback waits for what it undoes
_PATIENCE = 10
#: where a row's state holds what the database holds
_STORED = "stored_objects"
_UNKNOWN: Any = object()


# what the database holds


def remember(instance: Model, name: str, raw: str | None) -> None:
    """Note that the database holds `raw` in the column of the attribute `name`."""
    state = vars(instance._state)
    # copies of a row share what is in its state: it is never changed in place
    state[_STORED] = {**state.get(_STORED, {}), name: (_pk(instance), raw)}


def remembered(instance: Model, name: str) -> tuple[bool, str | None]:
    """Return whether it is known what the database holds for a row, and what."""
    pk, raw = vars(instance._state).get(_STORED, {}).get(name, (_UNKNOWN, None))
    if instance._state.adding or pk is _UNKNOWN or pk not in (None, _pk(instance)):
        return False, None
    return True, raw


def _pk(instance: Model) -> Any:
    return vars(instance).get(instance._meta.pk.attname)


@dataclasses.dataclass
class Change:
    """What one statement does to the files of one field of one row."""

    field: StoredField | None = None
    instance: weakref.ref[Model] | None = None
    before: str | None = None
    after: str | None = None
    #: a file stored for it, what it was before that, and where it lies now
    upload: tuple[FileObject, dict[str, Any]] | None = None
    stored: Ref | None = None
    #: files that the row no longer holds
    replaced: set[Ref] = dataclasses.field(default_factory=set)
    #: files that were of no row before
    marked: list[FileObject] = dataclasses.field(default_factory=list)
    #: files that others added to the list
    added: list[FileObject] = dataclasses.field(default_factory=list)

    def undo(self) -> Ref | None:
        """Make the objects in memory what they were; return what was stored."""
        if self.upload is not None:
            file, state = self.upload
            # else it was given other content since, or never stored
            if self.stored is None or refs_of(file) == {self.stored}:
                bulk.restore(file, state)
        for file in self.marked:
            file._db = None
        instance = self.instance() if self.instance is not None else None
        if instance is not None and self.field is not None:
            name = self.field.attname
            files = vars(instance).get(name)
            if self.added and isinstance(files, list):
                files[:] = [file for file in files if not any(file is one for one in self.added)]
            _, noted = vars(instance._state).get(_STORED, {}).get(name, (None, None))
            if noted == self.after:
                remember(instance, name, self.before)
        return self.stored


# what becomes of it


class Settlement:
    """What a transaction did to files: called when it is committed, undone when it is not.

    Django forgets the callbacks of what is rolled back. That this one is freed then is all that
    tells of it, savepoints and ``set_rollback()`` included.
    """

    def __init__(self, using: str, changes: Iterable[Change]) -> None:
        self.using = using
        self.changes = list(changes)
        weakref.finalize(self, _freed, self.changes).atexit = False

    def __call__(self) -> None:
        """Delete what rows no longer hold; never raises: the rows are committed."""
        changes = list(self.changes)
        self.changes.clear()
        replaced = {ref for change in changes for ref in change.replaced}
        if not replaced:
            return
        try:
            fields = {change.field for change in changes if change.field is not None}
            bulk.discard(unreferenced(self.using, replaced, fields))
        except Exception:
            logger.exception("Files that rows no longer hold are left: %s", _listed(replaced))


def settle(connection: BaseDatabaseWrapper, changes: Iterable[Change]) -> None:
    """Have `changes` settled by the end of the transaction that `connection` is in."""
    hooks = connection.run_on_commit
    last = hooks[-1] if hooks else None
    if last and isinstance(last[1], Settlement) and last[0] == set(connection.savepoint_ids):
        last[1].changes += changes
    else:
        transaction.on_commit(Settlement(connection.alias, changes), using=connection.alias)


#: what Django runs when a rollback is done
_ROLLBACKS = frozenset(
    inspect.unwrap(method).__code__
    for method in (BaseDatabaseWrapper.rollback, BaseDatabaseWrapper.savepoint_rollback)
)


def _freed(changes: list[Change]) -> None:
    """Undo the changes of a settlement that was never called.

    One that is freed by anything but a rollback may be of a committed transaction: the answer to
    the COMMIT was lost with the connection, or another's ``on_commit()`` callback raised.
    """
    frame = sys._getframe(1).f_back  # what freed it; between is weakref's own
    rolled_back(changes, sure=frame is not None and frame.f_code in _ROLLBACKS)


def rolled_back(changes: list[Change], *, sure: bool) -> None:
    """Undo changes, wherever the garbage collector came across them; never raises.

    What was stored is deleted when it is `sure` that no row holds it, and left otherwise.
    """
    undone = [change.undo() for change in reversed(changes)]
    stored = {ref for ref in undone if ref is not None}
    touched = stored.union(*(change.replaced for change in changes))
    changes.clear()
    if touched and not sure:
        logger.warning("Whether rows hold these files is not known: %s", _listed(touched))
    if not stored or not sure:
        return
    worker = threading.Thread(target=bulk.discard, args=(stored,), daemon=True)
    try:
        worker.start()
    except RuntimeError:  # the interpreter ends
        logger.warning("Files of a rolled back transaction are left: %s", _listed(stored))
        return
    # an event loop must not wait, fsspec's own least of all
    if running_loop() is None and not sys.is_finalizing():
        worker.join(_PATIENCE)


def never_executed(changes: list[Change]) -> None:
    """Tell of what was stored for a statement that is gone and was never executed.

    Nothing more: a second try may have taken the file into a row by now.
    """
    stored = {change.stored for change in changes if change.stored is not None}
    if stored:
        logger.warning("Stored for a statement that was not executed: %s", _listed(stored))


def _listed(refs: Iterable[Ref]) -> str:
    shown = sorted(f"{ref.backend}:{ref.name}" for ref in refs)
    more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
    return f"{', '.join(shown[:20])}{more}. `manage.py sweep_files` finds them."
