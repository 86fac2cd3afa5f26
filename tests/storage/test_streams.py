"""How often reading switches between the caller's thread and that of the requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server
from tests.helpers.utils import numbered
from tests.soak import grounds

pytestmark = pytest.mark.once

LARGE = numbered(1_000_000)  # 4 MB

READS: dict[str, Callable[[FSSpecStorage, str], Any]] = {
    "get_content()": lambda storage, name: storage.get_content(name),
    "stream()": lambda storage, name: b"".join(storage.stream(name)),
    "a part by stream()": lambda storage, name: b"".join(storage.stream(name, 0, 10_000)),
    "open().read()": lambda storage, name: storage.open(name).read(),
    "digest()": lambda storage, name: storage.digest(name),
}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> tuple[FSSpecStorage, list[str]]:
    """A storage on S3, and the calls that it makes in the thread of the requests."""
    storage = FSSpecStorage(**grounds.s3_options(server(servers.SeaweedS3), folder()))
    storage.save("small.bin", ContentFile(LARGE[:20_000]))
    storage.save("large.bin", ContentFile(LARGE))
    made: list[str] = []
    perform = storage.flows.perform

    def noting(step: Any) -> Any:
        made.append(step.function.__name__)
        return perform(step)

    monkeypatch.setattr(storage.flows, "perform", noting)
    return storage, made


@pytest.mark.parametrize("way", READS)
def test_a_small_file(way: str, steps: tuple[FSSpecStorage, list[str]]) -> None:
    storage, made = steps
    data = READS[way](storage, "small.bin")
    assert way == "digest()" or data == LARGE[: len(data)]
    assert made == ["read" if way == "get_content()" else "reader"]


def test_a_large_file(steps: tuple[FSSpecStorage, list[str]]) -> None:
    storage, made = steps
    pieces = list(storage.stream("large.bin"))
    assert b"".join(pieces) == LARGE
    # the first piece comes early, and none takes much memory
    assert max(map(len, pieces)) <= 256 * 1024
    assert made == ["reader", *["pieces"] * 5]
    made.clear()
    with storage.open("large.bin") as file:
        assert file.read() == LARGE
    assert made == ["reader", "rest"]
    made.clear()
    with storage.open("large.bin") as file:
        pieces = list(file.chunks())
    assert b"".join(pieces) == LARGE
    assert max(map(len, pieces)) <= 256 * 1024
    assert made == ["reader", *["pieces"] * 5]
    made.clear()
    assert storage.digest("large.bin")[0] == len(LARGE)
    assert made == ["reader", *["pieces"] * 4]


def test_a_small_file_keeps_no_connection(steps: tuple[FSSpecStorage, list[str]]) -> None:
    storage, _ = steps
    adapter: Any = storage.flows.adapter
    free = adapter.connection_limit._free
    files = [storage.open("small.bin") for _ in range(free + 1)]
    assert adapter.connection_limit._free == free
    assert {file.read(9) for file in files} == {LARGE[:9]}
    assert {file.read() for file in files} == {LARGE[9:20_000]}
    for file in files:
        file.close()
        with pytest.raises(ValueError, match="closed"):
            file.read()
