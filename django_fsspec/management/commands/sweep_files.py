"""Find objects that no row holds, and rows whose object is gone."""

from __future__ import annotations

import dataclasses
import json
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat
from tqdm import tqdm

from django_fsspec.audit.columns import Refused
from django_fsspec.audit.findings import MissingFile, Orphan, Tally
from django_fsspec.audit.progress_bars import bars, printable
from django_fsspec.audit.sweep import Sweep

#: findings printed of one kind and alias; all of them go into the report
_SHOWN = 100


class Command(BaseCommand):
    help = (
        "Lists objects that no row of a StoredObjectField, FileField or ImageField holds. "
        "Deletes nothing without --delete. Exits 1 if something could not be listed or deleted, "
        "or if --missing finds rows."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "aliases",
            nargs="*",
            metavar="alias",
            help="Aliases in STORAGES; default: all of ours, 'staticfiles' left out.",
        )
        parser.add_argument(
            "--database",
            action="append",
            metavar="ALIAS",
            help="Look for rows in this database; can be repeated (default: default).",
        )
        parser.add_argument(
            "--prefix", default="", metavar="FOLDER", help="Sweep this folder alone."
        )
        parser.add_argument("--delete", action="store_true", help="Delete what is old enough.")
        parser.add_argument(
            "--min-age",
            type=float,
            default=24,
            metavar="HOURS",
            help="Delete nothing younger: uploads precede their rows (default: %(default)s).",
        )
        parser.add_argument(
            "--missing", action="store_true", help="List rows whose object is gone, too."
        )
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")
        parser.add_argument(
            "--report", metavar="FILE.jsonl", help="Write a line of JSON for each finding."
        )
        parser.add_argument("--no-progress", action="store_true", help="Show no progress bars.")

    def handle(self, *args: Any, aliases: list[str], **options: Any) -> None:
        hours = options["min_age"]
        if not 0 <= hours < 1e6:
            raise CommandError("--min-age is a number of hours, 0 or more.", returncode=2)
        try:
            sweep = Sweep(
                aliases,
                databases=options["database"] or ["default"],
                prefix=options["prefix"],
                delete=options["delete"],
                min_age=timedelta(hours=hours),
                missing=options["missing"],
                bar=bars(shown=not options["no_progress"]),
            )
        except Refused as refused:
            raise CommandError(str(refused), returncode=2) from refused
        self._sweep(sweep, options)
        if options["json"]:
            self.stdout.write(json.dumps(_summary(sweep, options), indent=2))
        else:
            self._print(sweep, delete=options["delete"])
        if any(map(_is_bad, sweep.tallies.values())):
            raise CommandError("Not all is well: see above.")

    def _sweep(self, sweep: Sweep, options: dict[str, Any]) -> None:
        """Do it, and show what is found as it is found."""
        shown: dict[tuple[str, type[object]], int] = {}
        with ExitStack() as stack:
            report = None
            if options["report"]:
                try:
                    report = stack.enter_context(open(options["report"], "w"))
                except OSError as error:
                    raise CommandError(f"--report: {error}", returncode=2) from error
            for found in sweep.run():
                if report is not None:
                    report.write(json.dumps(_as_json(found)) + "\n")
                key = (found.alias, type(found))
                shown[key] = shown.get(key, 0) + 1
                if not options["json"] and (shown[key] <= _SHOWN or options["verbosity"] > 1):
                    self._show(found)

    def _show(self, found: Orphan | MissingFile) -> None:
        with tqdm.external_write_mode():
            self.stdout.write(_line(found))

    def _print(self, sweep: Sweep, *, delete: bool) -> None:
        for note in sweep.notes:
            self.stdout.write(self.style.WARNING(note))
        for alias, tally in sweep.tallies.items():
            self.stdout.write(
                self.style.MIGRATE_HEADING(
                    f"{alias}: {tally.objects} objects, {filesizeformat(tally.bytes)}"
                )
            )
            for line in _told(tally, delete=delete):
                self.stdout.write(f"  {line}")
            if tally.problem:
                self.stdout.write(self.style.ERROR(f"  {tally.problem}"))


def _is_bad(tally: Tally) -> bool:
    return bool(tally.problem or tally.failed or tally.missing_rows)


def _as_json(found: Orphan | MissingFile) -> dict[str, Any]:
    kind = "orphan" if isinstance(found, Orphan) else "missing"
    data = dataclasses.asdict(found)
    if isinstance(found, MissingFile):
        data["pk"] = found.pk if isinstance(found.pk, int) else str(found.pk)
    elif found.last_modified is not None:
        data["last_modified"] = found.last_modified.isoformat()
    return {"kind": kind, **data}


def _summary(sweep: Sweep, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "delete": options["delete"],
        "min_age": options["min_age"],
        "aliases": {alias: dataclasses.asdict(tally) for alias, tally in sweep.tallies.items()},
        "notes": sweep.notes,
    }


def _line(found: Orphan | MissingFile) -> str:
    name = printable(found.name)
    if isinstance(found, MissingFile):
        return f"{found.alias}  missing  {found.model} {found.pk} {found.field}  {name}"
    size = "" if found.size is None else filesizeformat(found.size)
    when = "" if found.last_modified is None else f"{found.last_modified:%Y-%m-%d %H:%M}"
    return f"{found.alias}  {found.fate:<10}  {name}  {size}  {when}".rstrip()


def _told(tally: Tally, *, delete: bool) -> list[str]:
    """Return a tally in words."""
    lines = [f"orphans: {tally.orphans}, {filesizeformat(tally.orphan_bytes)}"]
    if tally.too_young:
        lines.append(f"too young: {tally.too_young}")
    if tally.undated:
        lines.append(f"without a time, never deleted: {tally.undated}")
    if delete:
        lines.append(f"deleted: {tally.deleted}, {filesizeformat(tally.deleted_bytes)}")
    else:
        lines.append(f"--delete would delete: {tally.orphans - tally.too_young - tally.undated}")
    if tally.failed:
        lines.append(f"could not be deleted: {tally.failed}")
    if tally.missing_rows is not None:
        lines.append(f"rows whose object is gone: {tally.missing_rows}")
    return lines
