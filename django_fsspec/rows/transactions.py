"""Files and transactions: delete replaced files on commit, undo uploads on rollback.

Django calls ``on_commit()`` callbacks after a commit, and has no hook for a rollback: it discards
the callbacks, also on a rollback to a savepoint or after ``set_rollback()``. So a callback that is
freed without being called is the sign of a rollback, where the connection's state agrees.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from django.conf import settings
from django.db import connections

from django_fsspec.core.log_fields import log_fields
from django_fsspec.objects import deletion, pending_content
from django_fsspec.storage.prefixes import all_pins, pinned

from .references import stored_fields_of, unreferenced
from .rollbacks import listed, undo
from .row_signals import keep_rows, send_committed
from .tables import schema_of
from .values import Ref

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from django_fsspec.objects.file_object import FileObject
    from django_fsspec.storage.prefixes import Pins

    from .file_changes import FileChange
    from .protocols import StoredField

logger = logging.getLogger("django_fsspec")

#: bytes of unsaved content that a transaction keeps in memory, to restore it after a rollback
_KEPT_CONTENT = 64_000_000


class Settlement:
    """The file changes of a transaction, or of a savepoint, as an ``on_commit()`` callback.

    On commit the callback deletes replaced files. On rollback Django frees it uncalled, and that
    deletes the new files.
    """

    def __init__(
        self, using: str, changes: Iterable[FileChange], mark: _TransactionMark, pins: Pins
    ) -> None:
        self.using = using
        self.changes = list(changes)
        #: how many of them a call has handled
        self._handled = 0
        self.pins = pins
        self.schema = schema_of(connections[using])
        # Django tells nobody of a rollback; at exit it is unknown what became of the transaction
        weakref.finalize(self, _freed, self.changes, mark, pins).atexit = False

    def __call__(self) -> None:
        """Delete replaced files that no row holds. Never raises: the rows are committed."""
        changes = self.changes[self._handled :]
        self._handled = len(self.changes)
        replaced = {ref for change in changes for ref in change.replaced}
        # inside of captureOnCommitCallbacks() the rollback is still to come
        if not connections[self.using].in_atomic_block:
            self.changes.clear()
        unused: list[Ref] = []
        undeleted: list[Ref] = []
        began = time.perf_counter()
        try:
            if replaced:
                models = {change.field.model for change in changes if change.field is not None}
                fields = [field for model in models for field in stored_fields_of(model)]
                with pinned(self.pins):
                    unused = self._unreferenced(replaced, fields)
                    undeleted = [Ref(*ref) for ref in deletion.discard(unused)]
        except Exception as error:
            logger.exception(
                "Replaced files could not be deleted: %s",
                listed(replaced),
                extra=log_fields(operation="delete", files=replaced, error=error),
            )
            send_committed(changes)
            return
        send_committed(changes, set(unused), set(undeleted), time.perf_counter() - began)
        for change in changes:
            if change.stored in unused and change.stored in change.replaced:
                change.undo()  # of a bulk_create() that ignored its row
            change.replaced = set()

    def _unreferenced(self, replaced: set[Ref], fields: Iterable[StoredField]) -> list[Ref]:
        """Return those of replaced files that no row holds.

        None where the connection has another schema by now, whose tables have other rows.
        """
        if schema_of(connections[self.using]) == self.schema:
            return unreferenced(self.using, replaced, fields)
        logger.warning(
            "Replaced files are kept, since the commit ran in another schema than that of their "
            "rows (%s): %s",
            self.schema,
            listed(replaced),
            extra=log_fields(operation="delete", files=replaced),
        )
        return []


class _TransactionMark:
    """An ``on_commit()`` callback from the first file of a transaction until its end.

    No rollback to a savepoint discards it. That tells such a rollback from a commit whose other
    callbacks raised: these are freed later, maybe within another transaction.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = weakref.ref(connection)
        #: bytes of content that the changes of this transaction keep in memory
        self.kept_bytes = 0
        #: what deletes the files of deleted rows, by model and primary key
        self.deletions: WeakValueDictionary[Any, FileChange] = WeakValueDictionary()
        #: the files that it stored, by name
        self.stored: dict[str, weakref.ref[FileObject]] = {}
        #: the settlement that was begun last, by open savepoints, schema and tenants
        self.settlements: WeakValueDictionary[Any, Settlement] = WeakValueDictionary()
        self.commits_at_exit = _commits_at_exit(connection)
        #: a callback of on_commit() began it: Django's sign of a commit is of the one before it
        self.began_in_callback = (
            connection.in_atomic_block
            and connection.commit_on_exit
            and connection.run_commit_hooks_on_set_autocommit_on
        )

    @classmethod
    def find(cls, connection: BaseDatabaseWrapper) -> _TransactionMark | None:
        """Return the mark of a transaction; None where it has stored and deleted no file."""
        marks = (entry[1] for entry in connection.run_on_commit)
        return next((mark for mark in marks if isinstance(mark, cls)), None)

    @classmethod
    def of(cls, connection: BaseDatabaseWrapper) -> _TransactionMark:
        """Return the mark of the transaction that `connection` is in."""
        mark = cls.find(connection)
        if mark is not None:
            return mark
        mark = cls(connection)
        # not by on_commit(), which would bind it to the savepoint
        entries: list[Any] = connection.run_on_commit
        entries.append((set(), mark, True))
        return mark

    def __call__(self) -> None:
        """Do nothing: the transaction is committed."""

    def is_rolled_back(self) -> bool:
        """Return whether the transaction, or a savepoint of it, is surely rolled back just now."""
        connection = self._connection()
        if connection is None:
            return False
        if any(entry[1] is self for entry in connection.run_on_commit):
            return True
        if self.commits_at_exit:
            return False
        # Django discards callbacks after the answer to ROLLBACK, before it leaves the transaction.
        # A lost connection sets `errors_occurred`, a commit by hand the last of these
        return not (
            connection.in_atomic_block
            or connection.autocommit
            or connection.errors_occurred
            or (connection.run_commit_hooks_on_set_autocommit_on and not self.began_in_callback)
        )


