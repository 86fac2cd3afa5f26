"""``manage.py migrate_files``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.template.defaultfilters import filesizeformat
from tqdm import tqdm

from django_fsspec.transfer.copying import VERIFY
from django_fsspec.transfer.engine import Engine
from django_fsspec.transfer.journal import Journal
from django_fsspec.transfer.plan import BadPlan, Column, check_plan, columns


class Command(BaseCommand):
    help = "Move the files of rows from one storage to another, live: copy, verify, swap."

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

    def handle(self, *labels: str, **options: Any) -> None:
        self.quiet = options["no_progress"] or options["verbosity"] == 0
        try:
            check_plan(options["source"], options["target"])
            chosen = columns(
                options["labels"],
                source=options["source"],
                using=options["database"],
                conditions=_conditions(options["filter"]),
                delete_source=options["delete_source"],
            )
        except BadPlan as error:
            raise CommandError(str(error), returncode=2) from error
        for name in ("workers", "batch_size", "limit"):
            if options[name] is not None and options[name] < 1:
                raise CommandError(f"--{name.replace('_', '-')} must be 1 or more.", returncode=2)
        total = self._plan(chosen, options)
        if not options["dry_run"]:
            self._move(chosen, total, options)

    def _plan(self, chosen: list[Column], options: Any) -> int:
        """Say what there is to move; return the bytes."""
        total = 0
        for column in chosen:
            rows, size = column.count()
            total += size or 0
            told = "bytes not told by rows" if size is None else filesizeformat(size)
            self.stdout.write(f"{column.label}: {rows} rows, {told}")
        return total

    def _move(self, chosen: list[Column], total: int, options: Any) -> None:
        with _report(options["report"]) as report, self._bar(total) as bar:
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
            with _interruptible(engine) as interrupted:
                engine.run(chosen)
        self._summary(journal)
        if interrupted:
            self.stderr.write("Interrupted: what was begun is done. Run it again to go on.")
            sys.exit(128 + signal.SIGINT)
        if journal.failed:
            sys.exit(1)

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
        rows = [
            ("moved", journal.counts.get("moved", 0)),
            ("there already", journal.counts.get("present", 0)),
            ("changed meanwhile", journal.counts.get("changed", 0)),
            ("failed", journal.failed),
            ("deleted at the source", journal.deleted),
        ]
        for label, count in rows:
            self.stdout.write(f"  {label:24}{count:>10}")
        size = filesizeformat(journal.bytes)
        self.stdout.write(f"  {size} in {seconds:.1f} s, {rate} a second")


def _conditions(given: list[str]) -> dict[str, str]:
    conditions = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not key or not equals:
            raise BadPlan(f"--filter {one}: write KEY=VALUE, as in --filter title=May.")
        conditions[key] = value
    return conditions


@contextmanager
def _report(path: Path | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
        return
    try:
        opened = path.open("a", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--report {path}: {error}", returncode=2) from error
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
