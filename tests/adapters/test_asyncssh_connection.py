"""A connection to an SFTP server that is cut: nothing is left to asyncio to complain about."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import backends_named, folder, server
from tests.helpers.utils import numbered, started, wait_for

pytestmark = pytest.mark.once

DATA = numbered(1_500_000)
#: bytes a second: slow enough for many requests to be under way
SLOW = 20_000_000


SERVERS = {"sftp (OpenSSH)": servers.OpenSSH, "sftp (rclone)": servers.RcloneSFTP}


@pytest.fixture(params=SERVERS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(backend: str) -> dict[str, Any]:
    """OPTIONS for a folder on a server."""
    return backends_named(backend)[0].options(folder())


@pytest.fixture
def proxy(backend: str) -> Iterator[servers.CountingProxy]:
    with started(servers.CountingProxy, server(SERVERS[backend]).port, bandwidth=SLOW) as way:
        yield way


def by(proxy: servers.CountingProxy, place: dict[str, Any]) -> FSSpecStorage:
    """Return a storage on the same folder by way of the proxy."""
    by_proxy = {**place["fs_options"], "port": proxy.port, "known_hosts": None}
    options = {**place, "fs_options": by_proxy, "chunk_size": 1 << 20}
    return FSSpecStorage(**options, retries=3, timeout=10)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the exception handlers of event loops have logged: of forgotten tasks."""
    gc.collect()
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    return [record.getMessage() for record in errors if record.name == "asyncio"]


def cut(proxy: servers.CountingProxy) -> None:
    proxy.set_down(True)
    proxy.set_down(False)


async def _read(storage: FSSpecStorage, reads: int, proxy: servers.CountingProxy) -> list[bytes]:
    begun = asyncio.Barrier(reads + 1)

    async def read() -> bytes:
        stream = storage.astream("large.bin")
        chunks = [await anext(stream)]
        await begun.wait()
        chunks += [chunk async for chunk in stream]
        return b"".join(chunks)

    tasks = [asyncio.create_task(read()) for _ in range(reads)]
    await begun.wait()
    await asyncio.to_thread(cut, proxy)
    return await asyncio.gather(*tasks)


@pytest.mark.slow
def test_reads_that_are_cut(
    place: dict[str, Any], proxy: servers.CountingProxy, caplog: pytest.LogCaptureFixture
) -> None:
    FSSpecStorage(**place).save("large.bin", ContentFile(DATA))
    with caplog.at_level(logging.ERROR, "asyncio"):
        contents = asyncio.run(_read(by(proxy, place), 5, proxy))
        assert [content == DATA for content in contents] == [True] * 5
        assert complaints(caplog) == []


@pytest.mark.slow
def test_reads_that_are_given_up(
    place: dict[str, Any], proxy: servers.CountingProxy, caplog: pytest.LogCaptureFixture
) -> None:
    FSSpecStorage(**place).save("large.bin", ContentFile(DATA))
    storage = by(proxy, place)
    with caplog.at_level(logging.ERROR, "asyncio"):
        streams = [iter(storage.stream("large.bin")) for _ in range(5)]
        for stream in streams:
            next(stream)
        for stream in streams:
            stream.close()  # type: ignore[attr-defined]
        cut(proxy)
        assert storage.exists("large.bin")
        assert complaints(caplog) == []


@pytest.mark.slow
def test_a_save_that_is_cut(
    place: dict[str, Any], proxy: servers.CountingProxy, caplog: pytest.LogCaptureFixture
) -> None:
    storage = by(proxy, place)
    sent: list[int] = []

    class Content(ContentFile):  # type: ignore[type-arg]
        """Cuts the connection once, when much of it has been sent."""

        def read(self, *args: Any) -> Any:
            chunk = super().read(*args)
            sent.append(len(chunk))
            if len(sent) == 5:
                cut(proxy)
            return chunk

    with caplog.at_level(logging.ERROR, "asyncio"):
        storage.save("large.bin", Content(DATA))
        assert storage.get_content("large.bin") == DATA
        assert len(sent) > 5
        assert complaints(caplog) == []
    assert storage.listdir("") == ([], ["large.bin"])
    wait_for(lambda: proxy.connections().accepted >= 2)
