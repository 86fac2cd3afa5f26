"""FileObject as the file it is: opened, read, written, signed, deleted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.core.files.base import File
from django.core.files.storage import storages

from django_fsspec import FileObject
from django_fsspec.exceptions import NotSupported
from django_fsspec.testing import override_storage
from tests.helpers import file_objects
from tests.helpers.file_objects import ALL, DATA, OURS, stored

aliases = file_objects.aliases


@pytest.mark.parametrize("alias", ALL)
def test_a_file_object_is_what_a_field_file_is(alias: str) -> None:
    file = FileObject.from_dict(stored(alias, content=b"one\ntwo\n").to_dict())
    assert file
    assert str(file) == file.name == file.filename == "docs/a.txt"
    assert isinstance(file, File)
    assert file.storage is storages[alias]
    assert file.closed
    assert file.read(3) == b"one"
    assert not file.closed
    assert (file.tell(), file.seek(4)) == (3, 4)
    assert file.read() == b"two\n"
    assert list(file) == [b"one\n", b"two\n"]
    assert b"".join(file.chunks(2)) == b"one\ntwo\n"
    file.close()
    assert file.closed
    with file.open() as opened:
        assert opened.read() == b"one\ntwo\n"
    with file.open("r") as opened:
        assert opened.read() == "one\ntwo\n"
    assert file.closed
    if alias in ("local", "disk"):
        assert Path(file.path).read_bytes() == b"one\ntwo\n"
    assert file.url
    file.delete()
    assert not file.exists()
    file.delete()


@pytest.mark.parametrize("alias", ALL)
def test_ranges_and_streams(alias: str) -> None:
    file = stored(alias)
    assert file.get_content(3, 10) == DATA[3:10]
    assert file.get_content(-5) == DATA[-5:]
    assert file.get_content(10, 3) == b""
    assert b"".join(file.stream()) == DATA
    assert b"".join(file.stream(100, 9000)) == DATA[100:9000]


@pytest.mark.parametrize("alias", OURS)
def test_writing_is_known_after_closing(alias: str) -> None:
    file = stored(alias)
    with file.open("wb") as opened:
        opened.write(b"rewritten")
    assert (file.size, file.checksum, file.get_content()) == (9, None, b"rewritten")
    with suppress(KeyError), file.open("wb") as opened:
        opened.write(b"half")
        raise KeyError
    assert file.get_content() == b"rewritten"
    assert file.closed


@pytest.mark.parametrize("alias", OURS)
def test_writing_in_async_code_is_given_up_by_an_exception(alias: str) -> None:
    file = stored(alias)

    async def write_half() -> None:
        async with await file.aopen("wb") as opened:
            await sync_to_async(opened.write)(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(write_half())
    assert file.closed
    assert file.get_content() == DATA


def test_chunks_come_from_the_storage_that_was_there_when_they_were_asked_for() -> None:
    file = stored("memory")
    pieces = file.chunks(4000)
    with override_storage("memory"):
        assert [len(piece) for piece in pieces] == [4000, 4000, 2240]
        assert not file.exists()
    assert b"".join(file.chunks()) == DATA


def test_signing() -> None:
    assert "X-Amz-Signature" in stored("s3").sign(60, content_type="text/csv")
    assert "X-Amz-Signature" in FileObject("s3", "free").sign(for_upload=True)
    assert stored("ram").sign() == "/r/docs/a.txt"
    with pytest.raises(NotSupported):
        stored("ram").sign(60)
