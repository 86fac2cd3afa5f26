"""Use each storage as a doctor would: write, read, list, sign, delete."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fsspec.checks.cors import examine
from django_fsspec.checks.doctor import Doctor, Step
from django_fsspec.storage.fsspec_storage import FSSpecStorage

_ORIGIN = re.compile(r"https?://[^/\s]+")


class Command(BaseCommand):
    help = (
        "Writes, creates exclusively, reads, lists, signs and deletes a small file on each "
        "storage of django_fsspec, and says which setting to mend. Exits 1 if a step fails."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "aliases",
            nargs="*",
            metavar="alias",
            help="Aliases in STORAGES; default: all of ours.",
        )

        parser.add_argument(
            "--cors",
            metavar="ORIGIN",
            help="Also ask whether pages of https://site.example may upload by themselves.",
        )

    def handle(
        self, *args: Any, aliases: list[str], cors: str | None = None, **options: Any
    ) -> None:
        if cors is not None and not _ORIGIN.fullmatch(cors):
            raise CommandError(
                f"--cors {cors!r} is no origin: write https://site.example, without a path.",
                returncode=2,
            )
        self._origin = cors
        unknown = [alias for alias in aliases if alias not in settings.STORAGES]
        if unknown:
            known = ", ".join(sorted(settings.STORAGES))
            raise CommandError(
                f"No such alias in STORAGES: {unknown[0]!r} (there are {known}).", returncode=2
            )
        failed = [
            alias
            for alias in aliases or settings.STORAGES
            if not self._examine(alias, bool(aliases))
        ]
        if failed:
            raise CommandError(f"Not well: {', '.join(failed)}.")

    def _examine(self, alias: str, asked: bool) -> bool:
        """Print what is found on one alias; return whether all is well."""
        try:
            storage = storages[alias]
        except ImproperlyConfigured as error:
            self.stdout.write(self.style.MIGRATE_HEADING(alias))
            self._print(Step(title="configure", seconds=0, problem=str(error)))
            return False
        if not isinstance(storage, FSSpecStorage):
            if asked:
                self.stdout.write(f"{alias}: {type(storage).__name__} is not of django_fsspec.")
            return True
        self.stdout.write(self.style.MIGRATE_HEADING(f"{alias} {storage!r}"))
        well = True
        for step in Doctor(storage).examine():
            self._print(step)
            well = well and step.problem is None
        if self._origin is not None:
            allowed = examine(storage, self._origin)
            self._print(allowed)
            well = well and allowed.problem is None
        return well

    def _print(self, step: Step) -> None:
        mark = self.style.ERROR("FAILED") if step.problem else self.style.SUCCESS("ok")
        text = step.problem or step.note
        self.stdout.write(
            f"  {step.title:<17}{step.seconds * 1000:8.1f} ms  {mark}  {text}".rstrip()
        )
