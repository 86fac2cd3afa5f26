"""A command in a process of its own, on a database and two storages in its memory.

``run()`` runs this module, whose arguments are those of ``manage.py``: two papers p0 and p1 are on
the storage "default", "second" is empty. What is left is printed to the file `LONE_RESULT`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Ended(NamedTuple):
    """How a command ended: its status, what it wrote to our pipe, and the aliases of the rows."""

    status: int
    text: str
    aliases: list[str]


def run(*arguments: str, result: Path, stdout: Any, stderr: Any) -> Ended:
    """Run a command; `stdout` and `stderr` are as for ``subprocess.Popen``."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", __name__, *arguments],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DJANGO_FSSPEC_DATABASE": "sqlite",
            "PYTHONPATH": str(ROOT),
            "LONE_RESULT": str(result),
        },
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        check=False,
        text=True,
    )
    return Ended(
        done.returncode, f"{done.stdout or ''}{done.stderr or ''}", json.loads(result.read_text())
    )


def closed_pipe() -> int:
    """Return the writing end of a pipe that nobody reads any more, as ``| head`` leaves it."""
    read, write = os.pipe()
    os.close(read)
    return write


def _main() -> None:
    import django
    from django.conf import settings
    from django.core.files.base import ContentFile
    from django.core.management import call_command, execute_from_command_line

    for database in settings.DATABASES.values():
        database["NAME"] = ":memory:"
    memory = {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": {"fs": "memory"}}
    second = {**memory, "OPTIONS": {"fs": "memory", "prefix": "second"}}
    first = {**memory, "OPTIONS": {"fs": "memory", "prefix": "first"}}
    settings.STORAGES = {**settings.STORAGES, "default": first, "second": second}
    settings.MIGRATION_MODULES = {app.rpartition(".")[2]: None for app in settings.INSTALLED_APPS}
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)

    from tests.library.models import Paper

    for number in range(2):
        content = ContentFile(f"p{number}", name=f"{number}.txt")
        Paper.objects.create(title=str(number), file=content)
    try:
        execute_from_command_line(["manage.py", *sys.argv[1:]])
    finally:
        aliases = [row.file.backend for row in Paper.objects.order_by("pk")]
        Path(os.environ["LONE_RESULT"]).write_text(json.dumps(aliases))


if __name__ == "__main__":
    _main()
