"""A save or copy that is cancelled while a request is on the wire leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.adapters.s3 import part_copies
from django_fsspec.core.flows import call
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server
from tests.helpers.scripted_services import SERVICES, creates
from tests.helpers.utils import numbered, wait_for
from tests.helpers.workers import Worker, WorkerDied
from tests.soak import grounds, jobs
from tests.soak.faults.message import Message
from tests.soak.faults.scripted import Scripted

pytestmark = [pytest.mark.once, pytest.mark.slow]

MIB = 1024 * 1024
DATA = numbered(3 * MIB)


class SlowWay(Scripted):
    """A way to a server on which one answer takes its time: to the first request that `slow` is.

    Redirects of the server to itself lead here, too.
    """

    def __init__(self, port: int, slow: Callable[[Message], bool]) -> None:
        super().__init__(port)
        self.slow = slow
        #: set when the server has done what it was asked for
        self.done = threading.Event()

    async def _answer(self, request: Message) -> Message:
        answer = await super()._answer(request)
        target, own = (f"//127.0.0.1:{port}/".encode() for port in (self._target[1], self.port))
        answer.raw = answer.raw.replace(target, own)
        if not self.done.is_set() and self.slow(request):
            self.done.set()
            # the time in which the caller is cancelled
            await asyncio.sleep(0.5)
        return answer


#: of a resumable upload to GCS
_LAST_CHUNK = re.compile(rb"\r\nContent-Range: bytes \d+-\d+/\d+\r\n")


def begins(request: Message) -> bool:
    return request.query.startswith("uploads") or "uploadType=resumable" in request.query


def sends_a_part(request: Message) -> bool:
    return "partNumber=2" in request.query


def completes(request: Message) -> bool:
    """Return whether this makes an object of an upload's parts."""
    return creates(request) or bool(_LAST_CHUNK.search(request.raw[:2048]))


def cancelled(way: SlowWay, work: Coroutine[Any, Any, object]) -> None:
    """Run `work`, and cancel it when the slow request has reached the server."""

    async def run() -> None:
        task = asyncio.ensure_future(work)
        await asyncio.to_thread(way.done.wait, 60)
        assert way.done.is_set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def uploads_left() -> list[Any]:
    s3 = server(servers.MotoS3)
    client = s3.boto3_client()
    left: list[Any] = client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", [])
    client.close()
    return left


def moto_options(way: SlowWay, name: str) -> dict[str, Any]:
    options = grounds.s3_options(server(servers.MotoS3), name, way.url)
    return {**options, "chunk_size": 5 * MIB}


@pytest.fixture(params=[begins, sends_a_part, completes], ids=lambda slow: slow.__name__)
def way(request: pytest.FixtureRequest) -> Iterator[SlowWay]:
    """A way to S3 on which one request of a multipart upload is slow."""
    with SlowWay(server(servers.MotoS3).port, request.param) as running:
        yield running


@pytest.mark.slow
def test_nothing_is_left_of_a_cancelled_multipart_upload(way: SlowWay) -> None:
    storage = FSSpecStorage(**moto_options(way, folder()))
    cancelled(way, storage.asave("large.bin", ContentFile(DATA)))
    # on a slow machine this goes on in the background
    wait_for(lambda: uploads_left() == [])
    wait_for(lambda: storage.listdir("") == ([], []))


@pytest.mark.slow
def test_nothing_is_left_of_an_interrupted_multipart_upload(way: SlowWay) -> None:
    """The process ends when it is interrupted, as by Ctrl-C: it cleans up before."""
    name = folder()
    with Worker() as worker:
        worker.call(jobs.warm_up, moto_options(way, name))
        worker.send(jobs.save, moto_options(way, name), "large.bin", "x", len(DATA), 0.0)
        assert way.done.wait(60)
        os.kill(worker.pid, signal.SIGINT)
        with pytest.raises(WorkerDied):
            worker.result()
    assert uploads_left() == []
    assert grounds.s3_files(server(servers.MotoS3), name) == {}


@pytest.mark.slow
def test_nothing_is_left_of_a_cancelled_copy_in_parts(
    way: SlowWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(request: Message) -> tuple[int, str] | None:
        whole = request.method == "PUT" and "partNumber" not in request.query
        copies = b"x-amz-copy-source:" in request.raw[:4096].lower()
        return (400, "InvalidRequest") if whole and copies else None

    monkeypatch.setattr(part_copies, "COPY_LIMIT", 10 * MIB)
    monkeypatch.setattr(part_copies, "COPY_PART", 5 * MIB)
    way.fate = too_large
    storage = FSSpecStorage(**moto_options(way, folder()))
    direct = FSSpecStorage(
        **grounds.s3_options(server(servers.MotoS3), storage.flows.root.partition("/")[2])
    )
    direct.save("large.bin", ContentFile(DATA))
    cancelled(way, storage.acopy("large.bin", "copy.bin"))
    wait_for(lambda: uploads_left() == [])
    wait_for(lambda: storage.listdir("") == ([], ["large.bin"]))


@pytest.mark.slow
def test_a_direct_upload_that_is_cancelled_as_it_begins() -> None:
    with SlowWay(server(servers.MotoS3).port, begins) as way:
        storage = FSSpecStorage(**moto_options(way, folder()))
        direct = storage.flows.adapter.direct
        assert direct is not None
        path = storage.flows.path("large.bin")
        flow = call(direct.begin, path, {}, size=1, origin="")
        cancelled(way, storage.flows.arun(flow))
        wait_for(lambda: uploads_left() == [])


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> Iterator[tuple[SlowWay, FSSpecStorage]]:
    """A way to a service on which the request that makes an object is slow."""
    port, options = SERVICES[request.param]()
    with SlowWay(port, lambda request: False) as way:
        storage = FSSpecStorage(**options(way.url), chunk_size=5 * MIB, timeout=10)
        storage.save("first", ContentFile(b"x"))
        yield way, storage


@pytest.mark.parametrize("size", [10, 300_000, 6 * MIB], ids=["small", "one request", "parts"])
def test_no_file_is_left_of_a_cancelled_save(
    service: tuple[SlowWay, FSSpecStorage], size: int
) -> None:
    way, storage = service
    way.slow = completes
    cancelled(way, storage.asave("a.bin", ContentFile(b"x" * size)))
    wait_for(lambda: storage.listdir("") == ([], ["first"]))


def test_no_file_is_left_of_a_cancelled_copy(service: tuple[SlowWay, FSSpecStorage]) -> None:
    way, storage = service
    way.slow = completes
    cancelled(way, storage.acopy("first", "copy.bin"))
    wait_for(lambda: storage.listdir("") == ([], ["first"]))


def test_a_cancelled_save_that_replaces_deletes_nothing(
    service: tuple[SlowWay, FSSpecStorage],
) -> None:
    way, storage = service
    way.slow = completes
    flow = storage.flows.save("first", ContentFile(b"y" * 6 * MIB), overwrite=True)
    cancelled(way, storage.flows.arun(flow))
    assert storage.listdir("") == ([], ["first"])
    assert storage.get_content("first") in (b"x", b"y" * 6 * MIB)


def test_a_session_that_is_cancelled_as_it_begins_is_dropped() -> None:
    """GCS lists no sessions: the request that drops one is looked for."""
    port, options = SERVICES["fake-gcs"]()
    with SlowWay(port, begins) as way:
        storage = FSSpecStorage(**options(way.url), chunk_size=5 * MIB)
        cancelled(way, storage.asave("large.bin", ContentFile(DATA)))
        wait_for(lambda: way.methods[-1] == "DELETE")
        assert "upload_id=" in way.seen[-1].query
