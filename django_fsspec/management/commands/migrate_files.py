"""``manage.py migrate_files``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError
from django.template.defaultfilters import filesizeformat
from tqdm import tqdm

from django_fsspec.rows.columns import FileColumn
from django_fsspec.transfer.copier import VERIFY
from django_fsspec.transfer.engine import Engine
from django_fsspec.transfer.glibc import hold_little
from django_fsspec.transfer.journal import Journal
from django_fsspec.transfer.plan import BadPlan, check_plan, columns, totals
from django_fsspec.transfer.progress import (
    STATES,
    failed_at_once,
    last_run,
    note,
    note_shard,
    progress_of,
    tally,
)
from django_fsspec.transfer.shards import Order
from django_fsspec.transfer.source_deletion import Sources

#: exit status after Ctrl-C
INTERRUPTED = 128 + signal.SIGINT
#: what becomes of files, in words
FATES = {
    "moved": "moved",
    "there already": "present",
    "changed meanwhile": "changed",
    "failed": "failed",
}
#: numbers that options are at least
LEAST = {
    "workers": 1,
    "batch_size": 1,
    "limit": 1,
    "shard_size": 1,
    "retries": 0,
    "retry_delay": 0,
}


class Command(BaseCommand):
    help = "Move the files of rows from one storage to another, live: copy, verify, swap."
    #: they import URLs, views and the clients of all storages, which stay in memory; the plan
    #: checks the two that it is about
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("labels", nargs="*", metavar="app_label[.Model[.field]]")
        parser.add_argument("--from", dest="source", required=True, help="alias of the files")
        parser.add_argument("--to", dest="target", required=True, help="alias to move them to")
        parser.add_argument("--dry-run", action="store_true", help="only count files and bytes")
        parser.add_argument("--workers", type=int, default=32, help="copies at once (32)")
        parser.add_argument("--batch-size", type=int, default=200, help="rows an update (200)")
        parser.add_argument("--verify", choices=VERIFY, default="checksum")
        parser.add_argument(
            "--filter", action="append", default=[], metavar="KEY=VALUE", help="which rows"
        )
        parser.add_argument("--limit", type=int, help="rows at most")
        parser.add_argument("--fail-fast", action="store_true", help="stop at the first failure")
        parser.add_argument("--delete-source", action="store_true", help="after the commit")
        parser.add_argument("--report", type=Path, help="append a line of JSON a file")
        parser.add_argument("--no-progress", action="store_true")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)
        _add_tasks(parser.add_argument_group("on many machines"))

    def run_from_argv(self, argv: list[str]) -> None:
        # before the clients of storages are imported
        hold_little()
        try:
            super().run_from_argv(argv)
        except KeyboardInterrupt:
            # an ordinary exit would wait for threads, and they for backends that may be dead
            for stream in (self.stdout, self.stderr):
                stream.flush()
            os._exit(INTERRUPTED)

    def handle(self, *labels: str, **options: Any) -> None:
        self.quiet = options["no_progress"] or options["verbosity"] == 0
        with _refusals():
            check_plan(options["source"], options["target"])
            chosen = columns(
                options["labels"],
                source=options["source"],
                using=options["database"],
                conditions=_conditions(options["filter"]),
                delete_source=options["delete_source"],
            )
            _check(options)
        if options["status"]:
            self._status(chosen, options)
            return
        total = self._plan(chosen, options)
        if options["enqueue"]:
            self._enqueue(chosen, options)
        elif not options["dry_run"]:
            self._move(chosen, total, options)

    def _plan(self, chosen: list[FileColumn], options: Any) -> int:
        """Say what there is to move; return the bytes."""
        total = 0
        for column in chosen:
            rows, size = totals(column)
            total += size or 0
            told = "bytes not told by rows" if size is None else filesizeformat(size)
            self.stdout.write(f"{column.label}: {rows} rows, {told}")
        return total

    def _move(self, chosen: list[FileColumn], total: int, options: Any) -> None:
        with _appended("--report", options["report"]) as report, self._bar(total) as bar:
            journal = Journal(report, bar)
            engine = Engine(
                options["target"],
                journal,
                workers=options["workers"],
                batch_size=options["batch_size"],
                verify=options["verify"],
                delete_source=options["delete_source"],
                fail_fast=options["fail_fast"],
                limit=options["limit"],
            )
            with _interruptible(engine) as interrupted, _refusals():
                try:
                    engine.run(chosen)
                except KeyboardInterrupt:
                    journal.flush()
                    self._summary(journal)
                    self.stderr.write("Cut off: rows are whole. Run it again to go on.")
                    raise
                except (OperationalError, InterfaceError) as error:
                    journal.flush()
                    self._summary(journal)
                    told = f"The database failed: {error}. Run it again to go on."
                    raise CommandError(told) from error
        self._summary(journal)
        if interrupted:
            self.stderr.write("Interrupted: what was begun is done. Run it again to go on.")
            sys.exit(INTERRUPTED)
        if journal.failed:
            sys.exit(1)

    def _enqueue(self, chosen: list[FileColumn], options: Any) -> None:
        with _refusals():
            from django_fsspec.transfer import tasks

            backend = tasks.backend_of(options["task_backend"])
            if options["delete_source"]:
                Sources(chosen, options["target"])
            order = Order(
                run=uuid4().hex[:12],
                source=options["source"],
                target=options["target"],
                using=options["database"],
                backend=backend.alias,
                queue=tasks.queue_of(backend, options["queue"]),
                conditions=_conditions(options["filter"]),
                workers=options["workers"],
                batch_size=options["batch_size"],
                verify=options["verify"],
                delete_source=options["delete_source"],
                retries=options["retries"],
                retry_delay=options["retry_delay"],
            )
        count = failed = 0
        with _appended("--run", options["run"]) as file:
            if file is not None:
                note(file, order)
            for shard, result in tasks.enqueue(order.shards(chosen, options["shard_size"])):
                count += 1
                failed += failed_at_once(result)
                if file is not None:
                    note_shard(file, shard, str(result.id))
        self.stdout.write(
            f"Run {order.run}: {count} shards enqueued on {backend.alias!r}, queue {order.queue!r}"
        )
        if failed:
            self.stderr.write(f"{failed} of them were done at once and failed: see the log.")
            sys.exit(1)

    def _status(self, chosen: list[FileColumn], options: Any) -> None:
        for column in chosen:
            self.stdout.write(f"{column.label}:")
            left, done = progress_of(column, options["target"])
            if done is None:
                self.stdout.write(f"  {left.files} rows, which do not tell where their files are")
                continue
            for alias, held in ((options["source"], left), (options["target"], done)):
                size = filesizeformat(held.bytes or 0)
                self.stdout.write(f"  on {alias:21}{held.files:>10} files, {size}")
        if options["run"] is not None:
            self._results(options["run"])

    def _results(self, path: Path) -> None:
        """Say what the results of a run's tasks say."""
        with _refusals():
            from django_fsspec.transfer import tasks

            run = last_run(path)
            backend = tasks.backend_of(run.backend)
        self.stdout.write(f"Run {run.id}: {len(run.results)} shards")
        if not backend.supports_get_result:
            self.stdout.write(f"  {run.backend!r} keeps no results: the rows above tell all")
            return
        found = tally(backend, run.results)
        for entry in found.failures:
            self.stderr.write("{column} {pk}: {name}: {reason}".format(**entry))
        for state in STATES:
            self.stdout.write(f"  shards {state:17}{found.shards[state]:>10}")
        for label, status in FATES.items():
            self.stdout.write(f"  {label:24}{found.files[status]:>10}")

    def _bar(self, total: int) -> tqdm[Any]:
        # disable=None: nothing where standard error is no terminal
        return tqdm(
            desc="moving",
            total=total or None,
            unit="B",
            unit_scale=True,
            disable=True if self.quiet else None,
            file=sys.stderr,
        )

    def _summary(self, journal: Journal) -> None:
        for entry in journal.failures:
            self.stderr.write(f"{entry.column} {entry.pk}: {entry.name}: {entry.reason}")
        if journal.failed > len(journal.failures):
            self.stderr.write(f"… and {journal.failed - len(journal.failures)} more")
        seconds = max(journal.seconds, 0.001)
        rate = filesizeformat(journal.bytes / seconds)
        for label, status in FATES.items():
            self.stdout.write(f"  {label:24}{journal.counts.get(status, 0):>10}")
        self.stdout.write(f"  {'deleted at the source':24}{journal.deleted:>10}")
        size = filesizeformat(journal.bytes)
        self.stdout.write(f"  {size} in {seconds:.1f} s, {rate} a second")


