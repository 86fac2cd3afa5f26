"""Progress of a move on many machines: counted in the rows and in the results of its tasks."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from django_fsspec.audit.reports import Report
from django_fsspec.rows.columns import FileColumn

from .plan import BadPlan, Totals, totals
from .shards import Order, Shard

#: failures that a tally keeps
KEPT = 100


def progress_of(column: FileColumn, target: str) -> tuple[Totals, Totals | None]:
    """Return a field's files on the source, and on the target (None for a ``FileField``).

    4 queries; with multiple=True 2 queries per 1000 rows.
    """
    if column.is_file_field:
        return totals(column), None
    return totals(column), totals(dataclasses.replace(column, source=target))


# the file with the result ids of a run


class Run(NamedTuple):
    """A run that was enqueued; `results` are the ids of its task results."""

    id: str
    backend: str
    results: list[str]


def note(file: Report, order: Order) -> None:
    """Write the first line of a run, as JSON."""
    file.write(json.dumps({"run": order.run, "backend": order.backend}))


def note_shard(file: Report, shard: Shard, result: str) -> None:
    """Write the line of a shard and its result id, as JSON."""
    data = {"column": shard.column, "after": shard.after, "upto": shard.upto, "result": result}
    file.write(json.dumps(data))
    file.flush()


def last_run(path: Path) -> Run:
    """Return the last run in a file. Raises ``BadPlan`` for a file that can't be read."""
    run: Run | None = None
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                data = json.loads(line)
                if "run" in data:
                    run = Run(data["run"], data["backend"], [])
                elif run is not None:
                    run.results.append(data["result"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadPlan(f"--run {path}: {type(error).__name__}: {error}") from error
    if run is None:
        raise BadPlan(f"--run {path}: the file has no run; --enqueue --run FILE writes one.")
    return run


# task results


@dataclasses.dataclass
class RunTally:
    """Results of a run: `shards` by state, `files` by status, the first ``KEPT`` `failures`."""

    shards: Counter[str] = dataclasses.field(default_factory=Counter)
    files: Counter[str] = dataclasses.field(default_factory=Counter)
    failures: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def add(self, result: dict[str, Any]) -> None:
        """Add the return value of one attempt."""
        counts = dict(result["counts"])
        if "again" in result:
            # the next attempt reports what failed
            counts.pop("failed", None)
        else:
            left = KEPT - len(self.failures)
            column = result["column"]
            failures = result["failures"][:left]
            self.failures += [{"column": column, **failure} for failure in failures]
        self.files.update(counts)


_STATES = {"READY": "waiting", "RUNNING": "running", "FAILED": "failed", "SUCCESSFUL": "done"}
STATES = ("done", "failed", "running", "waiting", "not kept")


def tally(backend: Any, results: Iterable[str]) -> RunTally:
    """Look up the results of shards in a task backend: one look-up per attempt."""
    counts = RunTally()
    for result in results:
        counts.shards[_look_up(backend, result, counts)] += 1
    return counts


def _look_up(backend: Any, result: str, counts: RunTally) -> str:
    """Add the return values of a shard's attempts; return the state of the last one."""
    while True:
        ended = _result(backend, result)
        if ended is None:
            return "not kept"
        state = _STATES[str(ended.status)]
        if state != "done":
            return state
        counts.add(ended.return_value)
        if "again" not in ended.return_value:
            return state
        result = ended.return_value["again"]


def _result(backend: Any, result: str, tries: int = 3) -> Any:
    try:
        return backend.get_result(result)
    except _no_result():
        return None
    except Exception:
        # django-tasks-rq raises for a job that its scheduler is moving between queues
        if tries == 1:
            raise
    time.sleep(0.1)
    return _result(backend, result, tries - 1)


def failed_at_once(result: Any) -> bool:
    """Return whether a shard ran while it was enqueued, and a file of it failed."""
    if not result.is_finished:
        return False
    return _STATES[str(result.status)] == "failed" or bool(result.return_value["failures"])


def _no_result() -> tuple[type[Exception], ...]:
    # task backends of the django-tasks package raise its own class, on Django 6 too
    modules = ("django.tasks.exceptions", "django_tasks.exceptions")
    return tuple(
        sys.modules[name].TaskResultDoesNotExist for name in modules if name in sys.modules
    )
