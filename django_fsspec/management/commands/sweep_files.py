"""``manage.py sweep_files``: find orphaned files, and rows whose file is missing."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.template.defaultfilters import filesizeformat, pluralize
from tqdm import tqdm

from django_fsspec.audit.columns import BadArguments
from django_fsspec.audit.findings import Due, MissingFile, Orphan, SweepTally
from django_fsspec.audit.progress_bars import bars, printable
from django_fsspec.audit.reports import Report
from django_fsspec.audit.sweep import Sweep
from django_fsspec.management.output import SteadyCommand

#: findings printed per kind and alias; the report has all of them
_SHOWN = 100


class Command(SteadyCommand):
    """Find orphaned files, and rows whose file is missing.

    Example::

        python manage.py sweep_files
        python manage.py sweep_files --missing --no-progress
    """

    help = (
        "Lists orphans: files in a storage that no row of a StoredObjectField, FileField or "
        "ImageField references. Deletes nothing without --delete. Exits 1 if a storage could not "
        "be listed, a file could not be deleted, --missing finds rows or the report is "
        "incomplete; 2 for wrong arguments."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        _add_selection(parser)
        parser.add_argument(
            "--delete", action="store_true", help="Delete orphans older than --min-age."
        )
        parser.add_argument(
            "--noinput",
            "--no-input",
            action="store_false",
            dest="interactive",
            help="Do not ask before the first deletion, which is asked on a terminal only.",
        )
        parser.add_argument(
            "--min-age",
            type=float,
            default=24,
            metavar="HOURS",
            help="Keep younger files: an upload precedes its row (default: %(default)s).",
        )
        parser.add_argument(
            "--missing", action="store_true", help="Also list rows whose file is missing."
        )
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")
        parser.add_argument(
            "--report", metavar="FILE.jsonl", help="Write one line of JSON per finding."
        )
        parser.add_argument("--no-progress", action="store_true", help="Show no progress bars.")

    def handle(self, *args: Any, aliases: list[str], **options: Any) -> None:
        self.steady_output()
        hours = options["min_age"]
        if not 0 <= hours < 1e6:
            raise CommandError(
                f"--min-age {hours:g}: write a number of hours from 0 to 999999.", returncode=2
            )
        try:
            sweep = Sweep(
                aliases,
                databases=options["database"] or (),
                prefix=options["prefix"],
                exclude=options["exclude"] or (),
                delete=options["delete"],
                confirm=self._confirm if options["interactive"] else lambda due: True,
                min_age=timedelta(hours=hours),
                missing=options["missing"],
                bar=bars(shown=not options["no_progress"]),
            )
        except BadArguments as refused:
            raise CommandError(str(refused), returncode=2) from refused
        report_complete = self._sweep(sweep, options)
        options["delete"] = options["delete"] and not sweep.cancelled
        if options["json"]:
            self.stdout.write(json.dumps(_summary(sweep, options), indent=2))
        else:
            self._print(sweep, options)
        if sweep.cancelled:
            raise CommandError("Cancelled: nothing was deleted.")
        if any(map(_is_bad, sweep.tallies.values())):
            raise CommandError("Problems were found; see above.")
        if not report_complete:
            raise CommandError("The report is incomplete; see above.")

    def _confirm(self, due: Mapping[str, Due]) -> bool:
        """Ask on a terminal whether to delete; elsewhere there is nobody to ask."""
        if sys.stdin is None or not sys.stdin.isatty():
            return True
        self.stderr.write("This will delete:", self.style.WARNING)
        for alias, (files, size) in due.items():
            text = f"  {alias}: {files} file{pluralize(files)}, {filesizeformat(size)}"
            self.stderr.write(text, str)
        # not input()'s own prompt: that goes where the result goes
        self.stderr.write("Type 'yes' to continue, or 'no' to cancel: ", str, ending="")
        try:
            return input().strip().lower() == "yes"
        except EOFError:
            return False

    def _sweep(self, sweep: Sweep, options: dict[str, Any]) -> bool:
        """Run the sweep; print and report each finding. Return whether the report is complete."""
        shown: dict[tuple[str, type[object]], int] = {}
        with ExitStack() as stack:
            report = None
            if options["report"]:
                path = Path(options["report"])
                try:
                    report = Report("--report", path, self.stderr.write, append=False)
                except OSError as error:
                    raise CommandError(f"--report: {error}", returncode=2) from error
                stack.enter_context(report)
            for finding in sweep.run():
                if report is not None:
                    report.write(json.dumps(_as_json(finding)))
                key = (finding.alias, type(finding))
                shown[key] = shown.get(key, 0) + 1
                if not options["json"] and (shown[key] <= _SHOWN or options["verbosity"] > 1):
                    self._show(finding)
        return report is None or report.complete

    def _show(self, finding: Orphan | MissingFile) -> None:
        with tqdm.external_write_mode():
            self.stdout.write(_line(finding))

    def _print(self, sweep: Sweep, options: dict[str, Any]) -> None:
        for note in sweep.notes:
            self.stdout.write(self.style.WARNING(note))
        for alias, tally in sweep.tallies.items():
            if not tally.listed:
                text = f"{alias}: could not be listed: {tally.problem}"
                self.stdout.write(self.style.ERROR(text))
                continue
            objects = f"{tally.objects} object{pluralize(tally.objects)}"
            heading = f"{alias}: {objects}, {filesizeformat(tally.bytes)}"
            self.stdout.write(self.style.MIGRATE_HEADING(heading))
            deletion = _deletion_line(alias, tally, sweep, options)
            for line in _tally_lines(tally, options["min_age"], deletion):
                self.stdout.write(f"  {line}")
            if tally.problem:
                self.stdout.write(self.style.ERROR(f"  {tally.problem}"))


def _add_selection(parser: CommandParser) -> None:
    """Add the arguments that say which files are swept, and which rows are read."""
    parser.add_argument(
        "aliases",
        nargs="*",
        metavar="alias",
        help="Aliases in STORAGES; default: every FSSpecStorage except 'staticfiles'.",
    )
    parser.add_argument(
        "--database",
        action="append",
        metavar="ALIAS",
        help="Database to look for rows in; can be repeated (default: all in DATABASES).",
    )
    parser.add_argument("--prefix", default="", metavar="FOLDER", help="Sweep only this folder.")
    parser.add_argument(
        "--exclude",
        action="append",
        metavar="PATTERN",
        help="Leave alone files whose name matches this shell pattern, or that are in a "
        "folder of this name; * also matches slashes; can be repeated.",
    )


def _is_bad(tally: SweepTally) -> bool:
    return bool(tally.problem or tally.failed or tally.missing_rows)


def _as_json(finding: Orphan | MissingFile) -> dict[str, Any]:
    data = dataclasses.asdict(finding)
    if isinstance(finding, MissingFile):
        data["pk"] = finding.pk if isinstance(finding.pk, int) else str(finding.pk)
    elif finding.last_modified is not None:
        data["last_modified"] = finding.last_modified.isoformat()
    return {"kind": "orphan" if isinstance(finding, Orphan) else "missing", **data}


def _summary(sweep: Sweep, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "delete": options["delete"],
        "min_age": options["min_age"],
        "aliases": {alias: dataclasses.asdict(tally) for alias, tally in sweep.tallies.items()},
        "notes": sweep.notes,
    }


def _line(finding: Orphan | MissingFile) -> str:
    name = printable(finding.name)
    if isinstance(finding, MissingFile):
        return f"{finding.alias}  missing  {finding.model} {finding.pk} {finding.field}  {name}"
    size = "" if finding.size is None else filesizeformat(finding.size)
    modified = finding.last_modified
    time = "" if modified is None else f"{modified:%Y-%m-%d %H:%M}"
    return f"{finding.alias}  {finding.fate:<10}  {name}  {size}  {time}".rstrip()


def _tally_lines(tally: SweepTally, hours: float, deletion: str | None) -> list[str]:
    """Return the lines that show a tally; `deletion` is one of them."""
    lines = [f"orphans: {tally.orphans}, {filesizeformat(tally.orphan_bytes)}"]
    if tally.too_young:
        lines.append(f"too young (--min-age {hours:g} hours): {tally.too_young}")
    if tally.undated:
        lines.append(f"without a modification time, never deleted: {tally.undated}")
    if deletion is not None:
        lines.append(deletion)
    if tally.failed:
        lines.append(f"could not be deleted: {tally.failed}")
    if tally.missing_rows is not None:
        lines.append(f"rows whose file is missing: {tally.missing_rows}")
    return lines


def _deletion_line(
    alias: str, tally: SweepTally, sweep: Sweep, options: dict[str, Any]
) -> str | None:
    """Return the line that shows what was deleted, or would be."""
    if sweep.cancelled:
        return "deleted: 0, as you cancelled"
    if options["delete"]:
        return f"deleted: {tally.deleted}, {filesizeformat(tally.deleted_bytes)}"
    if alias in sweep.refused:
        return None
    return f"--delete would delete: {tally.orphans - tally.too_young - tally.undated}"