def _add_tasks(group: Any) -> None:
    group.add_argument("--enqueue", action="store_true", help="enqueue tasks, for any worker")
    group.add_argument("--shard-size", type=int, default=1000, help="rows a task (1000)")
    group.add_argument("--task-backend", default="default", help="alias in TASKS")
    group.add_argument("--queue", help="of the task backend")
    group.add_argument("--retries", type=int, default=3, help="of a shard with failures (3)")
    group.add_argument(
        "--retry-delay", type=float, default=10, help="seconds, doubled each time (10)"
    )
    group.add_argument("--run", type=Path, help="file for the ids of results, appended to")
    group.add_argument("--status", action="store_true", help="only say how far it is")


def _check(options: Any) -> None:
    """Raise ``BadPlan`` for options that fit nothing, or not each other."""
    for name, least in LEAST.items():
        if options[name] is not None and options[name] < least:
            raise BadPlan(f"--{name.replace('_', '-')} must be {least} or more.")
    if options["enqueue"]:
        for name in ("status", "dry_run", "limit", "fail_fast", "report"):
            if options[name]:
                raise BadPlan(f"--{name.replace('_', '-')} does not go with --enqueue.")


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (BadPlan, ImproperlyConfigured) as error:
        raise CommandError(str(error), returncode=2) from error


def _conditions(given: list[str]) -> dict[str, str | list[str]]:
    conditions: dict[str, str | list[str]] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not key or not equals:
            raise BadPlan(f"--filter {one}: write KEY=VALUE, as in --filter title=May.")
        conditions[key] = value.split(",") if key.endswith("__in") else value
    return conditions


@contextmanager
def _appended(option: str, path: Path | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
        return
    try:
        opened = path.open("a", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{option} {path}: {error}", returncode=2) from error
    with opened:
        yield opened


@contextmanager
def _interruptible(engine: Engine) -> Iterator[list[int]]:
    """Have Ctrl-C finish what is begun; a second one ends at once."""
    seen: list[int] = []

    def stop(number: int, frame: object) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        engine.stop()

    try:
        before = signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread: nobody presses Ctrl-C here
        yield seen
        return
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
