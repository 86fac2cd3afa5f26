"""``migrate_files`` in a process of its own: interrupted, killed, and beside others who write."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django_fsspec.core.names import PARTIAL_SUFFIX, folded, has_random_part
from tests import servers
from tests.helpers.backends import server
from tests.helpers.workers import Worker, results
from tests.soak import grounds, machine_jobs
from tests.soak.machines import PATIENCE, Site

ROOT = Path(__file__).resolve().parents[2]


class Moving(subprocess.Popen[str]):
    """The command, moving all papers of a site from its disk to S3."""

    def __init__(self, site: Site, *options: str, far: str | None = None) -> None:
        super().__init__(
            [
                *(sys.executable, str(ROOT / "manage.py"), "migrate_files", "library.Paper"),
                *("--from", "default", "--to", "far", "--no-progress", *options),
            ],
            env=site.environment(far),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self, timeout: float = PATIENCE) -> tuple[int, str]:
        """Return the exit status and what was said."""
        said, _ = self.communicate(timeout=timeout)
        return self.returncode, said


def puts(proxy: servers.CountingProxy) -> list[str]:
    """Return the files that were sent through a proxy, without the trial file of a run."""
    sent = (one.path.rpartition("/")[2] for one in proxy.requests() if one.method == "PUT")
    return [name for name in sent if not name.startswith("django-fsspec-")]


def wait_for_puts(proxy: servers.CountingProxy, count: int, moving: Moving) -> None:
    """Return when so many files were sent; fail when the command ends before."""
    deadline = time.monotonic() + PATIENCE
    while len(puts(proxy)) < count:
        assert moving.poll() is None, moving.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_and_repeat(
    site: Site, proxy: servers.CountingProxy, after: int, pause: float, *options: str
) -> tuple[int, int]:
    """Kill the command when so many files were sent; run it again.

    Checks that the second run sends what rows had left on the disk, and nothing else; then that
    all is well. Returns how many that were, and how many of them had been sent before.
    """
    proxy.reset()
    moving = Moving(site, *options, far=proxy.url)
    wait_for_puts(proxy, after, moving)
    time.sleep(pause)
    moving.send_signal(signal.SIGKILL)
    moving.ended()
    left = {name.rpartition("/")[2] for name in site.left().values()}
    sent = Counter(puts(proxy))
    assert all(count == 1 for count in sent.values())
    proxy.reset()
    status, said = Moving(site, *options, far=proxy.url).ended()
    assert status == 0, said
    assert Counter(puts(proxy)) == Counter(left)
    site.check()
    return len(left), len(left & sent.keys())


def churned(site: Site, processes: int, *options: str) -> str:
    """Migrate while processes replace and delete rows; check all, and return figures."""
    environment = {**site.environment(), "PYTHONWARNINGS": "error"}
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(site.settings, environment)) for _ in range(processes)
        ]
        for worker in workers:
            worker.ready()
        for number, worker in enumerate(workers):
            worker.send(machine_jobs.churn, f"churn {number}", 0.2)
        status, said = Moving(site, *options).ended()
        site.call(machine_jobs.stop)
        did = results(workers)
    assert status == 0, said
    rows = site.ask(f"SELECT title, file FROM library_paper WHERE title <> '{machine_jobs.STOP}'")
    held: dict[str, dict[str, str]] = {"default": {}, "far": {}}
    for title, file in rows:
        data = machine_jobs.content_of(int(title))
        assert file["checksum"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        held[file["backend"]][file["filename"]] = title
    on_target = grounds.s3_files(server(servers.SeaweedS3), site.name)
    on_source = grounds.LOCAL.files(site.name)
    for alias, stored in (("far", on_target), ("default", on_source)):
        for name, title in held[alias].items():
            assert stored[name] == machine_jobs.content_of(int(title))
    assert on_target.keys() == held["far"].keys()
    if "--delete-source" in options:
        assert on_source.keys() == held["default"].keys()
    replaced, deleted = map(sum, zip(*did, strict=True))
    changed = said.split("row changed meanwhile")[1].split()[0]
    return (
        f"{replaced} replaced and {deleted} deleted meanwhile | {len(held['far'])} rows on S3, "
        f"{len(held['default'])} on the disk | changed under the copy: {changed}"
    )


class FoldingSite(Site):
    """A site whose target takes names that differ in case or Unicode form alone for one."""

    def storages(self, far: str | None = None) -> dict[str, Any]:
        """See Site.storages()."""
        fs_options = server(servers.FoldingWebDAV).fs_options
        return {
            "default": grounds.local_options(self.name),
            "far": {"fs": "webdav", "prefix": self.name, "fs_options": fs_options},
        }

    def fill(self, count: int) -> int:
        """Give rows four files each whose names are two on the target; return how many rows."""
        rows = []
        for number in range(count):
            data = machine_jobs.content_of(number)
            for name in ("Photo.jpg", "photo.jpg", "caf\u00e9.txt", "cafe\u0301.txt"):
                path = grounds.scratch() / self.name / str(number) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                checksum = f"sha256:{hashlib.sha256(data).hexdigest()}"
                file = {"filename": f"{number}/{name}", "size": len(data), "checksum": checksum}
                rows.append((str(number), json.dumps({**file, "backend": "default"})))
        self.insert(rows)
        return len(rows)

    def names(self) -> list[str]:
        """Return the names of files on the target, without unfinished ones."""
        root = server(servers.FoldingWebDAV).root / self.name
        paths = [str(path.relative_to(root)) for path in root.rglob("*.*")]
        return [path for path in paths if not path.endswith(PARTIAL_SUFFIX)]

    def check(self) -> None:
        """Have every row a file of its own on the target.

        A run killed before it deleted source files of updated rows leaves them to a sweep.
        """
        rows = self.ask("SELECT title, file FROM library_paper")
        root = server(servers.FoldingWebDAV).root / self.name
        names = {file["filename"] for _, file in rows}
        assert len(set(map(folded, names))) == len(rows)
        for title, file in rows:
            assert file["backend"] == "far"
            assert (root / file["filename"]).read_bytes() == machine_jobs.content_of(int(title))
        # copies of killed runs under other names, whose rows were not updated
        assert all(map(has_random_part, set(self.names()) - names))


def fold_and_kill(site: FoldingSite, count: int, kills: int, *options: str) -> str:
    """Move `count` rows with their twins, with kills on the way; check all, and return figures."""
    total = site.fill(count)
    for kill in range(kills):
        moving = Moving(site, "--delete-source", *options)
        deadline = time.monotonic() + PATIENCE
        while len(site.names()) < (kill + 1) * total // (kills + 1):
            assert moving.poll() is None, moving.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        moving.send_signal(signal.SIGKILL)
        moving.ended()
    # seen: rclone's listing of a folder that changes meanwhile is no XML, and that file fails
    for _ in range(3):
        status, said = Moving(site, "--delete-source", *options).ended()
        if status == 0:
            break
    assert status == 0, said
    site.check()
    return f"{total} rows of {2 * count} names | {kills} kills | {len(site.names())} files"
