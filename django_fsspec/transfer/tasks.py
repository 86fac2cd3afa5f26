"""Shards of a move as background tasks (django.tasks): enqueue, run, retry.

Importing this module needs ``django.tasks``, or before Django 6 the package ``django-tasks``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import django
from django.db import close_old_connections
from django.utils import timezone

from django_fsspec.core import extras
from django_fsspec.core.log_fields import log_fields

from .journal import Journal
from .plan import BadPlan
from .shards import Shard

T = TypeVar("T")

#: failures that an attempt keeps: after more, the next attempt goes through all rows of the shard
KEPT = 1000
#: failures in a task's result
IN_RESULT = 100
#: longest delay in seconds before the next attempt: where the backend defers, where we sleep
LONGEST, LONGEST_ASLEEP = 3600, 60
#: seconds between tries to enqueue the next attempt while the queue cannot be reached
PAUSES = (1, 2, 4, 8, 16)

logger = logging.getLogger("django_fsspec")

if TYPE_CHECKING:
    from django import tasks as framework
else:
    _package = "django.tasks" if django.VERSION >= (6,) else "django_tasks"
    framework = extras.load(_package, "tasks", "migrate_files --enqueue")


def backend_of(alias: str) -> Any:
    """Return a task backend. Raises ``BadPlan`` for an alias that is not in TASKS."""
    aliases = list(framework.task_backends)
    if alias not in aliases:
        configured = ", ".join(map(repr, aliases))
        raise BadPlan(f"--task-backend {alias}: it is not in TASKS, which has {configured}.")
    return framework.task_backends[alias]


def queue_of(backend: Any, name: str | None = None) -> str:
    """Return the queue `name` of a backend; without a name its default queue, else its first.

    Raises ``BadPlan`` for a queue that the backend does not have.
    """
    default: str = framework.DEFAULT_TASK_QUEUE_NAME
    queues = sorted(backend.queues)
    if name is not None and queues and name not in queues:
        raise BadPlan(f"--queue {name}: TASKS[{backend.alias!r}] has {', '.join(queues)}.")
    return name or (default if default in queues or not queues else queues[0])


def _default_destination() -> tuple[str, str]:
    """Return a backend and a queue that exist: a task can't be defined without."""
    default: str = framework.DEFAULT_TASK_BACKEND_ALIAS
    aliases = list(framework.task_backends)
    alias = default if default in aliases or not aliases else aliases[0]
    return alias, queue_of(framework.task_backends[alias])


def enqueue(shards: Iterable[Shard]) -> Iterator[tuple[Shard, Any]]:
    """Enqueue one task per shard; yield each shard with its task result."""
    for shard in shards:
        yield shard, _enqueue(shard)


def _enqueue(shard: Shard, run_after: datetime | None = None) -> Any:
    order = shard.order
    task = migrate_shard.using(backend=order.backend, queue_name=order.queue, run_after=run_after)
    return task.enqueue(shard.to_json())


_ALIAS, _QUEUE = _default_destination()


@framework.task(backend=_ALIAS, queue_name=_QUEUE)
def migrate_shard(data: dict[str, Any]) -> dict[str, Any]:
    """Move the rows of a shard; return counts and failures as JSON.

    What failed is enqueued for another attempt, and "again" is the id of its result; a backend
    that can't defer tasks sleeps in this one. Raises the error that ended the last attempt, and at
    once ``BadPlan`` for what is no shard, or whose task backend is not in TASKS.
    """
    shard = Shard.from_json(data)
    supports_defer = backend_of(shard.order.backend).supports_defer
    journal = Journal(keep=KEPT)
    while True:
        error = _attempt(shard, journal)
        rest = _rest(shard, journal, error)
        if rest is None:
            _give_up(shard, journal, error)
            return _result(shard, journal)
        # delays are bounded below: after so many doublings the exponent needs not grow
        delay = shard.order.retry_delay * 2 ** min(shard.attempt - 1, 32)
        if supports_defer:
            then = timezone.now() + timedelta(seconds=min(delay, LONGEST))
            again = _patiently(partial(_enqueue, rest, then))
            return _result(shard, journal, error, str(again.id))
        time.sleep(min(delay, LONGEST_ASLEEP))
        journal.forget_failures()
        shard = rest


def _attempt(shard: Shard, journal: Journal) -> Exception | None:
    """Move the rows; return the error that ended the attempt, or None."""
    try:
        shard.move(journal)
    except Exception as error:
        # Django keeps a lost connection for its thread, and would use it again
        close_old_connections()
        return error
    return None


def _rest(shard: Shard, journal: Journal, error: Exception | None) -> Shard | None:
    """Return the shard of the next attempt, None if nothing failed or none is left."""
    if error is None and not journal.failed:
        return None
    rest = shard.again()
    if rest is None:
        return None
    logger.warning(
        "%s, primary keys after %s up to %s, attempt %d: %d files failed; trying again.",
        shard.column,
        shard.after,
        shard.upto,
        shard.attempt,
        journal.failed,
        exc_info=error,
        extra=log_fields(operation="migrate", error=error),
    )
    return rest.of_failed(journal) if error is None else rest


def _give_up(shard: Shard, journal: Journal, error: Exception | None) -> None:
    for entry in journal.failures:
        logger.error(
            "%s %s: %s: %s",
            entry.column,
            entry.pk,
            entry.name,
            entry.reason,
            extra=log_fields(name=entry.name, operation="migrate", size=entry.size),
        )
    if error is not None:
        raise error


def _result(
    shard: Shard, journal: Journal, error: Exception | None = None, again: str | None = None
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "run": shard.order.run,
        "column": shard.column,
        "after": shard.after,
        "upto": shard.upto,
        "attempt": shard.attempt,
        "counts": journal.counts,
        "bytes": journal.bytes,
        "deleted": journal.deleted,
        "kept": journal.kept,
        "seconds": round(journal.seconds, 3),
        "failures": [
            {"pk": str(entry.pk), "name": entry.name, "reason": entry.reason}
            for entry in journal.failures[:IN_RESULT]
        ],
    }
    if error is not None:
        result["error"] = f"{type(error).__name__}: {error}"
    if again is not None:
        result["again"] = again
    return result


def _patiently(call: Callable[[], T]) -> T:
    """Return what `call` returns, called again after each of `PAUSES`; raise its last error."""
    for pause in PAUSES:
        try:
            return call()
        except Exception as error:
            logger.warning(
                "Enqueueing a shard failed; trying again in %d s.",
                pause,
                exc_info=True,
                extra=log_fields(operation="migrate", error=error),
            )
            time.sleep(pause)
            close_old_connections()
    return call()
