"""Files open for reading and writing, where sync and async code, bytes and text meet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from django_fsspec.testing import override_storage
from tests.helpers.backends import _local, _s3, folder
from tests.servers import SeaweedS3

pytestmark = pytest.mark.once

TEXT = "grüße, ".encode() * 30_000


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    options = _local(folder()) if request.param == "local" else _s3(SeaweedS3)(folder())
    with override_storage(media=options):
        storages["media"].save("a.txt", ContentFile(TEXT))
        yield storages["media"]


def test_async_reads_go_on_where_sync_ones_stopped(place: Any) -> None:
    async def rest(file: Any) -> list[bytes]:
        return [await file.aread(5), await file.aread()]

    with place.open("a.txt") as file:
        assert file.stat.size == file.size == len(TEXT)
        first = file.read(3)
        assert b"".join([first, *asyncio.run(rest(file))]) == TEXT
    with pytest.raises(ValueError, match="closed file"):
        asyncio.run(rest(file))


@pytest.mark.parametrize("mode", ["rb", "r"])
def test_async_chunks_are_bytes_from_the_start(place: Any, mode: str) -> None:
    async def chunks(file: Any) -> list[bytes]:
        return [chunk async for chunk in file.achunks(100_000)]

    with place.open("a.txt", mode) as file:
        file.read(3)
        pieces = asyncio.run(chunks(file))
    assert b"".join(pieces) == TEXT
    assert max(map(len, pieces)) == 100_000


def test_text_in_async_code_is_cut_between_characters(place: Any) -> None:
    async def read() -> list[str]:
        async with await place.aopen("a.txt", "r") as file:
            return [await file.aread(4), await file.aread(3), await file.aread()]

    assert asyncio.run(read())[:2] == ["grüß", "e, "]
    assert "".join(asyncio.run(read())) == TEXT.decode()


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_the_size_of_what_was_written_so_far(place: Any, mode: str) -> None:
    with place.open("b.txt", mode) as file:
        file.write("grüße" if mode == "w" else b"12345")
        assert file.size == (7 if mode == "w" else 5)
        file.write("!" if mode == "w" else b"!")
    assert place.size("b.txt") == (8 if mode == "w" else 6)
    file.close()  # again: nothing is stored anew
    assert place.size("b.txt") == (8 if mode == "w" else 6)


def test_what_is_written_in_async_code_is_given_up_by_an_exception(place: Any) -> None:
    async def write_half() -> None:
        async with await place.aopen("a.txt", "wb") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(write_half())
    assert place.get_content("a.txt") == TEXT


def test_what_an_open_file_refuses(place: Any) -> None:
    with place.open("a.txt") as file:
        with pytest.raises(ValueError, match=r"open as 'rb'|mode"):
            file.open("wb")
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)
        assert file.read() == TEXT
