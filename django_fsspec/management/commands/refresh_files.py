"""``manage.py refresh_files``: update the metadata of files in rows from storage listings."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from django_fsspec.audit.columns import BadArguments
from django_fsspec.audit.findings import InvalidFile, MissingFile, UpdatedFile
from django_fsspec.audit.progress_bars import bars, printable
from django_fsspec.audit.refresh import Finding, Refresh, RefreshCounts
from django_fsspec.management.filters import add_filter, conditions_of
from django_fsspec.management.output import SteadyCommand

#: findings that are printed
_SHOWN = 100


class Command(SteadyCommand):
    """Update the metadata of files in rows from storage listings.

    Example::

        python manage.py refresh_files app.Document.file --dry-run
    """

    help = (
        "Updates size, content type, time, etag and version of the files in rows from the "
        "listings of their storages. Exits 1 if a file is missing, a row holds invalid JSON or a "
        "storage can't be listed, 2 for wrong arguments."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "fields",
            nargs="+",
            metavar="app_label.Model.field",
            help="StoredObjectFields, with or without multiple=True.",
        )
        parser.add_argument(
            "--database",
            action="append",
            metavar="ALIAS",
            help="Database of the rows; can be repeated (default: default).",
        )
        parser.add_argument(
            "--only-missing",
            action="store_true",
            help="Update only files whose size, time or etag is unknown.",
        )
        add_filter(parser, "Read and update")
        parser.add_argument("--dry-run", action="store_true", help="List changes; write none.")
        parser.add_argument(
            "--batch-size",
            type=int,
            default=1000,
            metavar="ROWS",
            help="Rows per query and per transaction (default: %(default)s).",
        )
        parser.add_argument(
            "--stat",
            action="store_true",
            help="Request each file's content type where listings have none, as on S3.",
        )
        parser.add_argument("--no-progress", action="store_true", help="Show no progress bars.")

    def handle(self, *args: Any, fields: list[str], **options: Any) -> None:
        self.steady_output()
        try:
            refresh = Refresh(
                fields,
                databases=options["database"] or ["default"],
                only_missing=options["only_missing"],
                dry_run=options["dry_run"],
                batch_size=options["batch_size"],
                stat=options["stat"],
                conditions=conditions_of(options["filter"]),
                bar=bars(shown=not options["no_progress"]),
            )
        except BadArguments as refused:
            raise CommandError(str(refused), returncode=2) from refused
        shown = 0
        verbose = options["verbosity"] > 1
        for finding in refresh.run():
            if not isinstance(finding, UpdatedFile) or options["dry_run"] or verbose:
                shown += 1
                if shown <= _SHOWN or verbose:
                    self._show(finding)
        self._print(refresh.counts, dry_run=options["dry_run"])
        if refresh.counts.missing or refresh.counts.invalid or refresh.counts.problems:
            raise CommandError("Problems were found; see above.")

    def _show(self, finding: Finding) -> None:
        with tqdm.external_write_mode():
            self.stdout.write(_line(finding))

    def _print(self, counts: RefreshCounts, *, dry_run: bool) -> None:
        for alias, problem in counts.problems.items():
            self.stdout.write(self.style.ERROR(f"{alias}: {problem}"))
        label = "rows to update" if dry_run else "rows updated"
        self.stdout.write(
            f"rows: {counts.rows}, files: {counts.files}, files listed: {counts.listed}, "
            f"{label}: {counts.updated}, files missing: {counts.missing}"
        )
        if counts.invalid:
            self.stdout.write(f"files with invalid JSON, left as they are: {counts.invalid}")
        if counts.skipped:
            self.stdout.write(f"rows changed meanwhile and skipped: {counts.skipped}")


def _line(finding: Finding) -> str:
    if isinstance(finding, InvalidFile):
        return f"invalid  {finding.model} {finding.pk} {finding.field}  its JSON {finding.fault}"
    start = f"{finding.model} {finding.pk} {finding.field}  {printable(finding.name)}"
    if isinstance(finding, MissingFile):
        return f"missing  {start}"
    changes = (f"{key} {before!r} -> {now!r}" for key, (before, now) in finding.changes.items())
    return f"updated  {start}  {', '.join(changes)}"
