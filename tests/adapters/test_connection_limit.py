"""A process opens a bounded number of connections, and nobody waits for ever for one of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterator

import pytest
from django.core.files.base import ContentFile

from django_fsspec.adapters import connection_limit
from django_fsspec.adapters.connection_limit import ConnectionLimit
from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.proxied_backends import through_proxy

pytestmark = pytest.mark.once

READS = 100
LARGE = b"".join(i.to_bytes(4, "big") for i in range(1_000_000))
#: place -> the most connections of a process
LIMITS = {
    "s3 (SeaweedFS)": 64,
    "gcs (fake-gcs-server)": 64,
    "azure (azurite)": 64,
    "http (nginx)": 64,
    "sftp (OpenSSH)": 1,
}
RESUMABLE = sorted(LIMITS.keys() - {"sftp (OpenSSH)"})


@pytest.mark.parametrize("place", sorted(LIMITS))
def test_a_hundred_reads_share_the_connections_of_the_limit(place: str) -> None:
    data = b"x" * 50_000

    async def read_all(storage: FSSpecStorage) -> None:
        reads = [storage.aget_content("a.bin") for _ in range(READS)]
        assert await asyncio.gather(*reads) == [data] * READS

    with through_proxy(place, {"a.bin": data}) as (proxy, storage):
        # so that they meet, however slow the machine is
        proxy.shape(latency=0.5)
        asyncio.run(read_all(storage))
        assert 1 <= proxy.most_connections() <= LIMITS[place]


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limit, "TURN", 0.05)


@pytest.fixture(params=RESUMABLE)
def narrow(
    request: pytest.FixtureRequest, short_turns: None
) -> Iterator[tuple[servers.CountingProxy, FSSpecStorage]]:
    """A storage with two connections and a large file, and its proxy."""
    with through_proxy(request.param, {"a.bin": LARGE}, max_connections=2) as opened:
        yield opened


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_more_streams_than_connections_take_turns(
    narrow: tuple[servers.CountingProxy, FSSpecStorage],
) -> None:
    proxy, storage = narrow

    async def read_all() -> list[bytes]:
        streams = [aiter(storage.astream("a.bin")) for _ in range(6)]
        read = [await anext(stream) for stream in streams]
        await asyncio.to_thread(wait_for, lambda: proxy.connections().open <= 2)
        for number, stream in enumerate(streams):
            read[number] += await anext(stream)
        for number, stream in enumerate(streams):
            read[number] += b"".join([chunk async for chunk in stream])
        return read

    assert asyncio.run(read_all()) == [LARGE] * 6
    # one that gives its connection up closes it as the other opens one
    assert proxy.most_connections() <= 4


def test_streams_that_wait_while_they_keep_a_connection_end(
    narrow: tuple[servers.CountingProxy, FSSpecStorage],
) -> None:
    _, storage = narrow

    async def both() -> bool:
        first, second = (aiter(storage.astream("a.bin")) for _ in range(2))
        read = [await anext(first), await anext(second)]
        read[0] += b"".join([chunk async for chunk in first])
        read[1] += b"".join([chunk async for chunk in second])
        return read == [LARGE] * 2

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(both() for _ in range(4)))

    assert asyncio.run(all_of_them()) == [True] * 4


def test_streams_that_nobody_reads_stop_no_requests(
    narrow: tuple[servers.CountingProxy, FSSpecStorage],
) -> None:
    _, storage = narrow
    streams = [iter(storage.stream("a.bin")) for _ in range(3)]
    first = [next(stream) for stream in streams]
    assert storage.exists("a.bin")
    assert storage.get_content("a.bin", 4, 8) == LARGE[4:8]
    assert [a + b"".join(b) for a, b in zip(first, streams, strict=True)] == [LARGE] * 3


def test_forgotten_streams_give_their_connections_back_at_once(
    narrow: tuple[servers.CountingProxy, FSSpecStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, storage = narrow
    monkeypatch.setattr(connection_limit, "TURN", 1e9)
    for _ in range(2):
        for _ in range(2):
            file = storage.open("a.bin")
            file.read(1)
            file.file = None
            del file
        gc.collect()
        assert storage.exists("a.bin")


def test_a_stream_that_gave_up_ends_where_the_file_does(
    narrow: tuple[servers.CountingProxy, FSSpecStorage],
) -> None:
    _, storage = narrow
    with contextlib.ExitStack() as stack:
        ranges = [stack.enter_context(storage.open("a.bin")) for _ in range(3)]
        assert [file.read(len(LARGE)) for file in ranges] == [LARGE] * 3
        assert storage.exists("a.bin")
        assert [file.read() for file in ranges] == [b""] * 3


def test_a_file_replaced_while_its_stream_waits_is_not_mixed(short_turns: None) -> None:
    place, options = "s3 (SeaweedFS)", {"max_connections": 1, "allow_overwrite": True}
    with through_proxy(place, {"a.bin": LARGE}, **options) as (_, storage):
        stream = iter(storage.stream("a.bin"))
        next(stream)
        storage.save("a.bin", ContentFile(LARGE[::-1]))
        with pytest.raises(StorageError, match="changed"):
            next(stream)


def test_uploads_in_parts_share_the_limit(short_turns: None) -> None:
    place, options = "s3 (SeaweedFS)", {"max_connections": 2, "chunk_size": 5 * 1024 * 1024}
    content = LARGE * 3

    async def save_all(storage: FSSpecStorage) -> list[str]:
        stream = aiter(storage.astream("a.bin"))
        await anext(stream)
        saves = [storage.asave(f"{number}.bin", ContentFile(content)) for number in range(4)]
        return await asyncio.gather(*saves)

    with through_proxy(place, {"a.bin": LARGE}, **options) as (proxy, storage):
        names = asyncio.run(save_all(storage))
        assert proxy.most_connections() <= 3
        assert [storage.size(name) for name in names] == [len(content)] * 4


def test_waiting_that_is_cancelled_takes_nothing() -> None:
    async def use() -> None:
        limit = ConnectionLimit(1)
        await limit.take()
        waiting = [asyncio.ensure_future(limit.take()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        limit.release()
        await asyncio.sleep(0)
        # cancelled as its turn comes
        waiting[1].cancel()
        await asyncio.wait_for(waiting[2], 5)
        limit.release()
        async with asyncio.timeout(5), limit:
            pass
        assert [task.cancelled() for task in waiting] == [True, True, False]

    asyncio.run(use())
