"""The cache of a process that names no folder: it goes with the process, however that ends."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from django.conf import settings

from django_fsspec.storage import FSSpecStorage
from tests.helpers.caches import DATA, KINDS, cached, each_kind, files_of
from tests.helpers.workers import Worker


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder of temporary files of one test."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return temporary


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "f.bin").write_bytes(DATA)
    return str(tmp_path)


def read(kind: str, root: str) -> FSSpecStorage:
    """Return a storage that has read a file into a temporary cache."""
    storage = cached(kind, None, fs="file", prefix=root)
    assert storage.get_content("f.bin") == DATA
    return storage


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


def do(job: Callable[..., None], temporary: Path, *args: str) -> None:
    """Do a job in the worker, with its temporary files in `temporary`."""
    tempfile.tempdir = str(temporary)
    job(temporary, *args)
    gc.collect()


def ended(act: Callable[[], object]) -> int:
    """Call a function in a forked child; return how that ended."""
    child = os.fork()
    if not child:
        try:
            act()
        except SystemExit:
            # what Python does at its end
            atexit._run_exitfuncs()
            os._exit(3)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def leave(kind: str, root: str, how: str) -> None:
    read(kind, root)
    if how == "exit":
        sys.exit()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0)


ENDS = {"exit": 3, "kill": -signal.SIGKILL, "_exit": 0}


def child_ends(temporary: Path, kind: str, root: str, how: str) -> None:
    storage = read(kind, root)
    (ours,) = temporary.iterdir()
    held = files_of(ours)
    assert ended(lambda: leave(kind, root, how)) == ENDS[how]
    assert files_of(ours) == held
    if how == "exit":
        assert [*temporary.iterdir()] == [ours]
    # who makes the next one removes what was left
    other = read(next(other for other in KINDS if other != kind), root)
    assert len([*temporary.iterdir()]) == 2
    assert storage.get_content("f.bin") == other.get_content("f.bin") == DATA


@pytest.mark.parametrize("how", ENDS)
@each_kind
def test_a_child_that_ends(
    worker: Worker, kind: str, how: str, temporary: Path, root: str
) -> None:
    worker.call(do, child_ends, temporary, kind, root, how)


def storage_is_freed(temporary: Path, kind: str, root: str) -> None:
    storage = read(kind, root)
    assert files_of(temporary)
    del storage
    gc.collect()
    assert not [*temporary.iterdir()]


@each_kind
def test_a_storage_that_is_freed(worker: Worker, kind: str, temporary: Path, root: str) -> None:
    worker.call(do, storage_is_freed, temporary, kind, root)


def in_process(kind: str, root: str, temporary: Path) -> None:
    if not settings.configured:
        settings.configure()
    read(kind, root)
    assert files_of(temporary)


def run_process(temporary: Path, kind: str, root: str, method: str) -> None:
    """Read in this process and in a child of multiprocessing."""
    storage = read(kind, root)
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=in_process, args=(kind, root, temporary))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert len([*temporary.glob("django-fsspec-cache-*")]) == 1
    assert storage.get_content("f.bin") == DATA


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
@each_kind
def test_a_process_of_multiprocessing(
    worker: Worker, kind: str, method: str, temporary: Path, root: str
) -> None:
    worker.call(do, run_process, temporary, kind, root, method)


def others_live(temporary: Path, root: str) -> None:
    storages = [read(kind, root) for kind in KINDS]
    held = files_of(temporary)
    (temporary / "django-fsspec-cache-link").symlink_to(root)
    (temporary / "django-fsspec-cache-file").write_bytes(b"")
    assert ended(lambda: leave("filecache", root, "exit")) == 3
    assert files_of(temporary) == sorted([*held, temporary / "django-fsspec-cache-file"])
    assert (Path(root) / "f.bin").read_bytes() == DATA
    del storages


def test_others_that_live_are_left_alone(worker: Worker, temporary: Path, root: str) -> None:
    worker.call(do, others_live, temporary, root)


def given_ready(temporary: Path, root: str) -> None:
    given = fsspec.filesystem("filecache", target_protocol="file", skip_instance_cache=True)
    storage = FSSpecStorage(fs=given, prefix=root)
    assert storage.get_content("f.bin") == DATA

    def end() -> None:
        assert storage.get_content("f.bin") == DATA
        sys.exit()

    held = files_of(temporary)
    assert held
    assert ended(end) == 3
    assert files_of(temporary) == held
    assert storage.get_content("f.bin") == DATA


def test_a_filesystem_given_ready(worker: Worker, temporary: Path, root: str) -> None:
    worker.call(do, given_ready, temporary, root)


def test_a_folder_of_temporary_files_that_is_missing(temporary: Path, root: str) -> None:
    before, tempfile.tempdir = tempfile.tempdir, str(temporary / "missing")
    try:
        storage = read("filecache", root)
        assert storage.get_content("f.bin") == DATA
    finally:
        tempfile.tempdir = before
