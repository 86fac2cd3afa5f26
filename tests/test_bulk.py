"""save_files: many at once, in order, all of them or none."""

from __future__ import annotations

import asyncio
import copy
import io
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec.asyn
import pytest
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, InvalidStorageError, storages
from django.test import override_settings

import django_fsspec
from django_fsspec import FileObject, asave_files, bulk, save_files
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers, thirdparty
from tests.backends import _local, _memory, _s3, _third_party, folder, server
from tests.soak import grounds
from tests.support import started

LATENCY = 0.05


class Stubborn(FileSystemStorage):
    """Does not delete."""

    def delete(self, name: str) -> None:
        raise PermissionError(f"{name}: no, whatever the secret")


class StickyFileSystem(thirdparty.ShelfFileSystem):
    """Does not delete what is called so."""

    protocol = "sticky"

    def rm_file(self, path: str) -> None:
        if "sticky" in path:
            raise PermissionError("no")
        super().rm_file(path)


@pytest.fixture(scope="module")
def proxy() -> Iterator[servers.CountingProxy]:
    s3 = server(servers.SeaweedS3)
    with started(servers.CountingProxy, s3.port, latency=LATENCY) as running:
        yield running


@pytest.fixture(autouse=True)
def aliases(tmp_path: Path, proxy: servers.CountingProxy) -> Iterator[None]:
    """One alias a kind; "far" is S3 behind the proxy."""
    root = folder()
    ours = {
        "local": _local(root),
        "memory": _memory(root),
        "s3": _s3(servers.SeaweedS3)(root),
        "far": grounds.s3_options(server(servers.SeaweedS3), f"{root}-far", proxy.url),
        "shelf": _third_party("shelf")(root),
        "cloud": _third_party("cloud")(root),
        "sticky": {"fs": StickyFileSystem, "prefix": root},
    }
    django = "django.core.files.storage"
    disk, stubborn = {"location": str(tmp_path / "disk")}, {"location": str(tmp_path / "stubborn")}
    theirs = {
        "disk": {"BACKEND": f"{django}.FileSystemStorage", "OPTIONS": disk},
        "ram": {"BACKEND": f"{django}.InMemoryStorage"},
        "stubborn": {"BACKEND": f"{__name__}.Stubborn", "OPTIONS": stubborn},
    }
    with override_storage(**ours), override_settings(STORAGES={**settings.STORAGES, **theirs}):
        yield


KINDS = ["local", "memory", "s3", "disk", "ram"]
ALL = [*KINDS, "shelf", "cloud"]


def _awaited(files: Any, **options: Any) -> Any:
    return asyncio.run(asave_files(files, **options))


BOTH: dict[str, Callable[..., list[FileObject]]] = {"sync": save_files, "async": _awaited}
both = pytest.mark.parametrize("save", BOTH.values(), ids=BOTH)


def waiting(alias: str, count: int, name: str = "{}/{}.txt") -> list[FileObject]:
    return [
        FileObject(alias, name.format(number % 3, number), content=f"{alias} {number}")
        for number in range(count)
    ]


def stored(alias: str) -> list[str]:
    """Return the names of all files of an alias."""
    storage = storages[alias]
    names: list[str] = []
    directories = [""]
    while directories:
        here = directories.pop()
        try:
            below, files = storage.listdir(here)
        except FileNotFoundError:
            continue
        directories += [f"{here}/{name}".lstrip("/") for name in below]
        names += [f"{here}/{name}".lstrip("/") for name in files]
    return sorted(names)


class Unchanged:
    """Holds files against what they were."""

    def __init__(self, files: list[FileObject]) -> None:
        self._files = files
        self._before = [self._all(file) for file in files]

    def _all(self, file: FileObject) -> Any:
        return {**vars(file), "metadata": copy.deepcopy(file.metadata)}

    def check(self) -> None:
        for file, before in zip(self._files, self._before, strict=True):
            assert self._all(file) == before


def broken(error: BaseException) -> Iterator[bytes]:
    yield b"some"
    raise error


# what is stored


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
    assert threading.active_count() == threads
    twice = FileObject("memory", "a.txt", content=b"once")
    assert save([twice, kept, twice]) == [twice, kept, twice]
    assert stored("memory") == ["a.txt"]


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


# side by side


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


