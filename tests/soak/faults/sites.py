"""A site on failing networks, and its audit."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import itertools
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests import servers
from tests.helpers.backends import server
from tests.helpers.workers import Worker
from tests.servers.ports import HOST
from tests.soak import grounds

from .content import content_of
from .line import Line
from .site_workers import (
    Report,
    SiteWorker,
    create_database,
    drop_database,
    rows,
    sweep,
    use_storage,
    wait_until_alone,
    work,
)
from .weather import RETRIES, TIMEOUT, Climate, Weather

if TYPE_CHECKING:
    from typing import Self


@dataclass
class Audit:
    """What rows hold against what lies there."""

    #: files that rows hold
    held: int = 0
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lists = [f"{name} {len(getattr(self, name))}" for name in ("missing", "wrong", "orphans")]
        return f"held {self.held}, {', '.join(lists)}"


class Site:
    """A database and a folder on S3, and the processes that reach them over failing networks."""

    def __init__(
        self, database: str, seed: str, climate: Climate | None = None, *, losing: bool = False
    ) -> None:
        self.seed = seed
        self._s3 = server(servers.SeaweedS3)
        self._folder = grounds.folder("faults")
        self.weather = Weather(HOST, self._s3.port, climate or Climate(), seed)
        self.line: Line | None = None
        self._files = tempfile.TemporaryDirectory(prefix="django-fsspec-faults-")
        self._environment = {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DJANGO_FSSPEC_DATABASE": database,
            "DJANGO_FSSPEC_VAR": self._files.name,
            # else nobody between could tell what is said
            "PGSSLMODE": "disable",
        }
        if losing:
            self._address = _ADDRESSES[database]
            host, port = itertools.starmap(os.environ.get, self._address.items())
            self.line = Line(str(host), int(port or 0), seed)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.enter_context(self._files)
            self._stack.enter_context(self.weather)
            if self.line is not None:
                self._stack.enter_context(self.line)
            name = f"faults_{os.urandom(4).hex()}"
            self._use_database(name)
            self._keeper = self._stack.enter_context(SiteWorker(self._environment))
            self._use_database(self._keeper.call(create_database))
            self._stack.callback(self._keeper.call, drop_database, name)
            self._keeper.call(use_storage, self._options(self._s3.url))
            self._keep_folders()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _use_database(self, name: str) -> None:
        self._environment |= {"PGDATABASE": name, "MYSQL_DATABASE": name}

    def _options(self, endpoint: str) -> dict[str, Any]:
        return {
            **grounds.s3_options(self._s3, self._folder, endpoint),
            "chunk_size": 5 * 1024 * 1024,
            "timeout": TIMEOUT,
            "retries": RETRIES,
        }

    def _keep_folders(self) -> None:
        # SeaweedFS clears away a folder some time after its last file was deleted, and whatever
        # was stored there meanwhile
        client = self._s3.boto3_client()
        for folder in _FOLDERS:
            key = f"{self._folder}/{folder}{_KEPT}"
            client.put_object(Bucket=self._s3.bucket, Key=key, Body=b"")
        client.close()

    def worker(self) -> SiteWorker:
        """Return a new process, on its way."""
        environment = dict(self._environment)
        if self.line is not None:
            environment |= zip(self._address, (HOST, str(self.line.port)), strict=True)
        return SiteWorker(environment)

    def begin(self, worker: Worker, label: str, *, threads: int, transactions: int) -> None:
        """Have a worker do transactions."""
        worker.call(use_storage, self._options(self.weather.url))
        worker.send(work, f"{self.seed}-{label}", threads, transactions)

    def audit(self) -> Audit:
        """Compare rows and objects, once nothing is under way any more, without our code."""
        self._keeper.call(wait_until_alone)
        deadline = time.monotonic() + 30
        while self.weather.busy:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        objects = {
            name: data
            for name, data in grounds.s3_files(self._s3, self._folder).items()
            if not name.endswith(_KEPT)
        }
        found = Audit()
        held: set[str] = set()
        for where, file in self._keeper.call(rows):
            name = file["filename"]
            found.held += 1
            held.add(name)
            if name not in objects:
                found.missing.append(f"{where}: {name}")
            elif not is_whole(file, objects[name]):
                found.wrong.append(f"{where}: {name}")
        found.orphans = sorted(objects.keys() - held)
        return found

    def sweep(self) -> tuple[int, int]:
        """Have the command delete what no row holds; return how many, and missing rows."""
        counts = self._keeper.call(sweep, "default")["default"]
        # no row holds what keeps the folders either
        return counts["deleted"] - len(_FOLDERS), counts["missing_rows"]

    def accounts(self, orphans: Iterable[str], reports: Sequence[Report]) -> dict[str, list[str]]:
        """Return `orphans` by who knows of them: an answer was lost, a log names them, nobody."""
        told = "\n".join(line for report in reports for line in report.logged)
        untold = {key.removeprefix(f"{self._folder}/") for key in self.weather.untold}
        found: dict[str, list[str]] = {"untold": [], "logged": [], "nobody": []}
        for name in orphans:
            found["untold" if name in untold else "logged" if name in told else "nobody"] += [name]
        return found


_KEPT = ".kept"
_FOLDERS = ("", "papers/", "covers/", f"shelves/{datetime.datetime.now().year}/")
#: what says where a database is, and where it is else
_ADDRESSES = {
    "postgresql": {"PGHOST": HOST, "PGPORT": "5432"},
    "mariadb": {"MYSQL_HOST": HOST, "MYSQL_PORT": "3306"},
}


def is_whole(file: dict[str, Any], data: bytes) -> bool:
    """Return whether an object is what its row says, and what was given."""
    return (
        data == content_of(file["metadata"]["original_name"])
        and file["checksum"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        and file["size"] == len(data)
    )
