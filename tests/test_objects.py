"""FileObject: any content in, one request, nine keys out; the same by await."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import inspect
import io
import json
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydantic
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, default_storage, storages
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.test import override_settings

import django_fsspec
from django_fsspec import FileObject
from django_fsspec.exceptions import NotSupported
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.backends import _local, _memory, _s3, folder, server
from tests.soak import grounds
from tests.support import started

DATA = bytes(range(256)) * 40
SHA = "sha256:" + hashlib.sha256(DATA).hexdigest()
NINE = [
    "filename",
    "content_type",
    "size",
    "last_modified",
    "checksum",
    "etag",
    "version_id",
    "metadata",
    "backend",
]


def _foreign(backend: str, **options: Any) -> dict[str, Any]:
    return {"BACKEND": f"django.core.files.storage.{backend}", "OPTIONS": options}


@pytest.fixture(autouse=True)
def aliases(tmp_path: Path) -> Iterator[None]:
    """One alias a kind; "near" is another folder on the disk of "local"."""
    root = folder()
    ours = {
        "local": _local(root),
        "near": _local(f"{root}-near"),
        "memory": _memory(root),
        "s3": _s3(servers.SeaweedS3)(root),
        "s3-near": _s3(servers.SeaweedS3)(f"{root}-near"),
    }
    theirs = {
        "disk": _foreign("FileSystemStorage", location=str(tmp_path / "disk"), base_url="/d/"),
        "ram": _foreign("InMemoryStorage", base_url="/r/"),
    }
    with override_storage(**ours), override_settings(STORAGES={**settings.STORAGES, **theirs}):
        yield


OURS = ["local", "memory", "s3"]
ALL = [*OURS, "disk", "ram"]


def stored(alias: str = "memory", name: str = "docs/a.txt", content: Any = DATA) -> FileObject:
    return FileObject(alias, name, content=content).save()


# what is saved


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


class Slow:
    """Content with chunks() alone."""

    def chunks(self) -> Iterator[bytes]:
        yield DATA[:100]
        yield DATA[100:]


async def items() -> AsyncIterator[bytes]:
    for start in range(0, len(DATA), 1000):
        await asyncio.sleep(0)
        yield DATA[start : start + 1000]


def contents(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "source.bin"
    path.write_bytes(DATA)
    temporary = TemporaryUploadedFile("up.bin", "application/x-up", len(DATA), None)
    temporary.write(DATA)
    return {
        "bytes": DATA,
        "bytearray": bytearray(DATA),
        "memoryview": memoryview(DATA),
        "file": open(path, "rb"),
        "memory": io.BytesIO(DATA),
        "upload": SimpleUploadedFile("up.bin", DATA),
        "temporary upload": temporary,
        "Django file": File(io.BytesIO(DATA)),
        "path": path,
        "list": [DATA[:5], DATA[5:]],
        "generator": (DATA[i : i + 7] for i in range(0, len(DATA), 7)),
        "chunks": Slow(),
    }


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


# bad input


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


def broken() -> Iterator[bytes]:
    yield b"some"
    raise KeyError("from the content")


@pytest.mark.parametrize("alias", ALL)
def test_content_that_raises_stores_nothing(alias: str) -> None:
    file = FileObject(alias, "a.txt", content=broken())
    before = file.to_dict()
    with pytest.raises(KeyError, match="from the content"):
        file.save()
    assert file.to_dict() == before
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
    with pytest.raises(ValueError, match="not saved yet"):
        waits.delete()
    with pytest.raises(ValueError, match="not saved yet"):
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
        with pytest.raises(ValueError, match="made by hand"):
            FileObject(storage, "a")


# open for writing


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


# refresh, verify, copy


@pytest.mark.parametrize("alias", ALL)
def test_refresh_and_verify(alias: str) -> None:
    file = stored(alias)
    row = file.to_dict()
    assert file.refresh() is file
    assert file.checksum == SHA
    assert file.content_type == row["content_type"]
    file.storage.delete(file.name)
    file.storage.save(file.name, ContentFile(b"tampered"))
    assert not file.verify()
    file.refresh()
    assert file.size == 8
    assert file.to_dict()["checksum"] is None
    with pytest.raises(ValueError, match="can't be verified"):
        file.verify()
    file.delete()
    with pytest.raises(FileNotFoundError):
        file.refresh()


def test_checksums_of_other_algorithms() -> None:
    file = stored()
    file.checksum = "md5:" + hashlib.md5(DATA).hexdigest()
    assert file.verify()
    file.checksum = "rot13:x"
    with pytest.raises(ValueError, match="rot13"):
        file.verify()


def test_what_was_packed_is_verified_as_stored() -> None:
    options = {**_s3(servers.SeaweedS3)(folder()), "gzip": True}
    with override_storage(packed=options):
        file = FileObject("packed", "a.txt", content=b"x" * 10_000).save()
        assert file.size is not None
        assert file.size < 1000
        assert file.verify()
        assert file.get_content() == b"x" * 10_000
        plain = file.copy_to("s3")
        assert (plain.size, plain.get_content()) == (10_000, b"x" * 10_000)
        assert plain.verify()


@pytest.mark.parametrize("goal", [*ALL, "near", "s3-near"])
@pytest.mark.parametrize("alias", ALL)
def test_copy_to(alias: str, goal: str) -> None:
    file = FileObject(alias, "f/a.bin", content_type="image/avif", content=DATA).save()
    file.metadata["width"] = 7
    made = file.copy_to(goal)
    assert (made.backend, made.get_content(), made.verify()) == (goal, DATA, True)
    assert (made.content_type, made.metadata) == ("image/avif", file.metadata)
    assert made.metadata is not file.metadata
    assert (made.name == file.name) == (alias != goal)
    assert made.refresh().content_type == "image/avif"
    other = asyncio.run(file.acopy_to(goal, "other/name"))
    assert (other.name, other.get_content()) == ("other/name", DATA)
    assert file.verify()


def test_a_storage_that_falls_silent_after_the_save(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(name: str) -> Any:
        raise TimeoutError(name)

    monkeypatch.setattr(storages["ram"], "get_modified_time", silent)
    assert stored("ram").last_modified is None
    file = stored("memory")
    monkeypatch.setattr(storages["memory"], "stat", silent)
    made = file.copy_to("memory")
    assert (made.checksum, made.last_modified, made.get_content()) == (SHA, None, DATA)


def test_copying_what_is_gone() -> None:
    file = stored()
    file.delete()
    for goal in ("memory", "s3", "ram"):
        with pytest.raises(FileNotFoundError):
            file.copy_to(goal, "b")
        assert not storages[goal].exists("b")


def test_signing() -> None:
    assert "X-Amz-Signature" in stored("s3").sign(60, content_type="text/csv")
    assert "X-Amz-Signature" in FileObject("s3", "free").sign(for_upload=True)
    assert stored("ram").sign() == "/r/docs/a.txt"
    with pytest.raises(NotSupported):
        stored("ram").sign(60)


# requests


def test_requests() -> None:
    seaweed = server(servers.SeaweedS3)
    with started(servers.CountingProxy, seaweed.port) as proxy:
        options = grounds.s3_options(seaweed, folder(), proxy.url)
        near = grounds.s3_options(seaweed, folder(), proxy.url)
        with override_storage(counted=options, counted_near=near):
            storages["counted"].exists("warm-up")
            file = FileObject("counted", "a.txt", content=DATA)

            def count(work: Any) -> list[str]:
                proxy.reset()
                work()
                return [request.method for request in proxy.requests()]

            assert count(file.save) == ["PUT"]
            assert count(lambda: (file.size, file.content_type, file.url, file.sign())) == []
            assert count(file.read) == ["GET"]
            file.close()
            assert count(lambda: b"".join(file.chunks())) == ["GET"]
            assert count(file.get_content) == ["GET"]
            assert count(file.verify) == ["GET"]
            assert count(file.refresh) == ["HEAD"]
            assert count(file.exists) == ["HEAD"]
            assert sorted(count(lambda: file.copy_to("counted_near"))) == ["HEAD", "HEAD", "PUT"]
            assert count(file.delete) == ["DELETE"]


# as a value


def test_json_is_advanced_alchemys() -> None:
    file = stored("s3")
    data = json.loads(json.dumps(file.to_dict()))
    assert sorted(data) == sorted(NINE)
    again = FileObject.from_dict(data)
    assert again == file
    assert again.to_dict() == data
    assert isinstance(data["last_modified"], float)
    theirs = dict.fromkeys(NINE) | {"filename": "a.txt", "backend": "memory"}
    read = FileObject.from_dict(theirs)
    assert (read.size, read.metadata, read.content_type) == (None, {}, "text/plain")


def test_json_that_is_not_ours_is_kept() -> None:
    odd = {
        "filename": "a",
        "backend": "memory",
        "size": "12",
        "colour": "red",
        "metadata": {"k": 1},
    }
    file = FileObject.from_dict(odd)
    assert file.size is None
    assert file.metadata == {"k": 1, "_extra": {"size": "12", "colour": "red"}}
    assert FileObject.from_dict(file.to_dict()).to_dict() == file.to_dict()
    assert FileObject.from_dict({"filename": "a", "backend": "b", "size": -1}).size is None
    nameless = FileObject.from_dict({"backend": "memory", "metadata": [1]})
    assert not nameless
    assert nameless.to_dict()["metadata"] == {"_extra": {"metadata": [1]}}
    with pytest.raises(ValueError, match="no name"):
        nameless.read()
    with pytest.raises(ImproperlyConfigured, match="not in STORAGES"):
        FileObject.from_dict({"filename": "a"}).read()
    with pytest.raises(TypeError, match="list"):
        FileObject.from_dict([])  # type: ignore[arg-type]


def test_equality_and_hash() -> None:
    one, same = FileObject("memory", "a", size=1), FileObject("memory", "a", size=2)
    assert one == same
    assert len({one, same, FileObject("s3", "a"), FileObject("memory", "b")}) == 3
    assert one != "a"


def test_repr_tells_no_secret() -> None:
    assert repr(FileObject("s3", "a.txt", content=b"s")) == (
        "<FileObject 'a.txt' on 's3' (not saved)>"
    )
    assert repr(stored("s3", "b.txt")) == "<FileObject 'b.txt' on 's3'>"


@pytest.mark.parametrize("alias", ALL)
def test_pickle_and_deepcopy(alias: str, tmp_path: Path) -> None:
    file = stored(alias)
    file.open()
    for made in (pickle.loads(pickle.dumps(file)), copy.deepcopy(file), copy.copy(file)):
        assert (made, made.to_dict(), made.closed) == (file, file.to_dict(), True)
        assert made.get_content() == DATA
    assert copy.deepcopy(file).metadata is not file.metadata
    file.close()


def test_pickle_of_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(DATA)
    for content in (DATA, path, SimpleUploadedFile("a", DATA), [DATA]):
        made = pickle.loads(pickle.dumps(FileObject("memory", "a", content=content)))
        assert made.save().get_content() == DATA
    with open(path, "rb") as opened:
        for bad in (opened, broken(), items()):
            with pytest.raises(TypeError, match=r"save\(\) it first"):
                pickle.dumps(FileObject("memory", "a", content=bad))
        assert copy.deepcopy(FileObject("memory", "b", content=opened)).save().size == len(DATA)


class Letter(pydantic.BaseModel):
    file: FileObject
    other: FileObject | None = None


def test_pydantic() -> None:
    file = stored("s3")
    letter = Letter(file=file)
    assert letter.file is file
    assert letter.model_dump()["file"] == file.to_dict()
    again = Letter.model_validate_json(letter.model_dump_json())
    assert again.file.to_dict() == file.to_dict()
    assert Letter.model_validate({"file": file.to_dict()}).file == file
    for schema in (
        Letter.model_json_schema(mode="validation"),
        Letter.model_json_schema(mode="serialization"),
    ):
        assert sorted(schema["properties"]["file"]["properties"]) == sorted(NINE)
    for bad in ({"filename": "a"}, {"filename": "", "backend": "s3"}, "a.txt", 5):
        with pytest.raises(pydantic.ValidationError):
            Letter.model_validate({"file": bad})


# async


@pytest.mark.parametrize("alias", ALL)
def test_the_twins(alias: str) -> None:
    async def run() -> None:
        file = await FileObject(alias, "t/a.txt", content=DATA).asave()
        assert await file.aexists()
        assert await file.averify()
        assert await file.arefresh() is file
        assert await file.asign()
        assert await file.aread(5) == DATA[:5]
        assert await file.aread() == DATA[5:]
        assert b"".join([piece async for piece in file.achunks(1000)]) == DATA
        assert b"".join([piece async for piece in file.astream(5, 700)]) == DATA[5:700]
        await file.aclose()
        async with await file.aopen() as opened:
            assert await opened.aread() == DATA
        assert file.closed
        assert await file.get_content_async(1, 3) == DATA[1:3]
        await file.delete_async()
        assert not await file.aexists()

    asyncio.run(run())


PURE = {"multiple_chunks", "readable", "seekable", "writable", "to_dict"}
ALIASES = {"save_async", "get_content_async", "sign_async", "delete_async"}


def test_every_io_method_has_a_twin() -> None:
    members = inspect.getmembers(FileObject, inspect.isfunction)
    methods = {name: member for name, member in members if not name.startswith("_")}
    for name in ALIASES:
        assert methods.pop(name) is methods[f"a{name.removesuffix('_async')}"]
    twins = {name for name in methods if name[0] == "a" and name[1:] in methods}
    for name in set(methods) - PURE - twins:
        ours, theirs = (inspect.signature(methods[n]).parameters for n in (name, f"a{name}"))
        assert list(ours.values()) == list(theirs.values()), name
        assert (methods[f"a{name}"].__doc__ or "").startswith(f"See {name}()."), name


def test_a_file_field_takes_a_copy_of_a_file_object() -> None:
    from tests.library.models import Attachment

    with override_storage():
        document = Attachment(file=stored(name="origin.txt"))
        Attachment._meta.get_field("file").pre_save(document, add=True)
        with document.file.open() as opened:
            assert opened.read() == DATA
        document.file.delete(save=False)
    assert storages["memory"].exists("origin.txt")


def test_importing_needs_no_settings() -> None:
    code = "import django_fsspec as d; d.FileObject('s3', 'a.txt').to_dict(); print(d.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={}
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="nothing"):
        _ = django_fsspec.nothing
