"""How far a move on many machines is: by the rows themselves, and by the results of its tasks."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple

from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.rows.columns import FileColumn

from .plan import BadPlan, rows_to_move, totals
from .shards import Order, Shard

#: failures that a tally keeps
KEPT = 100


class Held(NamedTuple):
    """Files that rows hold on an alias. `bytes` is None where rows don't tell."""

    files: int
    bytes: int | None


class Progress(NamedTuple):
    """What rows of a field hold on the source, and on the target if they tell."""

    left: Held
    done: Held | None


def progress_of(column: FileColumn, target: str) -> Progress:
    """Ask the rows of a field: 4 queries; of a field with several files 2 a thousand rows."""
    if column.is_file_field:
        return Progress(Held(*totals(column)), None)
    return Progress(_held(column), _held(dataclasses.replace(column, source=target)))


def _held(column: FileColumn) -> Held:
    if not (isinstance(column.field, StoredObjectField) and column.field.multiple):
        return Held(*totals(column))
    files = size = 0
    for row in rows_to_move(column, 1000):
        files += len(row.files)
        size += sum(file.size or 0 for file in row.files)
    return Held(files, size)


# the ids of a run's results, in a file


class Run(NamedTuple):
    """A run that was enqueued."""

    id: str
    backend: str
    results: list[str]


def note(file: IO[str], order: Order) -> None:
    """Begin a run in its file, a line of JSON."""
    file.write(json.dumps({"run": order.run, "backend": order.backend}) + "\n")


def note_shard(file: IO[str], shard: Shard, result: str) -> None:
    """Add a shard and the id of its result, a line of JSON."""
    data = {"column": shard.column, "after": shard.after, "upto": shard.upto, "result": result}
    file.write(json.dumps(data) + "\n")
    file.flush()


def last_run(path: Path) -> Run:
    """Return the last run of a file. Raises ``BadPlan`` for one that can't be read."""
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
        raise BadPlan(f"--run {path}: no run was noted in it.")
    return run


# what results say


@dataclasses.dataclass
class Tally:
    """`shards` counts states, `files` what came of files; some of the `failures`."""

    shards: Counter[str] = dataclasses.field(default_factory=Counter)
    files: Counter[str] = dataclasses.field(default_factory=Counter)
    failures: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def add(self, result: dict[str, Any]) -> None:
        """Add what one attempt returned."""
        counts = dict(result["counts"])
        if "again" in result:
            # the next attempt tells what failed
            counts.pop("failed", None)
        else:
            left = KEPT - len(self.failures)
            column = result["column"]
            self.failures += [{"column": column, **one} for one in result["failures"][:left]]
        self.files.update(counts)


_STATES = {"READY": "waiting", "RUNNING": "running", "FAILED": "failed", "SUCCESSFUL": "done"}
STATES = ("done", "failed", "running", "waiting", "not kept")


def tally(backend: Any, results: Iterable[str]) -> Tally:
    """Look up the results of shards: once an attempt."""
    made = Tally()
    for result in results:
        made.shards[_look_up(backend, result, made)] += 1
    return made


def _look_up(backend: Any, result: str, found: Tally) -> str:
    """Add what a shard's attempts returned; return the state of the last one."""
    while True:
        ended = _result(backend, result)
        if ended is None:
            return "not kept"
        state = _STATES[str(ended.status)]
        if state != "done":
            return state
        found.add(ended.return_value)
        if "again" not in ended.return_value:
            return state
        result = ended.return_value["again"]


def _result(backend: Any, result: str, tries: int = 3) -> Any:
    try:
        return backend.get_result(result)
    except _no_result():
        return None
    except Exception:
        # django-tasks-rq stumbles over a job that its scheduler moves at that moment
        if tries == 1:
            raise
    time.sleep(0.1)
    return _result(backend, result, tries - 1)


def failed_at_once(result: Any) -> bool:
    """Whether a shard was done while it was enqueued, and not all of it went well."""
    if not result.is_finished:
        return False
    return _STATES[str(result.status)] == "failed" or bool(result.return_value["failures"])


def _no_result() -> tuple[type[Exception], ...]:
    # a backend made for the package raises the package's on newer Djangos too
    modules = ("django.tasks.exceptions", "django_tasks.exceptions")
    return tuple(sys.modules[one].TaskResultDoesNotExist for one in modules if one in sys.modules)
