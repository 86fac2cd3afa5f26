"""A process opens a bounded number of connections, and nobody waits for ever for one of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.adapters import connection_limit
from django_fsspec.adapters.connection_limit import ConnectionLimit
from django_fsspec.core.flows import call
from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import backends_named, folder, server, zip_bytes
from tests.helpers.proxied_backends import through_proxy
from tests.helpers.utils import numbered, some
from tests.soak.faults.scripted import Scripted

pytestmark = pytest.mark.once

READS = 100
LARGE = numbered(1_000_000)
#: place -> the most connections of a process
LIMITS = {
    "s3 (SeaweedFS)": 64,
    "gcs (fake-gcs-server)": 64,
    "azure (azurite)": 64,
    "http (nginx)": 64,
    "sftp (OpenSSH)": 1,
}
RESUMABLE = sorted(LIMITS.keys() - {"sftp (OpenSSH)"})


@pytest.mark.slow
@pytest.mark.parametrize("place", some(sorted(LIMITS), "s3 (SeaweedFS)", "azure (azurite)"))
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_stream_that_gave_up_ends_where_the_file_does(
    narrow: tuple[servers.CountingProxy, FSSpecStorage],
) -> None:
    _, storage = narrow
    with contextlib.ExitStack() as stack:
        ranges = [stack.enter_context(storage.open("a.bin")) for _ in range(3)]
        assert [file.read(len(LARGE)) for file in ranges] == [LARGE] * 3
        assert storage.exists("a.bin")
        assert [file.read() for file in ranges] == [b""] * 3


@pytest.mark.slow
def test_a_file_replaced_while_its_stream_waits_is_not_mixed(short_turns: None) -> None:
    place, options = "s3 (SeaweedFS)", {"max_connections": 1, "allow_overwrite": True}
    with through_proxy(place, {"a.bin": LARGE}, **options) as (_, storage):
        stream = iter(storage.stream("a.bin"))
        next(stream)
        storage.save("a.bin", ContentFile(LARGE[::-1]))
        # what was read ahead of the change may still come first
        with pytest.raises(StorageError, match="changed"):
            b"".join(stream)


@pytest.mark.slow
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


#: the last of them is uploaded in parts, for whose size S3 is asked when they are read
FILES = {"small.bin": b"small", "empty.bin": b"", "parts.bin": LARGE * 2}
ONE: dict[str, Any] = {"max_connections": 1, "chunk_size": 5 * 1024 * 1024}
WRITABLE = ["s3 (SeaweedFS)", "s3 (moto)", "gcs (fake-gcs-server)", "azure (azurite)"]


def called(storage: FSSpecStorage, method: str, *args: Any) -> Any:
    result = getattr(storage, method)(*args)
    return b"".join(result) if method == "stream" else result


def awaited(storage: FSSpecStorage, method: str, *args: Any) -> Any:
    async def twin() -> Any:
        result = getattr(storage, f"a{method}")(*args)
        if method == "stream":
            return b"".join([chunk async for chunk in result])
        return await result

    return asyncio.run(twin())


each_way = pytest.mark.parametrize("do", [called, awaited])


def ended(work: Callable[[], None]) -> None:
    """Do `work`; fail where it does not end. In a thread, because a sync call can't be ended."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    done.result(60)


def read_all_ways(storage: FSSpecStorage, do: Callable[..., Any]) -> None:
    for name, data in FILES.items():
        for method in ("get_content", "stream"):
            assert do(storage, method, name) == data
            assert do(storage, method, name, 0, 0) == b""
            assert do(storage, method, name, 1, 3) == data[1:3]
            assert do(storage, method, name, len(data) + 1) == b""
        with do(storage, "open", name) as file:
            assert file.read() == data
        assert do(storage, "size", name) == len(data)


