"""A site on several machines: one PostgreSQL, one S3, workers that do its tasks and get killed.

The test's own process never has the site's settings: commands and workers are processes, and what
became of rows and objects is looked at by psycopg and boto3.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, Self, TypeVar

import psycopg
import pytest
import redis

from tests import servers
from tests.helpers.backends import server
from tests.helpers.workers import Worker
from tests.servers.base import Server
from tests.soak import grounds, machine_jobs

P = ParamSpec("P")
T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
#: seconds for anything to happen
PATIENCE = 100


class Site:
    """A database and a queue of its own; files on the disk ("default") and on S3 ("far").

    Commands run in one process, on one of its machines.
    """

    def __init__(self, settings: str = "tests.settings_tasks") -> None:
        self.name = grounds.folder("tasks").replace("-", "_")
        self.settings = settings

    def __enter__(self) -> Self:
        with connected() as connection:
            connection.execute(f"CREATE DATABASE {self.name}")
        environment = {**self.environment(), "PYTHONWARNINGS": "error"}
        self._desk = Worker(self.settings, environment)
        self._eye = connected(self.name)
        try:
            self.call(machine_jobs.command, "migrate", "--run-syncdb", "--verbosity", "0")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._desk.stop()
        self._eye.close()
        with connected() as connection:
            connection.execute(f"DROP DATABASE {self.name} WITH (FORCE)")

    def storages(self, far: str | None = None) -> dict[str, Any]:
        """Return the OPTIONS of its aliases; `far` is a way to the S3 server, a proxy."""
        return {
            "default": grounds.local_options(self.name),
            "far": grounds.s3_options(server(servers.SeaweedS3), self.name, far),
        }

    def environment(self, far: str | None = None) -> dict[str, str]:
        """Return the environment of its processes; `far` is a way to the S3 server, a proxy."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": self.settings,
            "DJANGO_FSSPEC_DATABASE": "postgresql",
            "DJANGO_FSSPEC_STORAGES": json.dumps(self.storages(far)),
            "DJANGO_FSSPEC_QUEUE": self.name,
            "PGDATABASE": self.name,
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": redis_url(),
        }

    def call(self, job: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Do a job in the process of commands; return its result."""
        self._desk.send(job, *arguments, **options)
        result: T = self._desk.result(PATIENCE)
        return result

    def migrate(self, *options: str) -> str:
        """Run ``migrate_files`` from the disk to S3; return what it said."""
        where = ("--from", "default", "--to", "far")
        return self.call(machine_jobs.command, "migrate_files", "library.Paper", *where, *options)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self._eye.execute(query).fetchall()

    def insert(self, papers: Sequence[tuple[str, str]]) -> None:
        """Write rows: titles and the JSON of files."""
        with self._eye.cursor() as cursor:
            cursor.executemany("INSERT INTO library_paper (title, file) VALUES (%s, %s)", papers)

    def empty(self) -> None:
        """Forget all papers and their files."""
        self._eye.execute("DELETE FROM library_paper")
        shutil.rmtree(grounds.scratch() / self.name, ignore_errors=True)
        s3 = server(servers.SeaweedS3)
        client = s3.boto3_client()
        for name in grounds.s3_files(s3, self.name):
            client.delete_object(Bucket=s3.bucket, Key=f"{self.name}/{name}")
        client.close()

    def left(self) -> dict[int, str]:
        """Return the files that rows hold on the disk, by primary key."""
        names = "SELECT id, file->>'filename' FROM library_paper"
        return dict(self.ask(f"{names} WHERE file->>'backend' = 'default'"))

    def check(self) -> None:
        """Have every row's file on S3, whole, and nothing else there."""
        rows = self.ask("SELECT title, file FROM library_paper")
        stored = grounds.s3_files(server(servers.SeaweedS3), self.name)
        for title, file in rows:
            data = machine_jobs.content_of(int(title))
            assert file["backend"] == "far"
            assert file["checksum"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
            assert stored.pop(file["filename"]) == data
        assert stored == {}


class DatabaseSite(Site):
    """Its tasks are rows."""

    worker = ("db_worker", "--no-reload", "--no-startup-delay", "--interval", "0.1")
    queue_option = ("--queue-name",)

    def __init__(self) -> None:
        super().__init__("tests.settings_tasks_db")


class RedisSite(Site):
    """Its tasks are jobs in Redis."""

    worker = ("rqworker", "--with-scheduler", "--job-class", "django_tasks_rq.Job")
    queue_option = ()

    def __init__(self) -> None:
        super().__init__("tests.settings_tasks_rq")

    def __enter__(self) -> Self:
        self._redis = connected_to_redis()
        return super().__enter__()

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__()
        with self._redis as client:
            jobs = [key for key in client.scan_iter("rq:job:*") if self._is_ours(client, key)]
            results = [key.replace(b":job:", b":results:") for key in jobs]
            client.delete(*jobs, *results, *client.scan_iter(f"rq:*{self.name}*"))

    def _is_ours(self, client: Any, key: bytes) -> bool:
        return bool(
            client.type(key) == b"hash" and client.hget(key, "origin") == self.name.encode()
        )


class Machine(Server):
    """A worker process, `far` its way to S3. `kill()` ends its children too."""

    def __init__(self, site: DatabaseSite | RedisSite, far: str | None = None) -> None:
        super().__init__()
        self._site, self._far = site, far

    def _command(self) -> Sequence[str]:
        site = self._site
        command = (*site.worker, *site.queue_option, site.name)
        return [sys.executable, str(ROOT / "manage.py"), *command]

    def _environment(self) -> dict[str, str]:
        return self._site.environment(self._far)

    def _answers(self) -> bool:
        return "worker" in self.log_tail().lower()

    def kill(self) -> None:
        """See Server.kill()."""
        children = descendants(self.pid) if self.pid else []
        super().kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Return the children of a process, and theirs."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(status.parent.name))
    found = list(children.get(pid, ()))
    for child in found:
        found += children.get(child, ())
    return found


def wait_for(condition: Callable[[], Any], *machines: Machine) -> None:
    """Return when `condition` is true; fail when a machine ends before."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        told = "\n".join(machine.log_tail() for machine in machines)
        assert time.monotonic() < deadline, told
        assert all(machine.running for machine in machines), told
        time.sleep(0.01)


def redis_url() -> str:
    """Return where Redis is."""
    return os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/7")


def connected_to_redis() -> Any:
    """Return a client of Redis; where there is none, the test is skipped, but fails in CI."""
    client = redis.Redis.from_url(redis_url())
    try:
        client.ping()
    except redis.ConnectionError as error:
        missing(f"Redis: {error}")
    return client


def connected(database: str = "postgres") -> psycopg.Connection[Any]:
    """Connect to PostgreSQL; where there is none, the test is skipped, but fails in CI."""
    env = os.environ.get
    try:
        return psycopg.connect(
            host=env("PGHOST", "127.0.0.1"),
            port=env("PGPORT", "5432"),
            user=env("PGUSER", "postgres"),
            password=env("PGPASSWORD", ""),
            dbname=database,
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        missing(f"PostgreSQL: {error}")


def missing(what: str) -> NoReturn:
    """Skip the test; in CI, fail it."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
