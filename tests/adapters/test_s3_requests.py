"""What goes over the wire to S3: counted by a proxy, within the budget of the design."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import server
from tests.helpers.utils import numbered, started
from tests.servers.loopback import Handler, LoopbackServer
from tests.soak import grounds, wire
from tests.soak.wire import OPERATIONS, Operation

pytestmark = pytest.mark.once

FEW = [operation for operation in OPERATIONS if not operation.many]
MANY = [operation for operation in OPERATIONS if operation.many]


@pytest.fixture(scope="module")
def seaweed() -> servers.SeaweedS3:
    running: servers.SeaweedS3 = server(servers.SeaweedS3)
    return running


@pytest.fixture(scope="module")
def proxy(seaweed: servers.SeaweedS3) -> Iterator[servers.CountingProxy]:
    with started(servers.CountingProxy, seaweed.port) as running:
        yield running


def through(proxy: servers.CountingProxy, s3: servers.S3Server, folder: str, **more: Any) -> Any:
    return FSSpecStorage(**grounds.s3_options(s3, folder, proxy.url), **more)


@pytest.fixture(scope="module")
def seeded(proxy: servers.CountingProxy, seaweed: servers.SeaweedS3) -> FSSpecStorage:
    folder = grounds.folder("wire")
    wire.seed(seaweed, folder, many=False)
    storage: FSSpecStorage = through(proxy, seaweed, folder)
    storage.exists("warm-up")
    return storage


@pytest.fixture
def storage(proxy: servers.CountingProxy, seaweed: servers.SeaweedS3) -> FSSpecStorage:
    made: FSSpecStorage = through(proxy, seaweed, grounds.folder("wire"))
    return made


# counts


@pytest.mark.parametrize("operation", FEW, ids=str)
def test_requests_are_within_the_budget(
    operation: Operation, proxy: servers.CountingProxy, seeded: FSSpecStorage
) -> None:
    made = wire.count(proxy, operation, seeded)
    assert len(made) == operation.budget, made


@pytest.fixture(scope="module")
def full() -> Iterator[tuple[servers.CountingProxy, FSSpecStorage]]:
    """A storage with a folder of many files, behind a proxy of its own."""
    # rclone serves folders: a bucket is filled in no time, before the server looks at it
    s3 = servers.RcloneS3()
    many = s3.directory / "data" / "full" / "wire" / "many"
    many.mkdir(parents=True)
    for number in range(wire.MANY):
        (many / f"{number:05}").touch()
    with started(lambda: s3), started(servers.CountingProxy, s3.port) as proxy:
        options = {**grounds.s3_options(s3, "", proxy.url), "prefix": "full/wire"}
        yield proxy, FSSpecStorage(**options)


@pytest.mark.slow
@pytest.mark.parametrize("operation", MANY, ids=str)
def test_requests_about_many_files_are_one_a_thousand(
    operation: Operation, full: tuple[servers.CountingProxy, FSSpecStorage]
) -> None:
    made = wire.count(full[0], operation, full[1])
    assert len(made) == operation.budget, made


@pytest.mark.soak
@pytest.mark.parametrize("operation", MANY, ids=str)
def test_requests_about_many_objects_are_one_a_thousand(
    operation: Operation, proxy: servers.CountingProxy, seaweed: servers.SeaweedS3
) -> None:
    folder = grounds.folder("wire")
    wire.seed(seaweed, folder, many=True)
    made = wire.count(proxy, operation, through(proxy, seaweed, folder))
    print(f"\nwire | {operation.label} | {len(made)} requests, budget {operation.budget}")
    assert len(made) == operation.budget, made


def methods(proxy: servers.CountingProxy) -> list[str]:
    return [request.method for request in proxy.requests()]


def test_each_clash_costs_a_put_and_a_look(
    proxy: servers.CountingProxy, storage: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    alternatives = iter(["b.txt", "c.txt", "d.txt"])
    monkeypatch.setattr(storage, "get_alternative_name", lambda *_: next(alternatives))
    for taken in ("a.txt", "b.txt", "c.txt"):
        storage.flows.run(storage.flows.save(taken, ContentFile(b"x"), overwrite=True, exact=True))
    proxy.reset()
    assert storage.save("a.txt", ContentFile(b"y")) == "d.txt"
    assert methods(proxy) == [*["PUT", "HEAD"] * 3, "PUT"]


def test_overwriting_is_one_put(proxy: servers.CountingProxy, seaweed: servers.SeaweedS3) -> None:
    storage = through(proxy, seaweed, grounds.folder("wire"), allow_overwrite=True)
    for content in (b"old", b"new"):
        proxy.reset()
        storage.save("a.txt", ContentFile(content))
        assert methods(proxy) == ["PUT"]
    assert storage.get_content("a.txt") == b"new"


def test_async_twins_make_the_same_requests(
    proxy: servers.CountingProxy, storage: FSSpecStorage
) -> None:
    async def use() -> None:
        name = await storage.asave("a.txt", ContentFile(b"x" * 10_000))
        assert await storage.aexists(name)
        assert await storage.asize(name) == 10_000
        assert len(await storage.aget_content(name)) == 10_000
        assert sum([len(chunk) async for chunk in storage.astream(name)]) == 10_000
        assert await storage.alistdir("") == ([], [name])
        await storage.adelete(name)

    proxy.reset()
    asyncio.run(use())
    assert methods(proxy) == ["PUT", "HEAD", "HEAD", "GET", "GET", "GET", "DELETE"]


def test_a_seek_costs_one_ranged_get(proxy: servers.CountingProxy, seeded: FSSpecStorage) -> None:
    proxy.reset()
    with seeded.open("large.bin") as file:
        file.read(100)
        file.seek(wire.LARGE - 10)
        assert file.read() == b"y" * 10
    assert methods(proxy) == ["GET", "GET"]


# waiting


class Recorder(Handler):
    """Takes anything that is PUT, and keeps its headers."""

    seen: ClassVar[list[dict[str, str]]] = []

    def do_PUT(self) -> None:  # noqa: N802 - the name that http.server looks for
        self.seen.append({key.lower(): value for key, value in self.headers.items()})
        self.body()
        self._send(b"", 200, "application/xml", {"ETag": '"etag"'})


def test_no_put_waits_for_leave_to_send() -> None:
    with LoopbackServer(0, Recorder) as recorder:
        threading.Thread(target=recorder.serve_forever, args=(0.01,), daemon=True).start()
        options = grounds.s3_options(
            server(servers.SeaweedS3),
            "wire",
            f"http://127.0.0.1:{recorder.server_address[1]}",
        )
        FSSpecStorage(**options).save("a.txt", ContentFile(b"x" * 3_000_000))
        recorder.shutdown()
    (headers,) = Recorder.seen
    assert "expect" not in headers
    assert headers["if-none-match"] == "*"


OPERATIONS_TRIED: dict[str, Callable[[FSSpecStorage], object]] = {
    "save": lambda s: s.save("a.txt", ContentFile(b"x")),
    "exists": lambda s: s.exists("a.txt"),
    "get_content": lambda s: s.get_content("a.txt"),
    "listdir": lambda s: s.listdir(""),
    "delete": lambda s: s.delete("a.txt"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tried", "retries"), [*((tried, 0) for tried in OPERATIONS_TRIED), ("save", 2), ("exists", 2)]
)
def test_a_server_that_never_answers_is_tried_as_often_as_told(tried: str, retries: int) -> None:
    with servers.BlackHole() as hole:
        storage = lost(hole.url, retries=retries)
        with pytest.raises(TimeoutError, match="did not answer"):
            OPERATIONS_TRIED[tried](storage)
        assert hole.connections().accepted == retries + 1


@pytest.mark.parametrize("tried", OPERATIONS_TRIED)
def test_a_closed_port_is_told(tried: str) -> None:
    storage = lost(f"http://127.0.0.1:{servers.closed_port()}", retries=0)
    with pytest.raises(StorageError, match="check the address"):
        OPERATIONS_TRIED[tried](storage)


def lost(url: str, *, retries: int) -> FSSpecStorage:
    options = grounds.s3_options(server(servers.SeaweedS3), "lost", url)
    storage = FSSpecStorage(**options, timeout=0.5, retries=retries)
    storage.url("a.txt")  # builds the client, which takes its time and makes no request
    return storage


# broken connections


@pytest.fixture
def large(proxy: servers.CountingProxy, storage: FSSpecStorage) -> bytes:
    data = numbered(1_000_000)
    storage.save("large.bin", ContentFile(data))
    proxy.reset()
    return data


@pytest.mark.slow
def test_a_cut_download_is_resumed(
    proxy: servers.CountingProxy, storage: FSSpecStorage, large: bytes
) -> None:
    proxy.cut_after(1_500_000)
    assert b"".join(storage.stream("large.bin")) == large
    assert (proxy.cuts(), methods(proxy)) == (1, ["GET", "GET"])
    proxy.reset()
    proxy.cut_after(1_500_000)
    assert storage.get_content("large.bin", 1000) == large[1000:]
    assert (proxy.cuts(), methods(proxy)) == (1, ["GET", "GET"])


@pytest.mark.slow
def test_a_download_cut_more_often_than_allowed_raises(
    proxy: servers.CountingProxy, seaweed: servers.SeaweedS3, storage: FSSpecStorage, large: bytes
) -> None:
    folder = storage.options.prefix.partition("/")[2]
    strict = through(proxy, seaweed, folder, retries=0)
    proxy.cut_after(1_500_000)
    with pytest.raises(StorageError):
        b"".join(strict.stream("large.bin"))
    assert methods(proxy) == ["GET"]


@pytest.mark.slow
def test_an_object_replaced_meanwhile_is_not_mixed(
    proxy: servers.CountingProxy, seaweed: servers.SeaweedS3, storage: FSSpecStorage, large: bytes
) -> None:
    proxy.cut_after(1_500_000)
    stream = storage.stream("large.bin")
    got = [next(stream)]
    client = seaweed.boto3_client()
    key = f"{storage.options.prefix.partition('/')[2]}/large.bin"
    client.put_object(Bucket=seaweed.bucket, Key=key, Body=large[::-1])
    client.close()
    with pytest.raises(StorageError):
        got.extend(stream)
    assert large.startswith(b"".join(got))
    assert (proxy.cuts(), methods(proxy)) == (1, ["GET", "GET"])