def _commits_at_exit(connection: BaseDatabaseWrapper) -> bool:
    """Return whether leaving ``atomic()`` may commit unnoticed: SQLite without autocommit."""
    if connection.vendor != "sqlite" or connection.connection is None:
        return False
    if connection.in_atomic_block:
        return not connection.commit_on_exit
    return not connection.connection.in_transaction


def settle(connection: BaseDatabaseWrapper, changes: list[FileChange]) -> None:
    """Hand `changes` over to the transaction of `connection`.

    Its commit deletes replaced files, its rollback deletes new ones.
    """
    if not changes:
        return
    mark = _TransactionMark.of(connection)
    _release_content(changes, mark)
    keep_rows(changes)
    for change in changes:
        if change.upload is not None and change.stored is not None:
            mark.stored[change.stored.name] = weakref.ref(change.upload[0])
    savepoints = frozenset(connection.savepoint_ids)
    # of one tenant: the callback may run where another one is served, or none
    pins = all_pins()
    key = savepoints, schema_of(connection), frozenset(pins.items())
    settlement = mark.settlements.get(key)
    if settlement is None:
        settlement = Settlement(connection.alias, changes, mark, pins)
        # no other goes on: Django frees them from the last to the first, the order to undo them
        mark.settlements.clear()
        mark.settlements[key] = settlement
    else:
        settlement.changes += changes
    # again each time: a test may have begun captureOnCommitCallbacks() since;
    # not by on_commit(), which refuses transactions by hand
    entries: list[Any] = connection.run_on_commit
    entries.append((set(savepoints), settlement, True))
    changes.clear()


def _release_content(changes: list[FileChange], mark: _TransactionMark) -> None:
    """Release content that exceeds the bound of what a transaction keeps in memory."""
    bound = getattr(settings, "DJANGO_FSSPEC_UNDO_MEMORY", _KEPT_CONTENT)
    for change in changes:
        if change.upload is None:
            continue
        state = change.upload[1]
        size = pending_content.memory_of(state.get("_pending"))
        if mark.kept_bytes + size > bound:
            state["_pending"] = pending_content.Released()
        else:
            change.kept_bytes = size
            mark.kept_bytes += size


def deletions_of(connection: BaseDatabaseWrapper) -> WeakValueDictionary[Any, FileChange]:
    """Return what deletes the files of rows that the transaction deleted, by model and key."""
    return _TransactionMark.of(connection).deletions


def stored_in(connection: BaseDatabaseWrapper) -> dict[str, weakref.ref[FileObject]]:
    """Return the files that the transaction of `connection`, if any, has stored, by name."""
    mark = _TransactionMark.find(connection)
    return {} if mark is None else mark.stored


def _freed(changes: list[FileChange], mark: _TransactionMark, pins: Pins) -> None:
    """Undo the changes of a settlement that was never called.

    If anything but a rollback freed it, the transaction may be committed: the connection was lost
    before the answer to COMMIT, or another ``on_commit()`` callback raised.
    """
    mark.kept_bytes -= sum(change.kept_bytes for change in changes)
    undo(changes, sure=mark.is_rolled_back(), pins=pins)
