"""One storage under threads, forks, web servers and event loops; other processes' writes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage
from tests.helpers.utils import some, wait_for
from tests.helpers.workers import ROOT, Worker
from tests.servers.ports import accepts, free_ports
from tests.soak import forks, grounds, jobs
from tests.soak.grounds import Ground

pytestmark = pytest.mark.slow


FORKED = [grounds.LOCAL, grounds.SEAWEED, grounds.AZURE, grounds.GCS, grounds.SFTP]
BLOCKING = [grounds.PARAMIKO, grounds.FTP, grounds.WEBDAV]

# a loop and a session of HTTP, and a loop and a connection of SSH
on_some = pytest.mark.parametrize("ground", some(FORKED, grounds.SEAWEED, grounds.SFTP), ids=str)
on_s3 = pytest.mark.parametrize("ground", some(FORKED, grounds.SEAWEED), ids=str)


# threads


def use_by_threads(ground: Ground, threads: int, turns: int) -> float:
    """Use one storage by many threads at once; return the seconds it took."""
    storage = FSSpecStorage(**ground.options(grounds.folder("threads")))
    start = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda n: forks.use(storage, f"t{n}", turns), range(threads)))
    return time.monotonic() - start


@pytest.mark.parametrize("ground", [*FORKED, *BLOCKING], ids=str)
def test_one_storage_serves_32_threads(ground: Ground) -> None:
    use_by_threads(ground, 32, 1)


@pytest.mark.soak
@pytest.mark.parametrize("ground", [*FORKED, *BLOCKING], ids=str)
def test_one_storage_serves_32_threads_for_long(ground: Ground) -> None:
    took = use_by_threads(ground, 32, 20)
    print(f"\nthreads | {ground} | 32 threads x 20 turns of 7 operations | {took:.1f} s")


# forks and loops


@pytest.mark.parametrize(
    "ground",
    some([*FORKED, *BLOCKING], grounds.SEAWEED, grounds.SFTP, grounds.PARAMIKO),
    ids=str,
)
def test_forked_children_and_their_parent_go_on(ground: Ground) -> None:
    with Worker() as worker:
        worker.call(forks.prefork, ground.options(grounds.folder("fork")))


@on_some
def test_a_fork_while_other_threads_are_busy(ground: Ground) -> None:
    with Worker() as worker:
        worker.call(forks.fork_while_busy, ground.options(grounds.folder("fork")))


def test_a_fork_while_another_thread_signs() -> None:
    with Worker() as worker:
        assert worker.call(forks.fork_at_first_signatures, 100) == 0


@on_some
def test_one_event_loop_after_the_other(ground: Ground) -> None:
    with Worker() as worker:
        worker.call(forks.two_loops, ground.options(grounds.folder("loops")))


# web servers


@contextlib.contextmanager
def serving(command: list[str], ground: Ground) -> Iterator[int]:
    """Run a web server over tests.soak.apps; end it as a deployment does."""
    (port,) = free_ports(1)
    options = ground.options(grounds.folder("apps"))
    process = subprocess.Popen(
        [sys.executable, "-m", *(part.format(port=port) for part in command)],
        cwd=ROOT,
        env={**os.environ, "SOAK_OPTIONS": json.dumps(options), "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while not accepts(port):
            assert process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
        process.send_signal(signal.SIGTERM)
        # gunicorn kills workers that do not end within 30 s
        _, errors = process.communicate(timeout=25)
        assert process.returncode in (0, -signal.SIGTERM), errors
        assert "Traceback" not in errors, errors
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
        return json.load(response)


def ask_many(port: int, requests: int) -> list[Any]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda number: get(port, f"/r{number}"), range(requests)))


GUNICORN = [
    *("gunicorn", "--preload", "--workers", "4", "--threads", "2", "--log-level", "warning"),
    *("--bind", "127.0.0.1:{port}", "tests.soak.apps:wsgi"),
]
UVICORN = ["uvicorn", "--port", "{port}", "--log-level", "warning", "tests.soak.apps:asgi"]


@on_s3
def test_gunicorn_workers_use_what_the_master_used_before(ground: Ground) -> None:
    with serving(GUNICORN, ground) as port:
        answers = ask_many(port, 64)
        workers = Counter(answer["pid"] for answer in answers)
        for _ in range(20):
            if len(workers) == 4:
                break
            workers.update(answer["pid"] for answer in ask_many(port, 32))
    assert len({answer["name"] for answer in answers}) == len(answers)
    assert {answer["imported_by"] for answer in answers}.isdisjoint(workers)
    assert len(workers) == 4, workers


@on_s3
def test_uvicorn_serves_many_saves_and_reads_at_once(ground: Ground) -> None:
    with serving(UVICORN, ground) as port:
        names = [answer["name"] for answers in ask_many(port, 16) for answer in answers]
    assert len(set(names)) == len(names) == 160


# other processes


@on_some
def test_what_another_process_writes_is_seen_at_once(ground: Ground) -> None:
    options = {**ground.options(grounds.folder("seen")), "allow_overwrite": True}
    storage = FSSpecStorage(**options)
    storage.save("mine.txt", ContentFile(b"mine"))
    with Worker() as other:
        for turn in range(3):
            assert not storage.exists("theirs.bin")
            assert storage.listdir("") == ([], ["mine.txt"])
            for size in (10_000, 20_000):
                other.call(jobs.save, options, "theirs.bin", f"{turn}", size, 0.0)
                assert storage.exists("theirs.bin")
                assert storage.size("theirs.bin") == size
                assert storage.listdir("") == ([], ["mine.txt", "theirs.bin"])
                assert [stat.size for stat in storage.walk()] == [4, size]
                assert storage.get_content("theirs.bin") == jobs.unique_bytes(f"{turn}", size)
            other.call(jobs.delete, options, "theirs.bin")


# freed


@on_some
def test_a_filesystem_freed_beside_another_loop_is_closed_on_its_own(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    # garbage of other tests is not what is looked at here
    gc.collect()

    async def use_and_forget() -> None:
        # a timeout that nobody else has: the filesystem is this storage's alone
        storage = FSSpecStorage(**{**ground.options(grounds.folder("freed")), "timeout": 17})
        await storage.asave("a.txt", ContentFile(b"x"))
        freed = weakref.ref(storage.flows.mount.pool)
        del storage

        def is_freed() -> bool:
            gc.collect()
            return freed() is None

        # a thread that stored lets go of what it was given just after it told that it is done
        wait_for(is_freed)
        await asyncio.sleep(0.1)
        gc.collect()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(use_and_forget())
    assert caplog.records == []
