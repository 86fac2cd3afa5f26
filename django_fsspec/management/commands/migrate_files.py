"""``manage.py migrate_files``: arguments, signals, output; the work is in ``transfer``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError
from django.template.defaultfilters import filesizeformat, pluralize
from tqdm import tqdm

from django_fsspec.audit.reports import Report
from django_fsspec.management.filters import add_filter, conditions_of
from django_fsspec.management.output import SteadyCommand
from django_fsspec.rows.columns import FileColumn
from django_fsspec.transfer.engine import Engine
from django_fsspec.transfer.glibc import hold_little
from django_fsspec.transfer.journal import Journal
from django_fsspec.transfer.plan import (
    MINIMUMS,
    VERIFY,
    BadPlan,
    check_plan,
    check_tenants,
    columns,
    option_fault,
    totals,
)
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
from django_fsspec.transfer.source_deletion import SourceDeletion

#: exit status after Ctrl-C, as shells report SIGINT
INTERRUPTED = 128 + signal.SIGINT
#: label in the output -> status of a file in the journal
STATUS_LABELS = {
    "moved": "moved",
    "already in the target": "present",
    "row changed meanwhile": "changed",
    "failed": "failed",
}
#: status -> why there are such files
REMARKS = {
    "present": "copied for another row, or by an earlier run",
    "kept": "named by DJANGO_FSSPEC_NAMES_IN_USE or another package",
}


class Command(SteadyCommand):
    """Move the files of rows from one storage to another while the site runs.

    Example::

        python manage.py migrate_files --from default --to s3 --dry-run
        python manage.py migrate_files --from default --to s3
    """

    help = (
        "Moves the files of StoredObjectFields from one storage to another while the site runs: "
        "copy, verify, then update the row if it has not changed. For a FileField it copies the "
        "files under their names and changes no row. Exits 0 if all files were moved, 1 if some "
        "failed or the report is incomplete, 2 for wrong arguments."
    )
    #: the checks would import the clients of all storages and keep them in memory; check_plan()
    #: checks the two storages of the move
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "labels",
            nargs="*",
            metavar="app_label[.Model[.field]]",
            help="Fields to move; default: all that store files in the --from storage.",
        )
        add("--from", dest="source", required=True, metavar="ALIAS", help="Source alias.")
        add("--to", dest="target", required=True, metavar="ALIAS", help="Target alias.")
        add("--dry-run", action="store_true", help="Count files and bytes; copy nothing.")
        add("--workers", type=int, default=32, help="Parallel copies (default: %(default)s).")
        add("--batch-size", type=int, default=200, help="Rows per UPDATE (default: %(default)s).")
        add(
            "--verify",
            choices=VERIFY,
            default="checksum",
            help="What to compare after a copy; 'full' reads the copy back (default: checksum).",
        )
        add_filter(parser, "Move")
        add("--limit", type=int, help="Stop after this number of rows.")
        add("--fail-fast", action="store_true", help="Stop after the first failure.")
        add(
            "--delete-source",
            action="store_true",
            help="Delete source files once rows are updated, unless another row or a function in "
            "DJANGO_FSSPEC_NAMES_IN_USE names them.",
        )
        add("--report", type=Path, help="Append one line of JSON per file to this file.")
        add("--no-progress", action="store_true", help="Show no progress bar.")
        add(
            "--database",
            default=DEFAULT_DB_ALIAS,
            metavar="ALIAS",
            help="Database of the rows (default: %(default)s).",
        )
        _add_task_arguments(parser.add_argument_group("on many machines"))

    def run_from_argv(self, argv: list[str]) -> None:
        # glibc must be told before the clients of storages are imported
        hold_little()
        try:
            super().run_from_argv(argv)
        except KeyboardInterrupt:
            # an ordinary exit waits for threads, which may wait for a server that is down
            for stream in (self.stdout, self.stderr):
                stream.flush()
            os._exit(INTERRUPTED)

    def handle(self, *labels: str, **options: Any) -> None:
        self.steady_output()
        self.quiet = options["no_progress"] or options["verbosity"] == 0
        with _command_errors():
            check_plan(options["source"], options["target"])
            check_tenants(
                options["source"],
                options["target"],
                filtered=bool(options["filter"]),
                enqueued=options["enqueue"],
            )
            chosen = columns(
                options["labels"],
                source=options["source"],
                using=options["database"],
                conditions=conditions_of(options["filter"]),
                delete_source=options["delete_source"],
            )
            _check_options(options)
        if options["status"]:
            self._status(chosen, options)
            return
        total = self._plan(chosen, options)
        if options["enqueue"]:
            self._enqueue(chosen, options)
        elif options["dry_run"]:
            self.stdout.write("Dry run: nothing was copied.")
        else:
            self._move(chosen, total, options)

    def _plan(self, chosen: list[FileColumn], options: Any) -> int:
        """Print rows and bytes of each field; return the bytes in all."""
        total = 0
        for column in chosen:
            rows, files, size = totals(column)
            total += size or 0
            parts = [f"{rows} row{pluralize(rows)}"]
            if getattr(column.field, "multiple", False):
                parts.append(f"{files} file{pluralize(files)}")
            parts.append("unknown size" if size is None else filesizeformat(size))
            self.stdout.write(f"{column.label}: {', '.join(parts)}")
        return total

    def _move(self, chosen: list[FileColumn], total: int, options: Any) -> None:
        with self._lines("--report", options["report"]) as report, self._bar(total) as bar:
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
            with _interruptible(engine) as interrupted, _command_errors():
                try:
                    engine.run(chosen)
                except KeyboardInterrupt:
                    journal.flush()
                    self._summary(journal)
                    self.stderr.write("Aborted; every row is intact. Run it again to continue.")
                    raise
                except (OperationalError, InterfaceError) as error:
                    journal.flush()
                    self._summary(journal)
                    raise CommandError(
                        f"The database failed: {error}. Run it again to continue."
                    ) from error
        self._summary(journal)
        if interrupted:
            self.stderr.write(
                "Interrupted; copies in progress were finished. Run it again to continue."
            )
            sys.exit(INTERRUPTED)
        if journal.failed or not (report is None or report.complete):
            sys.exit(1)

    def _enqueue(self, chosen: list[FileColumn], options: Any) -> None:
        with _command_errors():
            from django_fsspec.transfer import tasks

            backend = tasks.backend_of(options["task_backend"])
            if options["delete_source"]:
                # raises BadPlan where deleting is not safe
                SourceDeletion(chosen, options["target"], Journal())
            order = Order(
                run=uuid4().hex[:12],
                source=options["source"],
                target=options["target"],
                using=options["database"],
                backend=backend.alias,
                queue=tasks.queue_of(backend, options["queue"]),
                conditions=conditions_of(options["filter"]),
                workers=options["workers"],
                batch_size=options["batch_size"],
                verify=options["verify"],
                delete_source=options["delete_source"],
                retries=options["retries"],
                retry_delay=options["retry_delay"],
            )
        count = failed = 0
        with self._lines("--run", options["run"]) as file:
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
            self.stderr.write(f"{failed} shards ran at once and failed; see the log.")
        if failed or not (file is None or file.complete):
            sys.exit(1)

    def _status(self, chosen: list[FileColumn], options: Any) -> None:
        for column in chosen:
            self.stdout.write(f"{column.label}:")
            left, done = progress_of(column, options["target"])
            if done is None:
                rows = f"{left.files} row{pluralize(left.files)}"
                self.stdout.write(f"  {rows} of a FileField, which name no storage")
                continue
            for alias, held in ((options["source"], left), (options["target"], done)):
                size = filesizeformat(held.bytes or 0)
                self.stdout.write(
                    f"  on {alias:21}{held.files:>10} file{pluralize(held.files)}, {size}"
                )
        if options["run"] is not None:
            self._results(options["run"])

    def _results(self, path: Path) -> None:
        """Print what the results of a run's tasks say."""
        with _command_errors():
            from django_fsspec.transfer import tasks

            run = last_run(path)
            backend = tasks.backend_of(run.backend)
        self.stdout.write(f"Run {run.id}: {len(run.results)} shards")
        if not backend.supports_get_result:
            self.stdout.write(f"  {run.backend!r} keeps no task results; see the rows above")
            return
        counts = tally(backend, run.results)
        for entry in counts.failures:
            self.stderr.write("{column} {pk}: {name}: {reason}".format(**entry))
        for state in STATES:
            self.stdout.write(f"  shards {state:21}{counts.shards[state]:>10}")
        for label, status in STATUS_LABELS.items():
            self.stdout.write(f"  files {label:22}{counts.files[status]:>10}")

    @contextmanager
    def _lines(self, option: str, path: Path | None) -> Iterator[Report | None]:
        """Append lines to a file while the block runs. What is wrong with it is said once."""
        if path is None:
            yield None
            return
        try:
            report = Report(option, path, self.stderr.write)
        except OSError as error:
            raise CommandError(f"{option} {path}: {error}", returncode=2) from error
        with report:
            yield report

    def _bar(self, total: int) -> tqdm[Any]:
        # disable=None: no bar where standard error is no terminal
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
        self.stdout.write("Files:")
        for label, status in STATUS_LABELS.items():
            self._count(label, journal.counts.get(status, 0), REMARKS.get(status))
        self._count("deleted in the source", journal.deleted)
        if journal.kept:
            self._count("kept in the source", journal.kept, REMARKS["kept"])
        size = filesizeformat(journal.bytes)
        self.stdout.write(f"  {size} in {seconds:.1f} s, {rate}/s")

    def _count(self, label: str, count: int, remark: str | None = None) -> None:
        text = f"  ({remark})" if count and remark else ""
        self.stdout.write(f"  {label:24}{count:>10}{text}")


