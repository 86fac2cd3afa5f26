"""The site's processes, its database and its places, and the audit of what they hold."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import servers
from tests.helpers.workers import ROOT
from tests.servers.base import Server, find_executable
from tests.servers.ports import HOST
from tests.soak import grounds
from tests.soak.faults.site_workers import (
    SiteWorker,
    create_database,
    drop_database,
    rows,
    sweep,
    wait_until_alone,
)
from tests.soak.faults.sites import Audit, is_whole
from tests.soak.machines import connected, connected_to_redis, descendants, redis_url

if TYPE_CHECKING:
    from typing import Self

SETTINGS = "tests.soak.production.settings"
SITE = "tests.soak.production.site"
#: seconds for anything to start
PATIENCE = 180
_PARTIAL = ".fsspec-part"
#: keeps the folders that SeaweedFS would clear away some time after their last file was deleted
_KEPT = ".kept"


class Process(Server):
    """A part of the site: a process, and the workers that it forks or starts."""

    label: str

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(wait=PATIENCE)
        self._given = environment

    def _environment(self) -> dict[str, str]:
        return dict(self._given)

    def workers(self) -> list[int]:
        """Return the ids of the processes that do the work."""
        return descendants(self.pid) if self.pid else []

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that watches the workers."""
        if self.pid:
            os.kill(self.pid, number)


class Gunicorn(Process):
    """Prefork with preload; workers are recycled."""

    label = "gunicorn"

    def _command(self) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "gunicorn", f"{SITE}:application", "--preload"),
            *("--bind", f"{HOST}:{self.port}", "--workers", "2", "--threads", "4"),
            *("--max-requests", "80", "--max-requests-jitter", "40"),
            *("--graceful-timeout", "10", "--log-level", "warning"),
        ]


class Uvicorn(Process):
    """Two workers, recycled, that give requests ten seconds to end."""

    label = "uvicorn"

    def _command(self) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "uvicorn", f"{SITE}:asgi", "--workers", "2"),
            *("--host", HOST, "--port", str(self.port), "--lifespan", "off"),
            *("--limit-max-requests", "200", "--timeout-graceful-shutdown", "10"),
            *("--timeout-worker-healthcheck", "30"),
            *("--no-access-log", "--log-level", "warning"),
        ]

    def workers(self) -> list[int]:
        """See Process.workers()."""
        # multiprocessing's tracker of resources is a child, too
        return [pid for pid in super().workers() if b"spawn_main" in _command_of(pid)]


class Celery(Process):
    """The prefork pool; children are recycled."""

    label = "celery"

    def _command(self) -> Sequence[str]:
        # not by "-m": on HUP it starts itself anew as it was started
        program = find_executable("celery", "pip install celery")
        return [
            *(program, "--app", f"{SITE}:celery", "worker"),
            *("--concurrency", "2", "--loglevel", "WARNING", "--without-gossip"),
            *("--without-mingle", "--hostname", f"{os.urandom(4).hex()}@soak"),
        ]

    def _answers(self) -> bool:
        return len(self.workers()) >= 2


def _command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """A part file or a multipart upload, and when it was begun or written last."""

    name: str
    #: seconds since the epoch
    time: float

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass
class Leftovers:
    """What an audit found, of all storages."""

    audit: Audit
    #: orphans that no process has logged
    unlogged: list[str]
    multipart_uploads: list[Unfinished]
    part_files: list[Unfinished]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        return {
            "rows": self.audit.held,
            "missing rows": len(self.audit.missing),
            "wrong bytes": len(self.audit.wrong),
            "orphans": len(self.audit.orphans),
            "- of them not logged": len(self.unlogged),
            "multipart uploads": len(self.multipart_uploads),
            "part files": len(self.part_files),
        }

    @property
    def nothing(self) -> bool:
        """Whether nothing is left but what rows hold."""
        return not (self.audit.orphans or self.multipart_uploads or self.part_files)


