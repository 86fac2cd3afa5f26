"""save_files: all of them or none, whatever comes in between."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from django_fsspec import FileObject, asave_files, save_files
from django_fsspec.objects import bulk
from tests import servers
from tests.objects.bulk.saving import ALL, KINDS, LATENCY, Unchanged, both, broken, stored, waiting


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


@pytest.mark.slow
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


def test_an_interrupt_before_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, begun = bulk._BulkSave.begin, []

    def interrupted(self: bulk._BulkSave, work: Any) -> Any:
        begun.append(begin(self, work))
        if len(begun) == 1:
            raise KeyboardInterrupt
        return begun[-1]

    monkeypatch.setattr(bulk._BulkSave, "begin", interrupted)
    files = waiting("local", 20)
    unchanged = Unchanged(files)
    with pytest.raises(KeyboardInterrupt):
        save_files(files)
    unchanged.check()
    assert begun[0].done()
    assert stored("local") == []


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

    asyncio.run(run())
    assert stored(alias) == []


@pytest.mark.slow
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
