"""Shards as tasks of Django's Tasks framework: enqueued, done by any worker, tried again.

Importing this needs ``django.tasks``, or before Django 6 the package that it came from.
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

from .journal import Journal
from .plan import BadPlan
from .shards import Shard

T = TypeVar("T")

#: failures that an attempt remembers: with more, the next one goes through all of its rows
KEPT = 1000
#: failures that a result tells
TOLD = 100
#: seconds at most until the next attempt, of a backend that can wait and of one that can't
LONGEST, LONGEST_ASLEEP = 3600, 60
#: seconds between attempts to enqueue the rest, while the database or the queue is away
PAUSES = (1, 2, 4, 8, 16)

logger = logging.getLogger("django_fsspec")

if TYPE_CHECKING:
    from django import tasks as framework
else:
    _package = "django.tasks" if django.VERSION >= (6,) else "django_tasks"
    framework = extras.load(_package, "tasks", "migrate_files --enqueue")


def backend_of(alias: str) -> Any:
    """Return a task backend. Raises ``BadPlan`` for one that is not in the settings."""
    known = list(framework.task_backends)
    if alias not in known:
        told = ", ".join(map(repr, known))
        raise BadPlan(f"--task-backend {alias}: it is not in TASKS, which has {told}.")
    return framework.task_backends[alias]


def queue_of(backend: Any, name: str | None = None) -> str:
    """Return the queue `name` of a backend, without a name its default or its first.

    Raises ``BadPlan`` for a queue that the backend does not have.
    """
    usual: str = framework.DEFAULT_TASK_QUEUE_NAME
    known = sorted(backend.queues)
    if name is not None and known and name not in known:
        raise BadPlan(f"--queue {name}: TASKS[{backend.alias!r}] has {', '.join(known)}.")
    return name or (usual if usual in known or not known else known[0])


def _anywhere() -> tuple[str, str]:
    """Return a backend and a queue that exist: no task can be defined without."""
    usual: str = framework.DEFAULT_TASK_BACKEND_ALIAS
    known = list(framework.task_backends)
    alias = usual if usual in known or not known else known[0]
    return alias, queue_of(framework.task_backends[alias])


def enqueue(shards: Iterable[Shard]) -> Iterator[tuple[Shard, Any]]:
    """Enqueue a task a shard, as they come; yield each with its result."""
    for shard in shards:
        yield shard, _enqueue(shard)


def _enqueue(shard: Shard, run_after: datetime | None = None) -> Any:
    order = shard.order
    task = migrate_shard.using(backend=order.backend, queue_name=order.queue, run_after=run_after)
    return task.enqueue(shard.to_json())


_ALIAS, _QUEUE = _anywhere()


@framework.task(backend=_ALIAS, queue_name=_QUEUE)
def migrate_shard(data: dict[str, Any]) -> dict[str, Any]:
    """Move the rows of a shard; return what came of it, as JSON.

    What failed is enqueued again, to be done later: "again" is the id of that result. Where the
    backend can't wait, this waits. Raises what broke off the last attempt.
    """
    shard = Shard.from_json(data)
    journal = Journal(keep=KEPT)
    while True:
        error = _attempt(shard, journal)
        rest = _rest(shard, journal, error)
        if rest is None:
            _give_up(shard, journal, error)
            return _result(shard, journal)
        delay = shard.order.retry_delay * 2 ** (shard.attempt - 1)
        if backend_of(shard.order.backend).supports_defer:
            then = timezone.now() + timedelta(seconds=min(delay, LONGEST))
            again = _patiently(partial(_enqueue, rest, then))
            return _result(shard, journal, error, str(again.id))
        time.sleep(min(delay, LONGEST_ASLEEP))
        journal.forget_failures()
        shard = rest


def _attempt(shard: Shard, journal: Journal) -> Exception | None:
    """Move the rows; return what broke it off."""
    try:
        shard.move(journal)
    except Exception as error:
        # a connection that was lost stays with its thread, and would be met again
        close_old_connections()
        return error
    return None


def _rest(shard: Shard, journal: Journal, error: Exception | None) -> Shard | None:
    """Return what is to be tried again, None when that is nothing or attempts are used up."""
    if error is None and not journal.failed:
        return None
    rest = shard.again()
    if rest is None:
        return None
    logger.warning(
        "%s after %s up to %s, attempt %d: %d files failed, and is tried again.",
        shard.column,
        shard.after,
        shard.upto,
        shard.attempt,
        journal.failed,
        exc_info=error,
    )
    return rest.of_failed(journal) if error is None else rest


def _give_up(shard: Shard, journal: Journal, error: Exception | None) -> None:
    for entry in journal.failures:
        logger.error("%s %s: %s: %s", entry.column, entry.pk, entry.name, entry.reason)
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
        "seconds": round(journal.seconds, 3),
        "failures": [
            {"pk": str(entry.pk), "name": entry.name, "reason": entry.reason}
            for entry in journal.failures[:TOLD]
        ],
    }
    if error is not None:
        result["error"] = f"{type(error).__name__}: {error}"
    if again is not None:
        result["again"] = again
    return result


def _patiently(call: Callable[[], T]) -> T:
    """Call until it works or `PAUSES` are used up."""
    for pause in PAUSES:
        try:
            return call()
        except Exception:
            logger.warning("The rest of a shard is enqueued again in %d s.", pause, exc_info=True)
            time.sleep(pause)
            close_old_connections()
    return call()