@both
def test_on_s3_without_threads(save: Any, proxy: servers.CountingProxy) -> None:
    FileObject("far", "warm-up", content=b"x").save()
    proxy.reset()
    before, most, done = threading.active_count(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, threading.active_count())

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.monotonic()
    save(waiting("far", 60), concurrency=20)
    took = time.monotonic() - began
    done.set()
    watching.join()
    assert len(proxy.requests()) == 60
    # a connection is opened only while all others are busy
    assert 10 <= proxy.connections().open <= 20
    assert took < 60 * LATENCY / 2
    assert most - before <= 3


# all or nothing


@both
@pytest.mark.parametrize("alias", ALL)
def test_a_failure_halfway_leaves_nothing(alias: str, save: Any) -> None:
    files = waiting(alias, 30)
    files[17] = FileObject(alias, "17.txt", content=broken(KeyError("from the content")))
    unchanged = Unchanged(files)
    with pytest.raises(KeyError, match="from the content") as told:
        save(files, concurrency=5)
    assert f"'17.txt' on '{alias}'" in told.value.__notes__[0]
    assert stored(alias) == []
    unchanged.check()
    with pytest.raises(ValueError, match="only once"):
        save(files)
    assert stored(alias) == []
    files[17] = FileObject(alias, "17.txt", content=b"whole")
    assert save(files) == files
    assert len(stored(alias)) == 30


@both
def test_a_failure_takes_back_what_lies_elsewhere(save: Any) -> None:
    first = [file for alias in KINDS for file in waiting(alias, 4)]
    files = [*first, FileObject("s3", "bad", content=broken(ZeroDivisionError()))]
    files += [file for alias in KINDS for file in waiting(alias, 30, "late/{}/{}")]
    unchanged = Unchanged(files)
    with pytest.raises(ZeroDivisionError):
        save(files, concurrency=3)
    unchanged.check()
    assert [stored(alias) for alias in KINDS] == [[]] * len(KINDS)


def test_no_save_begins_after_a_failure() -> None:
    begun: list[int] = []

    def content(number: int) -> Iterator[bytes]:
        begun.append(number)
        if number == 2:
            raise ZeroDivisionError
        time.sleep(0.1)
        yield b"x"

    for alias in ("local", "s3"):
        begun.clear()
        files = [FileObject(alias, f"{n}", content=content(n)) for n in range(20)]
        with pytest.raises(ZeroDivisionError):
            save_files(files, concurrency=3)
        assert sorted(begun) == [0, 1, 2]
        assert stored(alias) == []


def test_what_others_stored_stays() -> None:
    for alias in KINDS:
        FileObject(alias, "0/0.txt", content=b"theirs").save()
        files = [*waiting(alias, 8), FileObject(alias, "z", content=broken(ZeroDivisionError()))]
        with pytest.raises(ZeroDivisionError):
            save_files(files, concurrency=2)
        assert stored(alias) == ["0/0.txt"]
        assert FileObject(alias, "0/0.txt").get_content() == b"theirs"


