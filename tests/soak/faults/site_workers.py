"""The processes of a site, and what they are asked to do."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection, connections

from django_fsspec.adapters import cancellation
from django_fsspec.rows import rollbacks
from django_fsspec.rows.references import stored_fields
from django_fsspec.testing import override_storage
from tests.helpers import workers
from tests.helpers.workers import ROOT, Worker

from .visitors import Visitor


@dataclass
class Report:
    """What the threads of a worker did."""

    outcomes: Counter[str]
    #: what the package logged: files that it had to leave are named there
    logged: list[str]
    seconds: float


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def create_database() -> str:
    """Make a database with all tables; return its name."""
    tests = connection.settings_dict["TEST"]
    tests["MIGRATE"] = False
    if connection.vendor == "sqlite":
        tests["NAME"] = str(connection.settings_dict["NAME"])
    return str(connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False))


def drop_database(name: str) -> None:
    """Remove a database of `create_database()`."""
    wait_until_alone()
    connection.creation.destroy_test_db(name, verbosity=0)


def use_storage(options: dict[str, Any]) -> None:
    """Make `options` those of the default storage, and connect."""
    override_storage(default=options).enable()
    connection.ensure_connection()
    with contextlib.suppress(OSError):
        default_storage.exists("nothing")


def work(label: str, threads: int, transactions: int) -> Report:
    """Do `transactions` in all, from `threads`."""
    log = _Log()
    logger = logging.getLogger("django_fsspec")
    logger.addHandler(log)
    logger.propagate = False
    start = time.monotonic()

    def visits(number: int) -> Counter[str]:
        visitor = Visitor(f"{label}-{number}")
        try:
            for _ in range(number, transactions, threads):
                visitor.visit()
        finally:
            connections.close_all()
        return visitor.outcomes

    with ThreadPoolExecutor(threads) as pool:
        outcomes = sum(pool.map(visits, range(threads)), Counter[str]())
    # what a rollback, or a save that another one cancelled, did not wait for
    for thread in threading.enumerate():
        if thread.name == rollbacks.THREAD_NAME:
            thread.join()
    while cancellation._ending:
        time.sleep(0.01)
    return Report(outcomes, log.lines, time.monotonic() - start)


def rows() -> list[tuple[str, dict[str, Any]]]:
    """Return every file that a row holds, with where: JSON, read without our code."""
    found = []
    with connection.cursor() as cursor:
        for each in stored_fields():
            table, pk = each.model._meta.db_table, each.model._meta.pk.column
            cursor.execute(f"SELECT {pk}, {each.column} FROM {table}")
            for key, text in cursor.fetchall():
                held = json.loads(text or "[]")
                listed = held if isinstance(held, list) else [held]
                found += [(f"{each} {key}", one) for one in listed]
    return found


def sweep(*aliases: str) -> dict[str, Any]:
    """Have the site's own command delete what no row holds; return what it counts, by alias."""
    told = io.StringIO()
    options = ("--delete", "--min-age=0", "--missing", "--json", "--no-progress")
    # a site has one database: the suite's second is not there
    connections.settings.pop("other", None)
    call_command("sweep_files", *aliases, *options, stdout=told)
    counts: dict[str, Any] = json.loads(told.getvalue())["aliases"]
    return counts


_OTHERS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT count(*) FROM information_schema.processlist"
    " WHERE db = database() AND id <> connection_id()",
    # the system takes back the locks of the dead
    "sqlite": "SELECT 0",
}


def wait_until_alone() -> None:
    """Return when the database has done all that was asked by those who are gone."""
    deadline = time.monotonic() + 30
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_OTHERS[connection.vendor])
            if cursor.fetchone() == (0,):
                return
            assert time.monotonic() < deadline, "somebody still uses the database"
            time.sleep(0.02)


class SiteWorker(Worker):
    """A worker with the tests' settings, on a database of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        main = f"import django; django.setup(); from {__name__} import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", main, str(os.getpid())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )


def main() -> None:
    """Serve jobs from standard input, as `tests.helpers.workers` does."""
    workers._die_with_parent(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    workers._serve(sys.stdin.buffer, answers)
    os._exit(0)
