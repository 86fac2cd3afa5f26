"""HTTP streams that break are resumed, whatever the server says of the rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from aiohttp import web

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage

DATA = bytes(range(256)) * 40
CUT = 5000


class BreakingServer:
    """Cuts the first response; answers the second as `rest` says."""

    def __init__(self) -> None:
        self.rest = ""
        self.requests: list[web.Request] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_get("/{name:.*}", self._answer)
        self._runner = web.AppRunner(app)
        self._loop.run_until_complete(self._runner.setup())
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = self._runner.addresses[0][1]
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if len(self.requests) == 1:
            response = web.StreamResponse(headers={"ETag": '"v1"'})
            response.content_length = len(DATA)
            await response.prepare(request)
            await response.write(DATA[:CUT])
            await asyncio.sleep(0.05)
            assert request.transport is not None
            request.transport.abort()
            return response
        start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        headers = {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}
        if self.rest == "part":
            return web.Response(status=206, body=DATA[start:], headers={**headers, "ETag": '"v1"'})
        if self.rest == "part without an ETag":
            return web.Response(status=206, body=DATA[start:], headers=headers)
        etag = '"v1"' if self.rest == "all of it" else '"v2"'
        return web.Response(status=200, body=DATA, headers={"ETag": etag})


@pytest.fixture
def server() -> Iterator[BreakingServer]:
    breaking = BreakingServer()
    yield breaking
    breaking.stop()


@pytest.fixture
def storage(server: BreakingServer) -> FSSpecStorage:
    return FSSpecStorage(fs="http", prefix=f"http://127.0.0.1:{server.port}/d", timeout=5)


@pytest.mark.parametrize("rest", ["part", "part without an ETag", "all of it"])
def test_the_rest_of_the_same_file(
    server: BreakingServer, storage: FSSpecStorage, rest: str
) -> None:
    server.rest = rest
    assert b"".join(storage.stream("f.bin")) == DATA
    assert [request.headers.get("If-Range") for request in server.requests] == [None, '"v1"']


def test_a_file_that_changed(server: BreakingServer, storage: FSSpecStorage) -> None:
    server.rest = "another file"
    with pytest.raises(StorageError, match="changed while it was being read"):
        b"".join(storage.stream("f.bin"))
