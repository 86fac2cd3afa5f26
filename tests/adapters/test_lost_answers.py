"""The answer to a create is lost: what is there then is the save's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage
from tests.helpers.scripted_services import SERVICES, creates
from tests.soak.faults.scripted import Scripted

pytestmark = pytest.mark.once

LARGE = 6 * 1024 * 1024


@pytest.fixture(params=SERVICES)
def ways(request: pytest.FixtureRequest) -> Iterator[tuple[Scripted, FSSpecStorage]]:
    """A way to a service that a test tells what to lose, and a storage on it."""
    port, options = SERVICES[request.param]()
    with Scripted(port) as way:
        storage = FSSpecStorage(**options(way.url), chunk_size=5 * 1024 * 1024, timeout=10)
        storage.save("first", ContentFile(b"x"))
        yield way, storage


def lose(way: Scripted) -> None:
    """Lose the answer to the next request that makes an object."""
    left = ["lost"]
    way.fate = lambda request: left.pop() if left and creates(request) else None


def other_files(storage: FSSpecStorage) -> list[str]:
    return [name for name in storage.listdir("")[1] if name != "first"]


@pytest.mark.parametrize(
    ("name", "size"),
    [("a.bin", 10), ("a.bin", 300_000), ("a.bin", LARGE), ("a_Ab3dEfg.bin", 10)],
    ids=["small", "one request", "parts", "with a random part"],
)
def test_a_save_is_known_by_its_own(
    ways: tuple[Scripted, FSSpecStorage], size: int, name: str
) -> None:
    way, storage = ways
    content = name.encode() * (size // len(name))
    lose(way)
    stat = storage.store(name, ContentFile(content), metadata={"by": "me"})
    if way.faults["lost"] == 0:
        # the emulator's resumable uploads end in a request of its own
        assert size == LARGE
    assert (stat.name, stat.size, stat.metadata) == (name, len(content), {"by": "me"})
    assert stat.checksum is not None
    assert other_files(storage) == [name]
    assert storage.get_content(name) == content
    assert storage.stat(name).metadata == {"by": "me"}


def test_a_save_without_metadata(ways: tuple[Scripted, FSSpecStorage]) -> None:
    way, storage = ways
    lose(way)
    assert asyncio.run(storage.asave("b.bin", ContentFile(b"b"))) == "b.bin"
    assert way.faults["lost"] == 1
    assert other_files(storage) == ["b.bin"]
    assert storage.stat("b.bin").metadata == {}


@pytest.mark.slow
@pytest.mark.parametrize("size", [10, LARGE], ids=["small", "parts"])
def test_a_file_opened_for_creation(ways: tuple[Scripted, FSSpecStorage], size: int) -> None:
    way, storage = ways
    lose(way)
    with storage.open("x.bin", "xb") as file:
        file.write(b"x" * size)
    assert storage.size("x.bin") == size
    with pytest.raises(FileExistsError), storage.open("x.bin", "xb") as file:
        file.write(b"y")


@pytest.mark.parametrize("size", [10, LARGE], ids=["small", "parts"])
def test_a_file_that_is_replaced(ways: tuple[Scripted, FSSpecStorage], size: int) -> None:
    way, storage = ways
    lose(way)
    saving = storage.flows.save("first", ContentFile(b"y" * size), overwrite=True)
    assert storage.flows.run(saving).size == size
    assert storage.get_content("first") == b"y" * size


def test_a_copy_with_a_random_part(ways: tuple[Scripted, FSSpecStorage]) -> None:
    way, storage = ways
    lose(way)
    assert storage.copy("first", "copy_Ab3dEfg.bin") == "copy_Ab3dEfg.bin"
    assert way.faults["lost"] == 1
    assert other_files(storage) == ["copy_Ab3dEfg.bin"]


def test_what_somebody_else_stored_meanwhile_is_not_taken_for_own(
    ways: tuple[Scripted, FSSpecStorage],
) -> None:
    way, storage = ways
    storage.save("c.bin", ContentFile(b"theirs"))
    busy = [(503, "SlowDown")]
    way.fate = lambda request: busy.pop() if busy and creates(request) else None
    name = storage.save("c.bin", ContentFile(b"theirs"))
    assert busy == []
    assert name != "c.bin"
    assert sorted(other_files(storage)) == sorted(["c.bin", name])
