"""Answers of S3 that mean "again later": what is tried again, how often, and what it means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server
from tests.soak import grounds
from tests.soak.faults.message import Message
from tests.soak.faults.scripted import Refusal, Scripted

pytestmark = [pytest.mark.once, pytest.mark.slow]

LARGE = 6 * 1024 * 1024
LATER: list[Refusal] = [
    (409, "OperationAborted"),
    (409, "ConditionalRequestConflict"),
    (429, "TooManyRequests"),
]


@pytest.fixture
def way() -> Iterator[Scripted]:
    """A way to the server that a test tells what to do."""
    with Scripted(server(servers.SeaweedS3).port) as running:
        yield running


@pytest.fixture
def storage(way: Scripted) -> FSSpecStorage:
    """A storage on that way, whose client has made a request of each method before."""
    options = grounds.s3_options(server(servers.SeaweedS3), folder(), way.url)
    storage = FSSpecStorage(**options, chunk_size=5 * 1024 * 1024, retries=2)
    storage.save("first", ContentFile(b"x"))
    storage.get_content("first")
    storage.size("first")
    storage.delete("none")
    way.seen.clear()
    return storage


def refuse(way: Scripted, answer: Refusal, which: Callable[[Message], bool], times: int) -> None:
    """Have the next `times` requests of a kind refused."""
    left = [answer] * times
    way.fate = lambda request: left.pop() if left and which(request) else None


def is_put(request: Message) -> bool:
    return request.method == "PUT"


def is_end(request: Message) -> bool:
    return request.completes and request.method == "POST"


SAVES: dict[str, tuple[int, Callable[[Message], bool]]] = {
    "small": (10, is_put),
    "one request": (300_000, is_put),
    "parts": (LARGE, is_put),
    "end of parts": (LARGE, is_end),
}


@pytest.mark.parametrize("answer", LATER, ids=str)
@pytest.mark.parametrize("kind", SAVES)
def test_a_save_keeps_its_name(
    way: Scripted, storage: FSSpecStorage, kind: str, answer: Refusal
) -> None:
    size, which = SAVES[kind]
    refuse(way, answer, which, 1)
    assert storage.save("a.bin", ContentFile(b"x" * size)) == "a.bin"
    assert storage.size("a.bin") == size


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        *(("small", answer) for answer in LATER),
        *((kind, LATER[0]) for kind in SAVES if kind != "small"),
    ],
    ids=str,
)
def test_a_save_ends_after_as_many_tries_as_told(
    way: Scripted, storage: FSSpecStorage, kind: str, answer: Refusal
) -> None:
    size, which = SAVES[kind]
    refuse(way, answer, which, 1000)
    with pytest.raises(StorageError):
        storage.save("a.bin", ContentFile(b"x" * size))
    tries = Counter("partNumber=2" in r.query for r in way.seen if which(r))
    assert max(tries.values()) == 3
    assert [name for name in storage.listdir("")[1] if name != "first"] == []


OTHERS: dict[str, Callable[[FSSpecStorage], Any]] = {
    "copy": lambda storage: storage.copy("first", "copied"),
    "get_content": lambda storage: storage.get_content("first"),
    "exists": lambda storage: storage.exists("first"),
    "listdir": lambda storage: storage.listdir(""),
    "delete": lambda storage: storage.delete("first"),
}


@pytest.mark.parametrize("answer", LATER, ids=str)
@pytest.mark.parametrize("kind", OTHERS)
def test_other_requests(way: Scripted, storage: FSSpecStorage, kind: str, answer: Refusal) -> None:
    refuse(way, answer, lambda request: True, 1)
    OTHERS[kind](storage)
    way.seen.clear()
    refuse(way, answer, lambda request: True, 1000)
    with pytest.raises(StorageError):
        OTHERS[kind](storage)
    assert len(way.seen) == 3


def test_a_taken_name_is_not_asked_for_twice(way: Scripted, storage: FSSpecStorage) -> None:
    assert storage.save("first", ContentFile(b"y")) != "first"
    # the HEAD tells whether it is our own: the client may have sent the PUT twice
    assert way.methods == ["PUT", "HEAD", "PUT"]
