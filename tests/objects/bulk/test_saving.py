"""save_files: many at once, in order."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import fsspec.asyn
import pytest
from django.core.files.base import File
from django.core.files.storage import InvalidStorageError

import django_fsspec
from django_fsspec import FileObject, asave_files, save_files
from tests import servers
from tests.objects.bulk.saving import ALL, KINDS, LATENCY, both, stored, waiting


@both
@pytest.mark.parametrize("alias", ALL)
def test_files_are_stored_and_come_back_in_their_order(alias: str, save: Any) -> None:
    made: list[FileObject] = []

    def given() -> Iterator[FileObject]:
        for file in waiting(alias, 25):
            made.append(file)
            yield file

    saved = save(given(), concurrency=4)
    assert [id(file) for file in saved] == [id(file) for file in made]
    for number, file in enumerate(saved):
        assert not file.has_pending_data
        assert file.get_content() == f"{alias} {number}".encode()
        assert file.size == len(f"{alias} {number}")
        assert file.checksum is not None
        assert file.verify()
    assert len(stored(alias)) == 25


@both
def test_files_of_many_storages(save: Any) -> None:
    files = [file for four in zip(*(waiting(a, 6) for a in KINDS), strict=True) for file in four]
    assert save(files) == files
    for number, file in enumerate(files):
        alias = KINDS[number % len(KINDS)]
        assert (file.backend, file.has_pending_data) == (alias, False)
        assert file.get_content() == f"{alias} {number // len(KINDS)}".encode()


@both
@pytest.mark.parametrize("alias", ALL)
def test_files_of_one_name_become_many(alias: str, save: Any) -> None:
    files = save(waiting(alias, 20, "same.txt"), concurrency=10)
    assert len({file.name for file in files}) == 20
    if alias in KINDS:  # others have no name to themselves
        assert files[0].name == "same.txt"
    for number, file in enumerate(files):
        assert file.get_content() == f"{alias} {number}".encode()
        assert file.original_name == "same.txt"


@both
def test_what_does_not_wait_is_left_alone(save: Any) -> None:
    threads = threading.active_count()
    assert save([]) == []
    kept = FileObject("nowhere", "a.txt")
    assert save(iter([kept]))[0] is kept
    assert threading.active_count() <= threads  # those of other tests may end meanwhile
    twice = FileObject("memory", "a.txt", content=b"once")
    assert save([twice, kept, twice]) == [twice, kept, twice]
    assert stored("memory") == ["a.txt"]


@pytest.mark.slow
@both
def test_any_content(save: Any, tmp_path: Path) -> None:
    path = tmp_path / "source.bin"
    path.write_bytes(b"path")
    with path.open("rb") as opened:
        files = save(
            FileObject(alias, kind, content=content)
            for alias in ("local", "s3", "ram")
            for kind, content in {
                "path": path,
                "file": opened,
                "pieces": iter([b"pa", b"th"]),
                "buffer": io.BytesIO(b"path"),
                "large": b"path" * 5_000_000,
            }.items()
            if kind != "file" or alias == "s3"
        )
    for file in files:
        assert file.get_content() == (b"path" * 5_000_000 if file.name == "large" else b"path")


@both
def test_one_content_of_many_files(save: Any, tmp_path: Path) -> None:
    path = tmp_path / "source.bin"
    path.write_bytes(bytes(range(256)) * 2000)
    with path.open("rb") as opened, open(path, "rb") as other:
        upload = File(other, "up.bin")
        files = [
            FileObject(alias, f"{number}", content=content)
            for alias in KINDS
            for number, content in enumerate((opened, upload, File(other), path) * 2)
        ]
        save(files, concurrency=10)
    for file in files:
        assert file.get_content() == path.read_bytes()


@pytest.mark.parametrize("alias", KINDS)
def test_async_iterables(alias: str) -> None:
    async def items(number: int) -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield b"%d" % number

    async def run() -> list[FileObject]:
        files = [FileObject(alias, f"{n}.txt", content=items(n)) for n in range(12)]
        return await asave_files(files, concurrency=5)

    saved = asyncio.run(run())
    for number, file in enumerate(saved):
        assert file.get_content() == b"%d" % number * 3
    files = [*waiting(alias, 5), FileObject(alias, "x", content=items(1))]
    with pytest.raises(TypeError, match=r"await asave\(\)"):
        save_files(files, concurrency=1)
    assert len(stored(alias)) == 12


def test_a_row_has_no_say() -> None:
    class Row:
        def save(self, *args: Any) -> None:
            raise AssertionError

        asave = delete = adelete = save

    file = FileObject("memory", "a.txt", content=b"x")
    file._row = Row()  # type: ignore[assignment]
    save_files([file])
    assert file.get_content() == b"x"
    assert isinstance(file._row, Row)


def test_where_a_loop_runs() -> None:
    async def here() -> None:
        save_files(waiting("memory", 3))
        save_files(waiting("s3", 3))

    asyncio.run(here())
    assert (len(stored("memory")), len(stored("s3"))) == (3, 3)

    async def there() -> None:
        with pytest.raises(RuntimeError, match=r"await asave_files\(\)"):
            save_files(waiting("s3", 3))
        await asave_files(waiting("s3", 3))
        await asave_files(waiting("local", 3))

    asyncio.run_coroutine_threadsafe(there(), fsspec.asyn.get_loop()).result()
    assert (len(stored("local")), len(stored("s3"))) == (3, 6)


@both
def test_bad_arguments(save: Any) -> None:
    with pytest.raises(ValueError, match="concurrency must be 1 or more"):
        save(waiting("memory", 2), concurrency=0)
    with pytest.raises(TypeError, match="not str"):
        save([*waiting("memory", 2), "a.txt"])
    with pytest.raises(InvalidStorageError, match="nowhere") as told:
        save([*waiting("memory", 2), FileObject("nowhere", "a.txt", content=b"x")])
    assert "'a.txt' on 'nowhere'" in told.value.__notes__[0]
    assert stored("memory") == []


def test_lazily_exported() -> None:
    assert {"asave_files", "save_files"} <= set(django_fsspec.__all__)
    assert django_fsspec.__all__ == sorted(django_fsspec.__all__)
    with pytest.raises(AttributeError, match="save_many"):
        _ = django_fsspec.save_many


class Meter:
    """Contents that are read only when `width` of them are, and count how many ever were."""

    def __init__(self, width: int) -> None:
        self._barrier = threading.Barrier(width)
        self._lock = threading.Lock()
        self._now = self.most = 0

    def content(self) -> Iterator[bytes]:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._barrier.wait(10)
        yield b"x"
        with self._lock:
            self._now -= 1


@both
@pytest.mark.parametrize("alias", ["local", "memory", "s3", "disk", "shelf", "cloud"])
def test_as_many_at_once_as_told(alias: str, save: Any) -> None:
    meter = Meter(12)  # more than asyncio has threads on a machine with two processors
    save([FileObject(alias, f"{n}", content=meter.content()) for n in range(36)], concurrency=12)
    assert meter.most == 12


@both
def test_storages_share_the_bound(save: Any) -> None:
    meter = Meter(6)
    aliases = ["local", "s3", "disk", "memory"] * 6
    files = [FileObject(a, f"{n}", content=meter.content()) for n, a in enumerate(aliases)]
    save(files, concurrency=6)
    assert meter.most == 6


@pytest.mark.slow
@both
def test_on_s3_without_threads(save: Any, proxy: servers.CountingProxy) -> None:
    FileObject("far", "warm-up", content=b"x").save()
    proxy.reset()
    # so that they meet, however slow the machine is
    proxy.shape(latency=0.5)
    before, most, done = threading.active_count(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, threading.active_count())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        save(waiting("far", 60), concurrency=20)
    finally:
        done.set()
        watching.join()
        proxy.shape(latency=LATENCY)
    assert len(proxy.requests()) == 60
    # a connection is opened only while all others are busy
    assert 10 <= proxy.connections().open <= 20
    assert most - before <= 3
