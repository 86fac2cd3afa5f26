"""FileObject: any content in, and all about the file is known."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile

from django_fsspec import FileObject
from tests.helpers import file_objects
from tests.helpers.file_objects import ALL, DATA, OURS, SHA, contents, items, stored

aliases = file_objects.aliases


class Encrypting(File):  # type: ignore[type-arg]
    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        for chunk in super().chunks(chunk_size):
            yield bytes(255 - byte for byte in chunk)


class Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("alias", ALL)
@pytest.mark.parametrize("file_class", [io.BytesIO, Unseekable])
def test_chunks_of_a_file_are_what_is_saved(alias: str, file_class: type[io.BytesIO]) -> None:
    file = FileObject(alias, "a.bin", content=Encrypting(file_class(DATA), "a.bin"))
    file.save()
    encrypted = bytes(255 - byte for byte in DATA)
    assert file.checksum == "sha256:" + hashlib.sha256(encrypted).hexdigest()
    with file.storage.open(file.name) as opened:
        assert opened.read() == encrypted


@pytest.mark.parametrize("alias", ALL)
def test_saving_tells_all_about_the_file(alias: str) -> None:
    file = FileObject(alias, "docs/Report.txt", content=DATA)
    assert file.has_pending_data
    assert file.size == len(DATA)
    assert file.save() is file
    assert not file.has_pending_data
    assert (file.size, file.content_type, file.checksum) == (len(DATA), "text/plain", SHA)
    assert isinstance(file.last_modified, float)
    assert abs(file.last_modified - datetime.now(UTC).timestamp()) < 60
    assert file.original_name == file.metadata["original_name"] == "Report.txt"
    with file.storage.open(file.name) as opened:
        assert opened.read() == DATA
    assert file.exists()
    assert file.verify()


@pytest.mark.parametrize("alias", ALL)
def test_a_taken_name_becomes_another(alias: str) -> None:
    first, second = stored(alias, content=b"1"), stored(alias, content=b"2")
    assert first.name != second.name
    assert (first.get_content(), second.get_content()) == (b"1", b"2")
    assert second.original_name == "a.txt"


@pytest.mark.parametrize("alias", ["memory", "s3", "ram"])
def test_every_kind_of_content(alias: str, tmp_path: Path) -> None:
    for kind, content in contents(tmp_path).items():
        file = FileObject(alias, f"{kind}.bin", content=content).save()
        assert (file.size, file.checksum, file.get_content()) == (len(DATA), SHA, DATA), kind
        if hasattr(content, "close"):
            content.close()
    text = FileObject(alias, "text", content="né").save()
    assert text.get_content() == "né".encode()
    assert FileObject(alias, "empty", content=b"").save().size == 0


@pytest.mark.parametrize("alias", ALL)
def test_every_kind_of_content_by_await(alias: str, tmp_path: Path) -> None:
    async def run() -> None:
        for kind, content in {**contents(tmp_path), "async": items()}.items():
            file = await FileObject(alias, f"{kind}.bin", content=content).asave()
            assert (file.size, file.checksum) == (len(DATA), SHA), kind
            assert await file.aget_content() == DATA, kind
            if isinstance(content, io.IOBase | File):
                content.close()

    asyncio.run(run())


def test_a_large_async_iterable_is_sent_in_parts() -> None:
    async def many() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * (1 << 20)

    async def run() -> FileObject:
        file = await FileObject("s3", "large", content=many()).save_async()
        assert await file.averify()
        return file

    assert asyncio.run(run()).size == 20 << 20


@pytest.mark.parametrize("alias", OURS)
def test_cancelling_frees_the_thread_that_waits_for_an_item(alias: str) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    file = FileObject(alias, "a", content=never())

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(file.asave(), 0.2)

    asyncio.run(run())  # ends only when its threads do
    assert storages[alias].listdir("") == ([], [])
    assert file.has_pending_data


def test_a_path_is_read_when_it_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "My Report.txt"
    file = FileObject("memory", "x/y.txt", source_path=str(path))
    with pytest.raises(FileNotFoundError):
        file.save()
    path.write_text("late")
    assert file.save().get_content() == b"late"
    assert file.original_name == "My Report.txt"


def test_the_name_that_users_know() -> None:
    upload = SimpleUploadedFile("Größe.PDF", b"x", "application/pdf")
    assert FileObject("memory", "f/1", content=upload).save().original_name == "Größe.PDF"
    renamed = FileObject("memory", "Holiday.jpg", "f/2.jpg", content=upload).save()
    assert (renamed.name, renamed.original_name) == ("f/2.jpg", "Holiday.jpg")
    kept = FileObject("memory", "f/3", metadata={"original_name": "mine"}, content=upload)
    assert kept.save().original_name == "mine"


def test_content_type() -> None:
    assert FileObject("memory", "a.csv").content_type == "text/csv"
    upload = SimpleUploadedFile("x", b"x", "image/webp")
    assert FileObject("s3", "noext", content=upload).save().content_type == "image/webp"
    told = FileObject("s3", "noext", content_type="image/avif", content=b"x").save()
    assert told.refresh().content_type == "image/avif"
    assert told.save("b.txt", b"text").content_type == "text/plain"


def test_save_as_that_of_a_field_file() -> None:
    file = stored()
    file.metadata |= {"width": 3, "height": 4, "by": "me"}
    assert (file.width, file.height) == (3, 4)
    file.save("new/b.txt", ContentFile(b"other"), save=False)
    assert (file.name, file.size, file.get_content()) == ("new/b.txt", 5, b"other")
    assert file.metadata == {"original_name": "b.txt", "by": "me"}
    assert FileObject("memory", "c").save(b"alone").get_content() == b"alone"
    assert FileObject("memory", "d").save(content="text").get_content() == b"text"
    named = FileObject("memory", "e", content=b"x").save("f")
    assert named.name == "f"
    assert len(FileObject("memory", "n" * 50 + ".txt", content=b"").save(max_length=20).name) <= 20
