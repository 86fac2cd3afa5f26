"""Mend what rows say of their files."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from django_fsspec.audit.columns import Refused
from django_fsspec.audit.findings import Mended, MissingFile
from django_fsspec.audit.progress_bars import bars, printable
from django_fsspec.audit.refresh import Counts, Refresh

#: findings of a kind that are printed
_SHOWN = 100


class Command(BaseCommand):
    help = (
        "Fills or mends size, content type, time, etag and version of files that rows hold, by "
        "listing the storages. Exits 1 if an object is gone or a storage can't be listed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "fields",
            nargs="+",
            metavar="app_label.Model.field",
            help="StoredObjectFields, of one file or several.",
        )
        parser.add_argument(
            "--database",
            action="append",
            metavar="ALIAS",
            help="Mend rows of this database; can be repeated (default: default).",
        )
        parser.add_argument(
            "--only-missing",
            action="store_true",
            help="Look only at files of which size, time or etag is not known.",
        )
        parser.add_argument("--dry-run", action="store_true", help="List changes, write none.")
        parser.add_argument(
            "--batch-size",
            type=int,
            default=1000,
            metavar="ROWS",
            help="Rows read in one query, written in one transaction (default: %(default)s).",
        )
        parser.add_argument(
            "--stat",
            action="store_true",
            help="Ask for each file where a listing tells no content type, as on S3.",
        )
        parser.add_argument("--no-progress", action="store_true", help="Show no progress bars.")

    def handle(self, *args: Any, fields: list[str], **options: Any) -> None:
        try:
            refresh = Refresh(
                fields,
                databases=options["database"] or ["default"],
                only_missing=options["only_missing"],
                dry_run=options["dry_run"],
                batch_size=options["batch_size"],
                stat=options["stat"],
                bar=bars(shown=not options["no_progress"]),
            )
        except Refused as refused:
            raise CommandError(str(refused), returncode=2) from refused
        shown = 0
        verbose = options["verbosity"] > 1
        for found in refresh.run():
            if isinstance(found, MissingFile) or options["dry_run"] or verbose:
                shown += 1
                if shown <= _SHOWN or verbose:
                    self._show(found)
        self._print(refresh.counts, dry_run=options["dry_run"])
        if refresh.counts.missing or refresh.counts.problems:
            raise CommandError("Not all is well: see above.")

    def _show(self, found: Mended | MissingFile) -> None:
        with tqdm.external_write_mode():
            self.stdout.write(_line(found))

    def _print(self, counts: Counts, *, dry_run: bool) -> None:
        for alias, problem in counts.problems.items():
            self.stdout.write(self.style.ERROR(f"{alias}: {problem}"))
        done = "rows to mend" if dry_run else "rows mended"
        self.stdout.write(
            f"rows: {counts.rows}, files: {counts.files}, objects listed: {counts.listed}, "
            f"{done}: {counts.mended}, files gone: {counts.missing}"
        )
        if counts.outpaced:
            self.stdout.write(f"rows changed meanwhile, and left alone: {counts.outpaced}")


def _line(found: Mended | MissingFile) -> str:
    start = f"{found.model} {found.pk} {found.field}  {printable(found.name)}"
    if isinstance(found, MissingFile):
        return f"missing  {start}"
    changes = (f"{key} {before!r} -> {now!r}" for key, (before, now) in found.changes.items())
    return f"mended   {start}  {', '.join(changes)}"
