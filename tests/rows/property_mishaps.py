"""What goes wrong in a step: refused values, signals that raise, a database that is gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.db import DatabaseError, IntegrityError, OperationalError, connections, transaction
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.db.transaction import TransactionManagementError

from tests.helpers.row_files import Mishap, receiving

from .property_oracle import Oracle

SIGNALS = {
    "pre_save": pre_save,
    "post_save": post_save,
    "pre_delete": pre_delete,
    "post_delete": post_delete,
}
#: the database is unreachable at the first, the second, … statement of a step
BLOCKED = ["block 0", "block 1", "block 2", "block 3"]
#: a value that cannot be compiled / that the database refuses
SPOILED = ["compile", "refused"]


class Blocker:
    """An execute wrapper for which the database is unreachable at one statement."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.has_fired = False

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self._left -= 1
        if self._left == -1:
            self.has_fired = True
            raise OperationalError(f"unreachable: {sql}")
        return execute(sql, params, many, context)


class Attempt:
    """One step, which may go wrong."""

    def __init__(
        self,
        oracle: Oracle,
        alias: str,
        mishap: str | None,
        guard: bool,
        *,
        instances: Sequence[Any] = (),
        failures: Iterable[type[Exception]] = (),
        excuses: Iterable[type[Exception]] = (),
    ) -> None:
        """Expect one of `failures`, if there are any, and accept `excuses`.

        `guard` puts the step into an atomic block of its own.
        """
        self._oracle, self._database = oracle, oracle[alias]
        self._alias, self._mishap, self._guard = alias, mishap, guard
        self._instances = instances
        self._failures, self._excuses = set(failures), set(excuses)
        self._blocker: Blocker | None = None
        #: the class of what was raised, as expected
        self.error: type[Exception] | None = None
        if self._database.is_doomed:
            self._failures.add(TransactionManagementError)
            self._excuses.add(DatabaseError)

    def succeeds(self, action: Callable[[], object]) -> bool:
        """Do the step; return whether it was done. Raises what was not expected."""
        try:
            with contextlib.ExitStack() as stack:
                if self._guard:
                    stack.enter_context(transaction.atomic(using=self._alias))
                stack.enter_context(self._going_wrong())
                action()
        except Exception as error:
            if self._has_fired:
                self._excuses.add(OperationalError)
            if not isinstance(error, (*self._failures, *self._excuses)):
                raise
            if isinstance(error, DatabaseError) and connections[self._alias].in_atomic_block:
                # PostgreSQL refuses what follows, whatever Django knows of it
                transaction.set_rollback(True, using=self._alias)
            self.error = type(error)
            if self._oracle.keeps_errors:
                self._oracle.errors.append(error)
            return False
        assert not self._failures, f"nothing was raised, expected one of {self._failures}"
        if self._has_fired:
            # only what follows a commit may fail without a word, and leave replaced files behind
            assert not self._database.frames, "a failed statement raised nothing"
            self._oracle.is_to_sweep = True
        return True

    @property
    def _has_fired(self) -> bool:
        return self._blocker is not None and self._blocker.has_fired

    @contextlib.contextmanager
    def _going_wrong(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            if self._mishap in SIGNALS:
                signal = SIGNALS[self._mishap]
                stack.enter_context(receiving(signal, self._raise, None))
                self._failures.add(Mishap)
            elif self._mishap in BLOCKED:
                self._blocker = Blocker(BLOCKED.index(self._mishap))
                stack.enter_context(connections[self._alias].execute_wrapper(self._blocker))
            elif self._mishap == "compile":
                stack.enter_context(self._spoiled("number", "abc"))
                self._failures.add(ValueError)
            elif self._mishap == "refused":
                codes = self._codes()
                if codes:
                    stack.enter_context(self._spoiled("code", codes[0]))
                    self._failures.add(IntegrityError)
            yield

    @staticmethod
    def _raise(**kwargs: Any) -> None:
        raise Mishap

    def _codes(self) -> list[str]:
        """Return the codes that the database refuses for the last instance."""
        pk = self._instances[-1].pk
        rows = self._database.rows
        return [row.values["code"] for other, row in rows.items() if other != pk]

    @contextlib.contextmanager
    def _spoiled(self, name: str, value: object) -> Iterator[None]:
        """Give the last instance another value for a moment."""
        instance = self._instances[-1]
        attributes = vars(instance)
        before = dict(attributes)
        setattr(instance, name, value)
        try:
            yield
        finally:
            if name in before:
                setattr(instance, name, before[name])
            else:
                del attributes[name]
