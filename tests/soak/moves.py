"""``migrate_files`` in a process of its own: interrupted, killed, and beside others who write."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

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
    """Return the files that were sent through a proxy."""
    return [one.path.rpartition("/")[2] for one in proxy.requests() if one.method == "PUT"]


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