class Site:
    """All of it: `with Site() as site`."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.folder = grounds.folder("production")
        self.name = self.folder.replace("-", "_")
        self.answers = f"{self.name}-answers"

    def __enter__(self) -> Self:
        connected().close()
        connected_to_redis().close()
        with self._stack as stack:
            stack.callback(self._forget_queue)
            # servers of its own: it restarts them, and gives them other credentials
            self.s3 = stack.enter_context(servers.SeaweedS3())
            self.ssh = stack.enter_context(servers.OpenSSH())
            self.write_credentials()
            self.environment = self._environment()
            self._keeper = stack.enter_context(SiteWorker(self.environment))
            self._keeper.send(create_database)
            self._use_database(self._keeper.result(PATIENCE))
            stack.callback(self._keeper.call, drop_database, self.name)
            self._keep_folders()
            kinds = (Gunicorn, Uvicorn, Celery)
            self.processes = [stack.enter_context(kind(self.environment)) for kind in kinds]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _forget_queue(self) -> None:
        with connected_to_redis() as client:
            for key in client.scan_iter(f"*{self.name}*"):
                client.delete(key)

    @property
    def gunicorn(self) -> Process:
        return self.processes[0]

    @property
    def uvicorn(self) -> Process:
        return self.processes[1]

    @property
    def celery(self) -> Process:
        return self.processes[2]

    def _use_database(self, name: str) -> None:
        self.environment |= {"PGDATABASE": name}

    def _environment(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "DJANGO_FSSPEC_DATABASE": "postgresql",
            "DJANGO_FSSPEC_STORAGES": json.dumps(self._storages()),
            "DJANGO_FSSPEC_QUEUE": self.name,
            "PGDATABASE": self.name,
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": redis_url(),
            "AWS_SHARED_CREDENTIALS_FILE": str(self._credentials),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _storages(self) -> dict[str, Any]:
        limits = {"timeout": 5, "retries": 2, "chunk_size": 5 * 1024 * 1024}
        far = grounds.s3_options(self.s3, self.folder)
        # of the file that is written anew when they change
        far["fs_options"] = {k: v for k, v in far["fs_options"].items() if k not in _SECRETS}
        ssh = {"fs": "ssh", "prefix": str(self._ssh_root), "fs_options": self.ssh.fs_options}
        local = {"fs": "file", "prefix": str(self._local_root)}
        return {"default": {**local, **limits}, "far": {**far, **limits}, "ssh": {**ssh, **limits}}

    @property
    def _local_root(self) -> Path:
        return grounds.scratch() / self.folder

    @property
    def _ssh_root(self) -> Path:
        return self.ssh.root / self.folder

    @property
    def _credentials(self) -> Path:
        return grounds.scratch() / f"{self.folder}-credentials"

    def write_credentials(self) -> None:
        """Write the credentials of S3 where the site looks for them."""
        new = self._credentials.with_suffix(".new")
        new.write_text(
            f"[default]\naws_access_key_id = {self.s3.key}\n"
            f"aws_secret_access_key = {self.s3.secret}\n"
        )
        new.replace(self._credentials)

    def _keep_folders(self) -> None:
        client = self.s3.boto3_client()
        for folder in ("", "papers/", "covers/", "shelves/2026/"):
            key = f"{self.folder}/{folder}{_KEPT}"
            client.put_object(Bucket=self.s3.bucket, Key=key, Body=b"")
        client.close()
        for _, root in self._roots:
            (root / "papers").mkdir(parents=True)

    # audit

    def objects(self) -> dict[tuple[str, str], bytes]:
        """Return all files by alias and name, read without our code; part files included."""
        far = grounds.s3_files(self.s3, self.folder)
        found = {("far", name): data for name, data in far.items()}
        for alias, root in self._roots:
            found |= {
                (alias, str(path.relative_to(root))): path.read_bytes()
                for path in root.rglob("*")
                if path.is_file()
            }
        return {key: data for key, data in found.items() if not key[1].endswith(_KEPT)}

    @property
    def _roots(self) -> list[tuple[str, Path]]:
        return [("default", self._local_root), ("ssh", self._ssh_root)]

    def _part_files(self) -> list[Unfinished]:
        return [
            Unfinished(f"{alias}: {path.relative_to(root)}", path.stat().st_mtime)
            for alias, root in self._roots
            for path in root.rglob(f"*{_PARTIAL}")
        ]

    def audit(self) -> Leftovers:
        """Compare rows and files, once nothing is under way any more."""
        deadline = time.monotonic() + 20
        while True:
            self._keeper.call(wait_until_alone)
            found = self._audit()
            # a rollback lets a thread delete its uploads
            if found.nothing or time.monotonic() > deadline:
                return found
            time.sleep(1)

    def _audit(self) -> Leftovers:
        objects, found = self.objects(), Audit()
        held: set[tuple[str, str]] = set()
        for where, file in self._keeper.call(rows):
            key = file["backend"], file["filename"]
            found.held += 1
            held.add(key)
            if key not in objects:
                found.missing.append(f"{where}: {key}")
            elif not is_whole(file, objects[key]):
                found.wrong.append(f"{where}: {key}")
        left = sorted(key for key in objects.keys() - held if not key[1].endswith(_PARTIAL))
        found.orphans = [f"{alias}: {name}" for alias, name in left]
        logged = self.logged()
        # some messages have the path, of which the name is the end
        unlogged = [f"{alias}: {name}" for alias, name in left if f"{name}'" not in logged]
        return Leftovers(found, unlogged, self._uploads(), self._part_files())

    def _uploads(self) -> list[Unfinished]:
        client = self.s3.boto3_client()
        try:
            answer = client.list_multipart_uploads(Bucket=self.s3.bucket)
            return [
                Unfinished(f"far: upload of {upload['Key']}", upload["Initiated"].timestamp())
                for upload in answer.get("Uploads", ())
            ]
        finally:
            client.close()

    def sweep(self) -> dict[str, Any]:
        """Have the site's own command delete what no row holds; return its counts by alias."""
        counts: dict[str, Any] = self._keeper.call(sweep, "default", "far", "ssh")
        return counts

    def logged(self) -> str:
        """Return what all processes wrote."""
        return "\n".join(process.log.read_text(errors="replace") for process in self.processes)


_SECRETS = ("key", "secret")
