"""The base of resuming readers, over bodies that break."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_fsspec.adapters.connection_limit import ConnectionLimit
from django_fsspec.adapters.resuming_readers import (
    AsyncResumingReader,
    BlockingResumingReader,
    OpenedRange,
)
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import StorageError

DATA = bytes(range(250))


class Body:
    """Gives 10 bytes a read, and breaks after `good` of them."""

    def __init__(self, data: bytes, good: int) -> None:
        self.data, self.good = data, good
        self.closed = False

    def read(self, size: int) -> bytes:
        if self.good <= 0:
            raise ConnectionResetError
        size = min(size, 10, self.good)
        chunk, self.data = self.data[:size], self.data[size:]
        self.good -= size
        return chunk

    def close(self) -> None:
        self.closed = True


class Server:
    """Opens ranges of DATA, each of which breaks after `good` bytes."""

    def __init__(
        self, good: int = 100, *, versions: Any = ("v1",) * 9, ranges: bool = True
    ) -> None:
        self.good, self.ranges = good, ranges
        self.versions = iter(versions)
        self.bodies: list[Body] = []
        self.down = False
        #: of the file, where opening it tells that
        self.size: int | None = None

    def open(self, start: int, end: int | None) -> OpenedRange:
        if self.down:
            raise ConnectionRefusedError
        skip = 0 if self.ranges else start
        self.bodies.append(Body(DATA[start:end] if self.ranges else DATA, self.good))
        stat = Stat(name="file", size=self.size)
        return OpenedRange(stat, self.bodies[-1], next(self.versions), skip)


class Blocking(BlockingResumingReader):
    broken = (ConnectionError,)

    def __init__(
        self, server: Server, start: int = 0, end: int | None = None, retries: int = 3
    ) -> None:
        super().__init__("file", start, end, retries)
        self.server = server

    def _open(self) -> OpenedRange:
        return self.server.open(self._position, self._end)


class Async(AsyncResumingReader):
    broken = (ConnectionError,)

    def __init__(
        self,
        server: Server,
        start: int = 0,
        end: int | None = None,
        limit: ConnectionLimit | None = None,
    ) -> None:
        super().__init__("file", start, end, 3, limit)
        self.server = server

    async def _open(self) -> OpenedRange:
        return self.server.open(self._position, self._end)

    async def _read(self, size: int) -> bytes:
        chunk: bytes = self._stream.read(size)
        return chunk


def all_of(reader: BlockingResumingReader) -> bytes:
    return b"".join(iter(lambda: reader.read(64), b""))


async def all_of_async(server: Server, start: int, end: int | None) -> bytes:
    reader = await Async(server, start, end).open()
    chunks = []
    while chunk := await reader.read(64):
        chunks.append(chunk)
    reader.close()
    return b"".join(chunks)


RANGES = [(0, None), (7, None), (7, 203), (0, 250), (0, 999)]


@pytest.mark.parametrize(("start", "end"), RANGES)
@pytest.mark.parametrize("ranges", [True, False])
def test_each_byte_comes_once(start: int, end: int | None, ranges: bool) -> None:
    server = Server(130, ranges=ranges, versions=["v1"] * 4)
    if not ranges:
        # without ranges a further try gets no further than the first one
        server.good = 260
    reader = Blocking(server, start, end).open()
    assert all_of(reader) == DATA[start:end]
    reader.close()
    assert all(body.closed for body in server.bodies)
    assert (
        asyncio.run(
            all_of_async(Server(server.good, ranges=ranges, versions=["v1"] * 4), start, end)
        )
        == (DATA[start:end])
    )


def test_a_body_that_broke_is_closed_before_the_next() -> None:
    server = Server()
    reader = Blocking(server).open()
    assert all_of(reader) == DATA
    assert [body.closed for body in server.bodies] == [True, True, True]


def test_another_version_is_an_error() -> None:
    server = Server(versions=["v1", "v2"])
    reader = Blocking(server).open()
    with pytest.raises(StorageError, match="'file' changed while it was being read"):
        all_of(reader)
    assert [body.closed for body in server.bodies] == [True, True]


def test_without_a_version_nothing_is_resumed() -> None:
    with pytest.raises(ConnectionResetError):
        all_of(Blocking(Server(versions=[None, None])).open())


def test_the_tries_are_those_of_the_whole_stream() -> None:
    assert all_of(Blocking(Server(), retries=2).open()) == DATA
    with pytest.raises(ConnectionResetError):
        all_of(Blocking(Server(), retries=1).open())


def test_other_errors_are_not_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Blocking, "broken", (TimeoutError,))
    server = Server()
    with pytest.raises(ConnectionResetError):
        all_of(Blocking(server).open())
    assert len(server.bodies) == 1


def test_a_closed_reader_opens_nothing() -> None:
    server = Server(0)
    reader = Blocking(server).open()
    body = reader._stream

    def read(size: int) -> bytes:
        # another thread closes the reader while this one waits for bytes
        reader.close()
        raise ConnectionResetError

    body.read = read
    with pytest.raises(ConnectionResetError):
        reader.read(10)
    assert server.bodies == [body]
    assert body.closed
    assert reader.read(10) == b""


def test_a_read_that_failed_is_not_the_end() -> None:
    server = Server()
    reader = Blocking(server).open()
    assert len(reader.read(64)) == 10
    server.down = True
    with pytest.raises(ConnectionRefusedError):
        all_of(reader)
    for _ in range(2):
        with pytest.raises(StorageError, match="An earlier read of 'file' failed"):
            reader.read(64)
    assert [body.closed for body in server.bodies] == [True]


def test_an_async_read_that_failed_is_not_the_end() -> None:
    async def read() -> None:
        server = Server()
        reader = await Async(server).open()
        server.down = True
        with pytest.raises(ConnectionRefusedError):
            await reader.read(120)
        with pytest.raises(StorageError, match="An earlier read of 'file' failed"):
            await reader.read(120)

    asyncio.run(read())


async def _cancelled(reader: Async, size: int) -> None:
    """Cancel a read where it waits."""
    reading = asyncio.ensure_future(reader.read(size))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


def test_a_read_cancelled_while_it_waits_for_a_connection_is_not_the_end() -> None:
    async def read() -> None:
        limit = ConnectionLimit(1)
        reader = await Async(Server(250), limit=limit).open()
        assert await reader.read(50) == DATA[:50]
        reader.give_up()
        async with limit:
            await _cancelled(reader, 50)
        with pytest.raises(StorageError, match="was cancelled: open it again"):
            await reader.read(50)
        async with asyncio.timeout(10), limit:
            pass

    asyncio.run(read())


def test_a_cancelled_read_leaves_no_bytes_out() -> None:
    class Stuck(Async):
        async def _read(self, size: int) -> bytes:
            if self._position == 20:
                await asyncio.Event().wait()
            return await super()._read(size)

    async def read() -> None:
        reader = await Stuck(Server(250)).open()
        await _cancelled(reader, 50)
        with pytest.raises(StorageError, match="was cancelled: open it again"):
            await reader.read(50)

    asyncio.run(read())


# small files, which are read when they are opened


def small(good: int = 100, size: int = len(DATA), **options: Any) -> Server:
    server = Server(good, **options)
    server.size = size
    return server


@pytest.mark.parametrize(("start", "end"), RANGES)
def test_a_small_file_is_read_at_once(start: int, end: int | None) -> None:
    async def read() -> None:
        server = small()
        reader = await Async(server, start, end).open()
        assert all(body.closed for body in server.bodies)
        whole = DATA[start:end]
        assert reader.at_hand(5) == whole[:5]
        assert await reader.read(5) == whole[5:10]
        assert reader.at_hand(999) == whole[10:]
        assert reader.at_hand(999) == b"" == await reader.read(999)

    asyncio.run(read())


def test_a_closed_reader_has_nothing_at_hand() -> None:
    async def read() -> None:
        reader = await Async(small()).open()
        reader.close()
        assert reader.at_hand(5) == b"" == await reader.read(5)

    asyncio.run(read())


def test_a_small_file_that_ends_early_is_an_error_when_it_is_opened() -> None:
    async def read() -> None:
        server = small(size=251)
        with pytest.raises(StorageError, match="ended after 250 of 251 bytes"):
            await Async(server).open()
        assert all(body.closed for body in server.bodies)

    asyncio.run(read())


def test_a_large_file_is_read_as_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_fsspec.adapters.resuming_readers._AT_ONCE", 100)

    async def read() -> None:
        reader = await Async(small()).open()
        assert reader.at_hand(5) is None
        assert await reader.read(999) == DATA
        assert await reader.read(999) == b""
        # the end needs no waiting either
        assert reader.at_hand(5) == b""

    asyncio.run(read())


def test_a_body_that_is_longer_than_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_fsspec.adapters.resuming_readers._AT_ONCE", 100)

    async def read() -> None:
        reader = await Async(small(size=7)).open()
        assert reader.at_hand(5) is None
        assert await reader.read(999) == DATA
        reader.close()

    asyncio.run(read())


def test_what_has_failed_is_not_at_hand() -> None:
    async def read() -> None:
        server = Server()
        reader = await Async(server).open()
        server.down = True
        with pytest.raises(ConnectionRefusedError):
            await reader.read(120)
        assert reader.at_hand(5) is None
        with pytest.raises(StorageError, match="An earlier read"):
            await reader.read(5)

    asyncio.run(read())
