"""``manage.py check_storages``: write, read, list, sign and delete a test file on each storage."""

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
    """Try each storage with a test file of a few bytes.

    Example::

        python manage.py check_storages default
    """

    help = (
        "Writes, creates exclusively (at once and in parts), reads, lists, signs and deletes a "
        "small test file on each FSSpecStorage, and names the setting to correct. Exits 1 if a "
        "step fails, 2 for wrong arguments."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "aliases",
            nargs="*",
            metavar="alias",
            help="Aliases in STORAGES; default: every FSSpecStorage.",
        )

        parser.add_argument(
            "--cors",
            metavar="ORIGIN",
            help="Also check that the bucket's CORS rules allow uploads from this origin.",
        )

    def handle(
        self, *args: Any, aliases: list[str], cors: str | None = None, **options: Any
    ) -> None:
        if cors is not None and not _ORIGIN.fullmatch(cors):
            raise CommandError(
                f"--cors {cors!r} is not an origin: write https://site.example, without a path.",
                returncode=2,
            )
        self._origin = cors
        unknown = [alias for alias in aliases if alias not in settings.STORAGES]
        if unknown:
            configured = ", ".join(sorted(settings.STORAGES))
            raise CommandError(
                f"{unknown[0]!r} is not in STORAGES, which has {configured}.", returncode=2
            )
        failed = [
            alias
            for alias in aliases or settings.STORAGES
            if not self._examine(alias, bool(aliases))
        ]
        if failed:
            raise CommandError(f"Storages with problems: {', '.join(failed)}.")

    def _examine(self, alias: str, asked: bool) -> bool:
        """Print the result of each step on one alias; return whether all succeeded."""
        try:
            storage = storages[alias]
        except ImproperlyConfigured as error:
            self.stdout.write(self.style.MIGRATE_HEADING(alias))
            self._print(Step(title="configure", seconds=0, problem=str(error)))
            return False
        if not isinstance(storage, FSSpecStorage):
            if asked:
                self.stdout.write(f"{alias}: {type(storage).__name__} is not an FSSpecStorage.")
            return True
        self.stdout.write(self.style.MIGRATE_HEADING(f"{alias} {storage!r}"))
        steps = [self._print(step) for step in Doctor(storage).examine()]
        if self._origin is not None:
            steps.append(self._print(examine(storage, self._origin)))
        return all(step.problem is None for step in steps)

    def _print(self, step: Step) -> Step:
        mark = self.style.ERROR("FAILED") if step.problem else self.style.SUCCESS("ok")
        text = step.problem or step.note
        self.stdout.write(
            f"  {step.title:<17}{step.seconds * 1000:8.1f} ms  {mark}  {text}".rstrip()
        )
        return step
