"""Files open for reading, after a read that failed or was cancelled."""

from __future__ import annotations

import asyncio

import pytest

from django_fsspec.exceptions import StorageError
from tests.helpers.proxied_backends import PLACES, through_proxy
from tests.helpers.utils import numbered

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