def test_what_was_stored_goes_in_bulk(proxy: servers.CountingProxy) -> None:
    FileObject("far", "warm-up", content=b"x").save().delete()
    proxy.reset()
    bad = FileObject("far", "bad", content=broken(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        save_files([*waiting("far", 40), bad], concurrency=8)
    methods = [request.method for request in proxy.requests()]
    assert methods.count("POST") == 1
    assert methods.count("DELETE") <= 8
    assert stored("far") == []


@both
@pytest.mark.parametrize("alias", ["local", "s3", "ram"])
def test_an_interrupt_out_of_the_content(alias: str, save: Any) -> None:
    for interrupt in (KeyboardInterrupt, SystemExit):
        files = [*waiting(alias, 9), FileObject(alias, "bad", content=broken(interrupt()))]
        unchanged = Unchanged(files)
        with pytest.raises(interrupt):
            save_files(files, concurrency=2)
        unchanged.check()
    assert stored(alias) == []
    save(waiting(alias, 3))  # the loop is alive
    assert len(stored(alias)) == 3


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    # a shell's background job is started with SIGINT ignored, and its children are too
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("alias", ["local", "far", "disk"])
def test_an_interrupt_while_it_waits(alias: str, ctrl_c: None) -> None:
    def interrupting() -> Iterator[bytes]:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        yield b"x"

    files = [
        *waiting(alias, 20),
        FileObject(alias, "last", content=interrupting()),
        *waiting(alias, 20, "later/{}/{}"),
    ]
    unchanged = Unchanged(files)
    with pytest.raises(KeyboardInterrupt):
        save_files(files, concurrency=4)
    unchanged.check()
    assert stored(alias) == []


@pytest.mark.parametrize("alias", ["local", "memory", "far", "disk", "ram", "shelf", "cloud"])
def test_cancelling_leaves_nothing(alias: str) -> None:
    def slow(number: int) -> Iterator[bytes]:
        time.sleep(0.02)
        yield b"%d" % number

    files = [FileObject(alias, f"{n}", content=slow(n)) for n in range(60)]
    if alias == "far":
        files = waiting(alias, 60)
    unchanged = Unchanged(files)

    async def run(after: float) -> None:
        saving = asyncio.create_task(asave_files(files, concurrency=6))
        await asyncio.sleep(after)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving

    asyncio.run(run(3.5 * LATENCY))
    assert stored(alias) == []
    unchanged.check()


@pytest.mark.parametrize("alias", KINDS)
def test_cancelling_frees_what_waits_for_an_item(alias: str) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async def run() -> None:
        files = [FileObject(alias, f"{n}", content=never()) for n in range(20)]
        unchanged = Unchanged(files)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asave_files(files, concurrency=10), 0.2)
        unchanged.check()

    began = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - began < 2
    assert stored(alias) == []


def test_a_single_save_cancelled_under_way_leaves_nothing() -> None:
    async def run() -> None:
        file = FileObject("far", "a.txt", content=b"x")
        for part in range(1, 5):
            saving = asyncio.create_task(file.asave())
            await asyncio.sleep(part * LATENCY / 5)
            saving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saving

    FileObject("far", "warm-up", content=b"x").save().delete()
    asyncio.run(run())
    # what the server was sent is undone when it has answered
    deadline = time.monotonic() + 5
    time.sleep(3 * LATENCY)
    while stored("far"):
        assert time.monotonic() < deadline
        time.sleep(LATENCY)


def test_what_can_not_be_deleted_is_told(caplog: pytest.LogCaptureFixture) -> None:
    files = [*waiting("stubborn", 3), *waiting("memory", 3)]
    bad = FileObject("memory", "bad", content=broken(ZeroDivisionError()))
    unchanged = Unchanged(files)
    with caplog.at_level(logging.WARNING, "django_fsspec"), pytest.raises(ZeroDivisionError) as e:
        save_files([*files, bad], concurrency=1)
    unchanged.check()
    assert (len(stored("stubborn")), stored("memory")) == (3, [])
    assert "('stubborn', '1/1.txt')" in e.value.__notes__[1]
    (record,) = caplog.records
    assert "'stubborn'" in record.getMessage()
    assert "'1/1.txt'" in record.getMessage()
    assert "secret" not in caplog.text


# undoing one


def test_state_and_restore() -> None:
    file = FileObject("memory", "a.txt", content=b"x", metadata={"deep": {"a": 1}})
    unchanged = Unchanged([file])
    state = bulk.state_of(file)
    file.save("b.txt", b"other")
    file.metadata["deep"]["a"] = 2
    file.extra = 1  # type: ignore[attr-defined]
    for _ in range(2):
        bulk.restore(file, state)
        unchanged.check()
        file.save()
        file.metadata["deep"]["a"] = 3
    assert len(stored("memory")) == 3


def test_discard() -> None:
    files = [file for alias in KINDS for file in save_files(waiting(alias, 5))]
    refs = [(file.backend, file.filename) for file in files]
    assert bulk.discard([*files[::2], *refs[1::2], ("s3", "missing")]) == []
    assert [stored(alias) for alias in KINDS] == [[]] * len(KINDS)
    assert bulk.discard([]) == []
    assert asyncio.run(bulk.adiscard(iter(refs))) == []


def test_discard_returns_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    sticky = save_files(
        FileObject("sticky", name, content=b"x") for name in ("a", "sticky-b", "c", "sticky-d")
    )
    left = [("sticky", file.name) for file in sticky if "sticky" in file.name]
    assert sorted(bulk.discard(sticky)) == sorted(left)
    assert bulk.discard([("nowhere", "x"), ("memory", "../x")]) == [
        ("nowhere", "x"),
        ("memory", "../x"),
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    storage = storages["sticky"]
    assert isinstance(storage, FSSpecStorage)
    with pytest.raises(OSError, match="2 of 3") as told:
        storage.delete_many(["gone", *(name for _, name in left)])
    assert sorted(told.value.names) == sorted(name for _, name in left)  # type: ignore[attr-defined]
