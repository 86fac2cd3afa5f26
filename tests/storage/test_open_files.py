"""Files open for reading, after a read that failed or was cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server
from tests.helpers.proxied_backends import PLACES, through_proxy
from tests.helpers.utils import numbered
from tests.soak import grounds

pytestmark = pytest.mark.once

DATA = numbered(1_000_000)
HTTP = sorted(PLACES.keys() - {"sftp (OpenSSH)"} | {"http (nginx)"})
ASYNC = sorted(PLACES.keys() - {"webdav (rclone)"} | {"http (nginx)"})


@pytest.mark.slow
@pytest.mark.parametrize("size", [-1, len(DATA)])
@pytest.mark.parametrize("place", ASYNC)
def test_a_cancelled_read_can_be_repeated(place: str, size: int) -> None:
    async def read_twice() -> bytes:
        with through_proxy(place, {"a.bin": DATA}) as (proxy, storage):
            # some seconds for the file
            proxy.shape(bandwidth=1_000_000)
            async with await storage.aopen("a.bin") as file:
                read = [await file.aread(1000)]
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(file.aread(size), 0.5)
                proxy.shape()
                read.append(await file.aread(size))
                return b"".join(read)

    assert asyncio.run(read_twice()) == DATA


@pytest.mark.parametrize("place", HTTP)
def test_a_failed_read_can_be_repeated(place: str) -> None:
    with through_proxy(place, {"a.bin": DATA}, retries=0) as (proxy, storage):
        proxy.cut_after(1_000_000)
        with storage.open("a.bin") as file:
            with pytest.raises(StorageError):
                file.read()
            assert proxy.cuts() == 1
            assert file.read() == DATA


@pytest.fixture(params=["memory", "s3"])
def storage(request: pytest.FixtureRequest) -> FSSpecStorage:
    """A storage with ``a.bin``, which is `DATA`."""
    if request.param == "memory":
        made = FSSpecStorage(fs="memory", prefix=folder())
    else:
        made = FSSpecStorage(**grounds.s3_options(server(servers.SeaweedS3), folder()))
    made.save("a.bin", ContentFile(DATA))
    return made


def test_reads_between_chunks(storage: FSSpecStorage) -> None:
    with storage.open("a.bin") as file:
        assert file.read(1000) == DATA[:1000]
        chunks, at = file.chunks(), 0
        for _ in range(3):
            chunk = next(chunks)
            assert chunk == DATA[at : at + len(chunk)]
            at += len(chunk)
            assert file.tell() == at
            # as Django's: the chunks go on behind what was read
            assert file.read(10) == DATA[at : at + 10]
            at += 10
        file.seek(at - 5)
        assert file.read(10) == DATA[at - 5 : at + 5]
        assert file.read() == DATA[at + 5 :]
        assert b"".join(file.chunks()) == DATA
        file.seek(5)
        assert file.read(3) == DATA[5:8]
        next(file.chunks())
        assert b"".join(file.chunks(300_000)) == DATA


def test_async_reads_between_chunks(storage: FSSpecStorage) -> None:
    async def read() -> None:
        opened: Any = await storage.aopen("a.bin")
        async with opened as file:
            chunks, at = file.achunks(), 0
            for _ in range(3):
                chunk = await anext(chunks)
                assert chunk == DATA[at : at + len(chunk)]
                at += len(chunk)
                assert await file.aread(10) == DATA[at : at + 10]
                at += 10
            assert await file.aread() == DATA[at:]
            assert [len(chunk) async for chunk in file.achunks(3_000_000)] == [
                3_000_000,
                len(DATA) - 3_000_000,
            ]

    asyncio.run(read())


def test_chunks_of_a_closed_file(storage: FSSpecStorage) -> None:
    with storage.open("a.bin") as file:
        chunks = file.chunks()
        next(chunks)
    with pytest.raises(ValueError, match="closed"):
        next(chunks)