@pytest.mark.slow
@each_way
@pytest.mark.parametrize("place", WRITABLE)
def test_one_connection_is_enough_for_every_operation(place: str, do: Callable[..., Any]) -> None:
    (backend,) = backends_named(place)
    storage = FSSpecStorage(**{**backend.options(folder()), **ONE})

    def use() -> None:
        names = []
        for name, data in FILES.items():
            # the second finds the name taken
            saved = [do(storage, "save", name, ContentFile(data)) for _ in range(2)]
            assert saved[0] == name
            names += [*saved, do(storage, "copy", name, f"copy-{name}")]
        read_all_ways(storage, do)
        assert sorted(do(storage, "listdir", "")[1]) == sorted(names)
        assert not do(storage, "exists", "missing.bin")
        do(storage, "delete", names.pop())
        do(storage, "delete_many", names)
        assert do(storage, "listdir", "") == ([], [])

    ended(use)


@pytest.mark.slow
@each_way
def test_one_connection_is_enough_to_read_over_http(do: Callable[..., Any]) -> None:
    with through_proxy("http (nginx)", FILES, **ONE) as (_, storage):
        ended(lambda: read_all_ways(storage, do))


@pytest.mark.slow
def test_many_reads_of_objects_in_parts_end(short_turns: None) -> None:
    (backend,) = backends_named("s3 (SeaweedFS)")
    storage = FSSpecStorage(**{**backend.options(folder()), **ONE, "max_connections": 2})
    data = FILES["parts.bin"]
    storage.save("a.bin", ContentFile(data))

    async def read_all() -> bool:
        async with asyncio.timeout(60):
            reads = [storage.aget_content("a.bin") for _ in range(6)]
            return await asyncio.gather(*reads) == [data] * 6

    assert asyncio.run(read_all())


async def _free(limit: ConnectionLimit) -> int:
    """Return how many connections can be taken without waiting."""
    free = 0
    while True:
        taking = asyncio.ensure_future(limit.take())
        await asyncio.sleep(0)
        if not taking.done():
            break
        free += 1
    taking.cancel()
    return free


@pytest.mark.parametrize("cache", ["filecache", "simplecache"])
def test_an_archive_through_a_cache_has_the_limit_of_its_storage(
    cache: str, tmp_path: Path
) -> None:
    (backend,) = backends_named("s3 (SeaweedFS)")
    options = backend.options(folder())
    FSSpecStorage(**options).save("f.zip", ContentFile(zip_bytes({"f.bin": b"zipped"})))
    storage = FSSpecStorage(
        fs=f"zip::{cache}::s3://{options['prefix']}/f.zip",
        fs_options={cache: {"cache_storage": str(tmp_path)}, "s3": options["fs_options"]},
        max_connections=2,
    )
    assert storage.get_content("f.bin") == b"zipped"
    below = storage.flows.mount.inner
    assert below is not None
    assert below.inner is not None
    # the first use made it
    assert asyncio.run(_free(below.inner.pool.connection_limit(64))) == 2


@pytest.mark.parametrize("place", ["gcs (fake-gcs-server)", "azure (azurite)"])
def test_a_reader_of_no_bytes_takes_one_connection(place: str) -> None:
    (backend,) = backends_named(place)
    storage = FSSpecStorage(**{**backend.options(folder()), **ONE})
    storage.save("a.bin", ContentFile(b"small"))
    flows = storage.flows

    def use() -> None:
        opening: Any = call(flows.adapter.reader, flows.path_to_read("a.bin"), 0, 0)
        assert flows.run(opening).stat.size == 5

    ended(use)


def test_a_read_of_an_empty_azure_blob_takes_one_connection() -> None:
    # azurite sends an empty blob; Azure refuses the range
    azurite = server(servers.Azurite)
    (backend,) = backends_named("azure (azurite)")
    options = backend.options(folder())
    FSSpecStorage(**options).save("empty.bin", ContentFile(b""))
    with Scripted(
        azurite.port, lambda sent: (416, "InvalidRange") if sent.method == "GET" else None
    ) as way:
        address = options["fs_options"]["connection_string"].replace(azurite.url, way.url)
        fs_options = {"connection_string": address}
        storage = FSSpecStorage(**{**options, **ONE, "fs_options": fs_options})

        def use() -> None:
            assert storage.get_content("empty.bin") == b""
            assert storage.open("empty.bin").read() == b""

        ended(use)
        assert way.methods == ["GET", "HEAD"] * 2
