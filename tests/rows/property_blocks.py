"""Transactions of the machine: atomic blocks, and transactions that are committed by hand."""

from __future__ import annotations

from django.db import connections, transaction
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.library.models import Dossier, Volume

from .property_mishaps import Attempt
from .property_steps import Steps

numbers = st.integers(0, 7)
aliases = st.sampled_from(["default", "default", "default", "other"])
has_rows = precondition(lambda self: self.oracle.has_rows)


class Blocks(Steps):
    """Steps on transactions."""

    @rule(alias=aliases, savepoint=st.booleans())
    def enter(self, alias: str, savepoint: bool) -> None:
        database = self.oracle[alias]
        if database.is_doomed or len(database.frames) > 3:
            return
        context = transaction.atomic(using=alias, savepoint=savepoint)
        context.__enter__()
        database.enter(context, savepoint)

    @precondition(lambda self: not self.oracle.is_settled)
    @rule(
        alias=aliases,
        end=st.sampled_from(["commit", "commit", "exception", "set_rollback"]),
    )
    def leave(self, alias: str, end: str) -> None:
        if self.oracle[alias].frames:
            self._leave(alias, end)

    @has_rows
    @rule(alias=aliases)
    def look(self, alias: str) -> None:
        """Read all rows, as anybody on this connection would."""
        database = self.oracle[alias]
        if database.is_doomed:
            return
        rows = Dossier.objects.using(alias).order_by("pk")
        shown = {row.pk: row.file and row.file.filename for row in rows}
        expected = {pk: (*row.names("file"), None)[0] for pk, row in database.rows.items()}
        assert shown == expected
        assert rows.count() == len(expected)

    @precondition(lambda self: self.oracle.is_settled and self.handles)
    @rule(
        alias=aliases,
        steps=st.lists(
            st.tuples(
                st.sampled_from(["save", "save", "delete", "commit", "rollback"]),
                numbers,
                st.booleans(),
            ),
            min_size=1,
            max_size=5,
        ),
        end=st.sampled_from(["commit", "rollback"]),
    )
    def by_hand(self, alias: str, steps: list[tuple[str, int, bool]], end: str) -> None:
        """Switch autocommit off for a few steps."""
        database = self.oracle[alias]
        transaction.set_autocommit(False, using=alias)
        database.enter(None, savepoint=True)
        has_committed = is_mixed = False
        for chosen, number, guard in [*steps, (end, 0, False)]:
            step = chosen
            is_atomic = guard or step == "delete"
            if step in ("save", "delete") and not self._step_by_hand(alias, step, number, guard):
                step = "rollback"  # PostgreSQL accepts nothing else after an error
            if step in ("commit", "rollback"):
                getattr(transaction, step)(using=alias)
            is_mixed |= step == "rollback" and has_committed
            # what ends in an atomic() without BEGIN is committed; who can't tell keeps the files
            has_committed |= is_atomic and connections[alias].vendor == "sqlite"
            if step in ("commit", "rollback") or self._is_committed(alias):
                database.leave(rolled_back=step == "rollback")
                database.enter(None, savepoint=True)
                has_committed |= step != "rollback"
            self.oracle.check()
            if is_mixed:
                break
        database.leave(rolled_back=False)
        # on PostgreSQL the check has begun a transaction: not one of Django's
        connections[alias].connection.rollback()
        transaction.set_autocommit(True, using=alias)
        if is_mixed:
            # Django discards what was to follow the commit: nobody deletes replaced files
            self.oracle.sweep()
            self.handles.clear()

    def _step_by_hand(self, alias: str, step: str, number: int, guard: bool) -> bool:
        """Return whether the transaction can go on."""
        handles = [each for each in self.handles if each.alias == alias and not each.is_deferred]
        if not handles:
            return True
        handle = handles[number % len(handles)]
        pk = handle.instance.pk
        if step == "save":
            self.assign(handle, "file", ("bytes", 0))
            # outside of atomic() Django refuses to save several tables
            guard = guard or isinstance(handle.instance, Volume)
            return self.save_handle(handle, None, guard) or guard
        if pk is not None and not handle.instance._state.adding:
            Attempt(self.oracle, alias, None, True).succeeds(handle.instance.delete)
            self.oracle[alias].rows.pop(pk, None)
        return True

    @staticmethod
    def _is_committed(alias: str) -> bool:
        """Return whether the end of ``atomic()`` was a commit, as without BEGIN on SQLite."""
        connection = connections[alias]
        return connection.vendor == "sqlite" and not connection.connection.in_transaction
