"""FileObject: bad input, which stores nothing, and what waits to be saved."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage, default_storage, storages
from django.core.files.uploadedfile import SimpleUploadedFile
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from django_fsspec import FileObject
from django_fsspec.storage import FSSpecStorage
from tests.helpers import file_objects
from tests.helpers.file_objects import ALL, DATA, broken, contents, items, stored
from tests.helpers.web import WebServer

aliases = file_objects.aliases


@pytest.mark.parametrize("content", [5, 1.5, object(), {"a": 1}, True])
def test_content_that_is_none(content: Any) -> None:
    with pytest.raises(TypeError, match=type(content).__name__):
        FileObject("memory", "a", content=content)
    with pytest.raises(TypeError, match=type(content).__name__):
        FileObject("memory", "a").save(content=content)


def test_nothing_to_save() -> None:
    with pytest.raises(TypeError, match="nothing to save"):
        FileObject("memory", "a").save()
    with pytest.raises(TypeError, match="nothing to save"):
        FileObject("memory", "a").save("text?")


def test_constructor_refuses() -> None:
    with pytest.raises(ValueError, match="filename"):
        FileObject("memory", "")
    with pytest.raises(TypeError, match="filename must be a str"):
        FileObject("memory", 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size"):
        FileObject("memory", "a", size=-1)
    with pytest.raises(ValueError, match="not both"):
        FileObject("memory", "a", source_path="x", content=b"x")
    with pytest.raises(TypeError, match="backend"):
        FileObject(5, "a")  # type: ignore[arg-type]


@pytest.mark.parametrize("alias", ALL)
def test_content_that_raises_stores_nothing(alias: str) -> None:
    file = FileObject(alias, "a.txt", content=broken())
    before = repr(vars(file))
    with pytest.raises(KeyError, match="from the content"):
        file.save()
    assert repr(vars(file)) == before
    assert file.has_pending_data
    assert not storages[alias].exists("a.txt")
    # what is left of the iterator is not the content
    with pytest.raises(ValueError, match="only once"):
        file.save()
    with pytest.raises(ValueError, match="only once"):
        asyncio.run(file.asave())
    assert file.save(content=b"again").get_content() == b"again"


def test_items_that_are_no_bytes() -> None:
    with pytest.raises(TypeError, match="must give bytes or str, not int"):
        FileObject("memory", "a", content=[b"a", 1]).save()
    assert not storages["memory"].exists("a")


@pytest.mark.parametrize("kind", ["file", "upload"])
def test_a_closed_file(kind: str) -> None:
    content = io.BytesIO(DATA) if kind == "file" else SimpleUploadedFile("a", DATA)
    content.close()
    file = FileObject("memory", "a", content=content)
    with pytest.raises(ValueError, match="closed"):
        file.save()
    assert file.has_pending_data
    assert not storages["memory"].exists("a")


def test_a_failed_save_can_be_tried_again(tmp_path: Path) -> None:
    for kind, content in contents(tmp_path).items():
        file = FileObject("memory", "/absolute", content=content)
        with pytest.raises(SuspiciousFileOperation, match="absolute"):
            file.save()
        assert file.has_pending_data
        assert file.save(f"{kind}.bin").get_content() == DATA, kind
        if hasattr(content, "close"):
            content.close()


def test_an_async_iterable_needs_a_loop() -> None:
    file = FileObject("memory", "a", content=items())
    with pytest.raises(TypeError, match=r"await asave\(\)"):
        file.save()
    assert asyncio.run(file.asave()).get_content() == DATA


def test_what_waits_does_not_touch_a_file_of_the_same_name() -> None:
    stored(name="a.txt")
    waits = FileObject("memory", "a.txt", content=b"mine")
    with pytest.raises(ValueError, match="unsaved content"):
        waits.delete()
    with pytest.raises(ValueError, match="unsaved content"):
        _ = waits.url
    assert waits.read() == b"mine"
    assert b"".join(waits.chunks()) == b"mine"
    assert waits.save().get_content() == b"mine"
    assert FileObject("memory", "a.txt").get_content() == DATA


def test_what_waits_can_be_read(tmp_path: Path) -> None:
    once = ("generator", "list", "chunks")
    for kind, content in contents(tmp_path).items():
        file = FileObject("memory", f"{kind}.bin", content=content)
        if kind in once:
            with pytest.raises(ValueError, match="before it is saved"):
                file.read()
        else:
            assert (file.read(5), file.read()) == (DATA[:5], DATA[5:]), kind
            file.close()
        assert file.save().get_content() == DATA, kind
        if hasattr(content, "close"):
            content.close()
    with pytest.raises(ValueError, match="'rb' only"):
        FileObject("memory", "a", content=b"x").open("wb")


def test_an_unknown_alias_is_told_when_it_is_used() -> None:
    file = FileObject("nowhere", "a.txt", size=3)
    assert (file.size, file.content_type, str(file)) == (3, "text/plain", "a.txt")
    with pytest.raises(ImproperlyConfigured, match=r"'nowhere' is not in STORAGES.*'memory'"):
        file.read()


def test_storages_become_their_aliases() -> None:
    for alias in ALL:
        assert FileObject(storages[alias], "a").backend == alias
    assert FileObject(default_storage, "a").backend == "default"
    for storage in (FSSpecStorage(fs="memory", prefix="by-hand"), FileSystemStorage("/by/hand")):
        with pytest.raises(ValueError, match="not in STORAGES"):
            FileObject(storage, "a")


def test_the_body_of_a_response_of_aiohttp_is_content() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=DATA)

    async def download(url: str) -> FileObject:
        async with ClientSession() as session, session.get(url) as response:
            return await FileObject("memory", "a.bin", content=response.content).asave()

    with WebServer(answer) as server:
        assert asyncio.run(download(server.url)).get_content() == DATA


def test_an_async_reader_that_can_not_be_iterated_is_refused() -> None:
    class Reader:
        async def read(self, size: int = -1) -> bytes:
            return DATA

    with pytest.raises(TypeError, match="not Reader"):
        FileObject("memory", "a", content=Reader())


def test_a_path_of_another_class(tmp_path: Path) -> None:
    class Place:
        def __fspath__(self) -> str:
            return str(tmp_path / "a.txt")

    (tmp_path / "a.txt").write_bytes(DATA)
    assert FileObject("memory", "b.txt", content=Place()).save().get_content() == DATA


@pytest.mark.parametrize("error", [AttributeError, io.UnsupportedOperation, OSError])
def test_a_reader_that_does_not_know_its_place_is_read_once(error: type[Exception]) -> None:
    class Tape:
        def __init__(self) -> None:
            self.rest = [b"two", b"one"]

        def seekable(self) -> bool:
            return True

        def tell(self) -> int:
            raise error("no position")

        def read(self, size: int = -1) -> bytes:
            return self.rest.pop() if self.rest else b""

    file = FileObject("memory", "/absolute", content=Tape())
    with pytest.raises(SuspiciousFileOperation):
        file.save()
    assert file.save("a.bin").get_content() == b"onetwo"


def test_unsaved_content_has_no_json(aliases: None) -> None:
    """A task that gets it would read another file of that name."""
    file = FileObject("memory", "a.txt", content=b"one")
    with pytest.raises(ValueError, match="unsaved content"):
        file.to_dict()
    with pytest.raises(PydanticSerializationError, match="unsaved content"):
        TypeAdapter(FileObject).dump_python(file)
    assert file.save().to_dict()["size"] == 3