def _add_task_arguments(group: Any) -> None:
    add = group.add_argument
    add("--enqueue", action="store_true", help="Enqueue django.tasks tasks instead of copying.")
    add("--shard-size", type=int, default=1000, help="Rows per task (default: %(default)s).")
    add("--task-backend", default="default", metavar="ALIAS", help="Alias in TASKS.")
    add("--queue", help="Queue of the task backend.")
    add("--retries", type=int, default=3, help="Retries per task (default: %(default)s).")
    add(
        "--retry-delay",
        type=float,
        default=10,
        metavar="SECONDS",
        help="Pause before the first retry; doubled each time (default: %(default)s).",
    )
    add("--run", type=Path, help="File of task result ids: appended to, read by --status.")
    add("--status", action="store_true", help="Show how far the move is; copy nothing.")


def _check_options(options: Any) -> None:
    """Raise ``BadPlan`` for options that are out of range or do not go together."""
    for name in (*MINIMUMS, "verify"):
        if (fault := option_fault(name, options[name])) is not None:
            raise BadPlan(f"--{name.replace('_', '-')} {fault}.")
    if options["enqueue"]:
        for name in ("status", "dry_run", "limit", "fail_fast", "report"):
            if options[name]:
                raise BadPlan(f"--{name.replace('_', '-')} can't be used with --enqueue.")


@contextmanager
def _command_errors() -> Iterator[None]:
    """Raise what is wrong with the arguments as a ``CommandError`` with exit code 2."""
    try:
        yield
    except (BadPlan, ImproperlyConfigured) as error:
        raise CommandError(str(error), returncode=2) from error


@contextmanager
def _interruptible(engine: Engine) -> Iterator[list[int]]:
    """Finish copies in progress on the first Ctrl-C, and abort them on the second.

    Yields a list that holds the signal's number once it arrived.
    """
    received: list[int] = []

    def stop(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        engine.stop()

    try:
        previous_handler = signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread, where Python delivers no signals
        yield received
        return
    try:
        yield received
    finally:
        signal.signal(signal.SIGINT, previous_handler)
