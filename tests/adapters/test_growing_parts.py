"""Streams of unknown length fit into as many parts as a service takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_fsspec.core.source import Source, part_size
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server
from tests.soak import grounds

pytestmark = pytest.mark.once

MIB = 1024 * 1024


class Stream:
    """Content that does not tell how long it is."""

    def __init__(self, mib: int) -> None:
        self._mib = mib

    def chunks(self) -> Iterator[bytes]:
        for number in range(self._mib):
            yield number.to_bytes(4, "big") * (MIB // 4)


def _s3() -> dict[str, Any]:
    options = grounds.s3_options(server(servers.SeaweedS3), folder())
    return {**options, "chunk_size": 5 * MIB}


def _azure() -> dict[str, Any]:
    azure = server(servers.Azurite)
    prefix = f"{azure.container}/{folder()}"
    return {"fs": "abfs", "prefix": prefix, "fs_options": azure.fs_options, "chunk_size": 2 * MIB}


SERVICES: dict[str, tuple[str, Callable[[], dict[str, Any]], int]] = {
    "S3": ("django_fsspec.adapters.s3.client.MAX_PARTS", _s3, 24),
    "Azure": ("django_fsspec.adapters.azure.client.MAX_BLOCKS", _azure, 9),
}


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
def test_a_stream_is_stored_in_growing_parts(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, options, mib = SERVICES[service]
    # three parts: of the first size, three and five times that
    monkeypatch.setattr(limit, 3)
    storage = FSSpecStorage(**options())
    taken: list[int] = []
    original = Source.read

    def noting(self: Source, size: int) -> bytes:
        data = original(self, size)
        taken.append(len(data))
        return data

    monkeypatch.setattr(Source, "read", noting)
    stat = storage.store("stream.bin", Stream(mib))
    assert stat.size == mib * MIB
    assert storage.digest("stream.bin", "sha256") == (stat.size, stat.checksum)
    assert len([size for size in taken if size]) == 3


@pytest.mark.parametrize(
    ("first", "most", "largest"), [(8 * MIB, 10_000, 5 * 1024**3), (8 * MIB, 50_000, 4000 * MIB)]
)
def test_parts_stay_within_what_services_take(first: int, most: int, largest: int) -> None:
    sizes = [part_size(number, first, most, None) for number in range(1, most + 1)]
    assert sizes == sorted(sizes)
    assert sizes[0] == first
    assert set(sizes[: most // 2]) == {first}
    assert sizes[-1] == 21 * first <= largest
    assert sum(sizes) == 6.5 * first * most


def test_parts_of_a_known_size_are_alike() -> None:
    sizes = {part_size(number, 8 * MIB, 10_000, 1024**4) for number in (1, 5000, 10_000)}
    assert sizes == {-(-(1024**4) // 10_000)}
