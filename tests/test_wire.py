"""What goes over the wire to S3: counted by a proxy, within the budget of the design."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.servers.loopback import Handler, LoopbackServer
from tests.soak import grounds, wire
from tests.soak.wire import OPERATIONS, Operation
from tests.support import started

FEW = [operation for operation in OPERATIONS if not operation.many]
MANY = [operation for operation in OPERATIONS if operation.many]


@pytest.fixture(scope="module")
def seaweed() -> servers.SeaweedS3:
    return grounds.server(servers.SeaweedS3)


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
    operation: Operation, proxy: servers.CountingProxy, seaweed: servers.SeaweedS3
) -> None:
    folder = grounds.folder("wire")
    wire.seed(seaweed, folder, many=False)
    storage = through(proxy, seaweed, folder)
    made = wire.count(proxy, operation, storage)
    assert len(made) == operation.budget, made


@pytest.mark.parametrize("operation", MANY, ids=str)
def test_requests_about_many_files_are_one_a_thousand(operation: Operation) -> None:
    # rclone serves a folder, which is filled in no time
    s3 = grounds.server(servers.RcloneS3)
    folder = grounds.folder("wire")
    many = s3.directory / "data" / s3.bucket / folder / "many"
    many.mkdir(parents=True)
    for number in range(wire.MANY):
        (many / f"{number:05}").touch()
    with started(servers.CountingProxy, s3.port) as proxy:
        made = wire.count(proxy, operation, through(proxy, s3, folder))
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


def test_each_clash_costs_one_put(
    proxy: servers.CountingProxy, storage: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    alternatives = iter(["b.txt", "c.txt", "d.txt"])
    monkeypatch.setattr(storage, "get_alternative_name", lambda *_: next(alternatives))
    for taken in ("a.txt", "b.txt", "c.txt"):
        storage.backend.run(
            storage.backend.save(taken, ContentFile(b"x"), overwrite=True, exact=True)
        )
    proxy.reset()
    assert storage.save("a.txt", ContentFile(b"y")) == "d.txt"
    assert methods(proxy) == ["PUT"] * 4


def test_overwriting_is_one_put(proxy: servers.CountingProxy, seaweed: servers.SeaweedS3) -> None:
    storage = through(proxy, seaweed, grounds.folder("wire"), allow_overwrite=True)
    for content in (b"old", b"new"):
        proxy.reset()
        storage.save("a.txt", ContentFile(content))
        assert methods(proxy) == ["PUT"]
    assert storage.get_content("a.txt") == b"new"


async def test_async_twins_make_the_same_requests(
    proxy: servers.CountingProxy, storage: FSSpecStorage
) -> None:
    proxy.reset()
    name = await storage.asave("a.txt", ContentFile(b"x" * 10_000))
    assert await storage.aexists(name)
    assert await storage.asize(name) == 10_000
    assert len(await storage.aget_content(name)) == 10_000
    assert sum([len(chunk) async for chunk in storage.astream(name)]) == 10_000
    assert await storage.alistdir("") == ([], [name])
    await storage.adelete(name)
    assert methods(proxy) == ["PUT", "HEAD", "HEAD", "GET", "GET", "GET", "DELETE"]


def test_a_seek_costs_one_ranged_get(
    proxy: servers.CountingProxy, seeded: FSSpecStorage
) -> None:
    proxy.reset()
    with seeded.open("large.bin") as file:
        file.read(100)
        file.seek(wire.LARGE - 10)
        assert file.read() == b"y" * 10
    assert methods(proxy) == ["GET", "GET"]


# waiting


class Recorder(Handler):
    """Takes anything that is PUT, and keeps its headers."""

    seen: list[dict[str, str]] = []

    def do_PUT(self) -> None:
        self.seen.append({key.lower(): value for key, value in self.headers.items()})
        self.body()
        self._send(b"", 200, "application/xml", {"ETag": '"etag"'})


def test_no_put_waits_for_leave_to_send() -> None:
    import threading

    with LoopbackServer(0, Recorder) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        options = grounds.s3_options(
            grounds.server(servers.SeaweedS3),
            "wire",
            f"http://127.0.0.1:{server.server_address[1]}",
        )
        FSSpecStorage(**options).save("a.txt", ContentFile(b"x" * 3_000_000))
        server.shutdown()
    (headers,) = Recorder.seen
    assert "expect" not in headers
    assert headers["if-none-match"] == "*"


TRIES = {
    "save": lambda s: s.save("a.txt", ContentFile(b"x")),
    "exists": lambda s: s.exists("a.txt"),
    "get_content": lambda s: s.get_content("a.txt"),
    "listdir": lambda s: s.listdir(""),
    "delete": lambda s: s.delete("a.txt"),
}


def unreachable(url: str, retries: int) -> FSSpecStorage:
    fs_options = {**servers.SeaweedS3().fs_options_for(url)} if False else {}
    return FSSpecStorage(fs="s3", prefix="bucket", fs_options=fs_options, retries=retries)
