"""Signals: one for each file, when it is certain; none after a rollback, none for inner work."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from asgiref.sync import sync_to_async
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.http import HttpRequest, HttpResponseBase
from django.test import AsyncRequestFactory, RequestFactory
from django.urls import reverse

from django_fsspec import FileObject, signals
from django_fsspec.exceptions import StorageError
from django_fsspec.objects.bulk import asave_files, save_files
from django_fsspec.responses import afile_response, file_response
from django_fsspec.rows.claims import FOLDER
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers import heard as helper
from tests.helpers import row_files
from tests.helpers.backends import _s3, folder
from tests.helpers.heard import Heard, numbers, storage
from tests.helpers.row_files import Mishap, text
from tests.helpers.upload_client import Browser
from tests.helpers.web import WebServer
from tests.library.models import Attachment, Paper, Parcel, Shelf
from tests.uploads.parcels import TEXT, ParcelForm, destination

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

place, heard, memory = row_files.place, helper.heard, helper.memory


# storages

OPERATIONS: dict[str, tuple[str, tuple[Any, ...], list[str]]] = {
    "save": ("save", ("a.txt", ContentFile(b"one")), ["stored default:a.txt"]),
    "store": ("store", ("a.txt", b"one"), ["stored default:a.txt"]),
    "copy": ("copy", ("there.txt", "a.txt"), ["stored default:a.txt"]),
    "delete": ("delete", ("there.txt",), ["deleted default:there.txt"]),
    "delete_many": (
        "delete_many",
        (["there.txt", "more.txt"],),
        ["deleted default:more.txt", "deleted default:there.txt"],
    ),
}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_of_a_storage_sends_once(
    place: str, heard: Heard, operation: str, mode: str
) -> None:
    method, arguments, expected = OPERATIONS[operation]
    with signals.muted():
        for name in ("there.txt", "more.txt"):
            storage().save(name, ContentFile(b"there"))
    if mode == "sync":
        getattr(storage(), method)(*arguments)
    else:
        asyncio.run(getattr(storage(), f"a{method}")(*arguments))
    assert heard.counted == expected
    for _, told in heard:
        assert told.keys() == {"sender", "alias", "name", "size", "seconds", "row"}
        assert (told["sender"], told["row"]) == (FSSpecStorage, None)
        assert told["size"] == (3 if operation in ("save", "store") else None)
        assert told["seconds"] > 0


def test_a_file_that_is_written_sends_when_it_is_closed(memory: None, heard: Heard) -> None:
    with storage().open("a.txt", "wb") as file:
        file.write(b"one")
        assert heard == []
    assert heard.counted == ["stored default:a.txt"]


def test_an_operation_that_fails_sends_nothing(memory: None, heard: Heard) -> None:
    with pytest.raises(FileNotFoundError):
        storage().copy("none.txt", "a.txt")
    with pytest.raises(ValueError, match="name must be given"):
        storage().delete("")
    assert heard == []


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_files_without_rows(memory: None, heard: Heard, mode: str) -> None:
    def files() -> list[FileObject]:
        return [FileObject("default", f"{n}.txt", content=b"one") for n in range(3)]

    if mode == "sync":
        save_files(files())
        file = FileObject("default", "3.txt", content=b"one").save()
        file.copy_to("second")
        file.delete()
    else:

        async def work() -> None:
            await asave_files(files())
            file = await FileObject("default", "3.txt", content=b"one").asave()
            await file.acopy_to("second")
            await file.adelete()

        asyncio.run(work())
    stored = [f"stored default:{n}.txt" for n in range(4)]
    assert heard.counted == ["deleted default:3.txt", *stored, "stored second:3.txt"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_save_files_that_fails_sends_nothing(memory: None, heard: Heard, mode: str) -> None:
    def broken() -> Iterator[bytes]:
        yield b"one"
        raise Mishap

    files = [FileObject("default", f"{n}.txt", content=b"one") for n in range(3)]
    files.append(FileObject("default", "broken.txt", content=broken()))
    with pytest.raises(Mishap):
        if mode == "sync":
            save_files(files)
        else:
            asyncio.run(asave_files(files))
    assert heard == []


# receivers


def test_a_receiver_of_one_model(memory: None) -> None:
    heard = Heard()
    receiver = heard.listen("file_stored")
    signals.file_stored.connect(receiver, sender=Shelf)
    Paper.objects.create(file=text())
    assert heard == []
    shelf = Shelf.objects.create(files=[text()])
    signals.file_stored.disconnect(receiver, sender=Shelf)
    assert [told["row"] for _, told in heard] == [shelf]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_receiver_that_raises_loses_no_file(
    memory: None, heard: Heard, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    def broken(**arguments: Any) -> None:
        raise Mishap

    signals.file_stored.connect(broken)
    try:
        with caplog.at_level(logging.ERROR):
            paper = Paper(file=text())
            if mode == "sync":
                paper.save()
                storage().save("b.txt", ContentFile(b"one"))
            else:

                async def work() -> None:
                    await paper.asave()
                    await storage().asave("b.txt", ContentFile(b"one"))

                asyncio.run(work())
    finally:
        signals.file_stored.disconnect(broken)
    assert paper.file.get_content() == b"one"
    assert storage().exists("b.txt")
    assert caplog.text.count("Mishap") >= 2
    assert numbers(heard) == (2, 0)


def test_an_async_receiver(memory: None) -> None:
    names: list[str] = []

    async def receiver(name: str, **arguments: Any) -> None:
        await asyncio.sleep(0)
        names.append(name)

    signals.file_stored.connect(receiver)
    try:
        asyncio.run(storage().asave("a.txt", ContentFile(b"one")))
        storage().save("b.txt", ContentFile(b"one"))
        paper = Paper.objects.create(file=text("c", "c.txt"))
    finally:
        signals.file_stored.disconnect(receiver)
    assert names == ["a.txt", "b.txt", paper.file.name]


def test_a_sync_save_beside_a_loop_stores_despite_an_async_receiver(
    memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    async def receiver(**arguments: Any) -> None:
        pass

    async def work() -> None:
        storage().save("a.txt", ContentFile(b"one"))

    signals.file_stored.connect(receiver)
    try:
        asyncio.run(work())
    finally:
        signals.file_stored.disconnect(receiver)
    assert storage().exists("a.txt")
    assert "could not be called" in caplog.text


def test_a_receiver_that_writes_a_row(memory: None) -> None:
    def audit(name: str, row: Any, **arguments: Any) -> None:
        if row is not None:
            Attachment.objects.create(title=name)

    signals.file_stored.connect(audit)
    try:
        paper = Paper.objects.create(file=text())
    finally:
        signals.file_stored.disconnect(audit)
    assert [row.title for row in Attachment.objects.all()] == [paper.file.name]


# migrations and sweeps


@pytest.mark.parametrize("delete_source", [False, True])
def test_migrate_files_sends_moved(memory: None, heard: Heard, delete_source: bool) -> None:
    papers = Paper.objects.bulk_create([Paper(file=text(name=f"{n}.txt")) for n in range(3)])
    Shelf.objects.create(files=[text(name="s.txt"), text(name="t.txt")])
    heard.clear()
    options: dict[str, Any] = {"source": "default", "target": "second", "no_progress": True}
    fields = ["library.Paper", "library.Shelf"]
    out = io.StringIO()
    call_command("migrate_files", *fields, stdout=out, delete_source=delete_source, **options)
    assert [name for name, _ in heard] == ["file_moved"] * 5
    moved = {told["row"].pk: told for _, told in heard if told["sender"] is Paper}
    assert moved.keys() == {paper.pk for paper in papers}
    told = moved[papers[0].pk]
    assert (told["alias"], told["name"]) == ("second", papers[0].file.name)
    assert (told["from_alias"], told["from_name"]) == ("default", papers[0].file.name)
    assert (told["size"], told["row"].file.backend) == (3, "second")
    heard.clear()
    call_command("migrate_files", *fields, stdout=out, **options)
    assert heard == []


def test_copies_to_another_filesystem_send_only_moved(heard: Heard, tmp_path: Path) -> None:
    local = {"fs": "file", "prefix": str(tmp_path)}
    with override_storage(default={"fs": "memory", "prefix": folder()}, second=local):
        Paper.objects.create(file=text())
        heard.clear()
        options: dict[str, Any] = {"source": "default", "target": "second", "no_progress": True}
        call_command("migrate_files", "library.Paper", stdout=io.StringIO(), **options)
    assert [name for name, _ in heard] == ["file_moved"]


def test_a_sweep_sends_deleted(memory: None, heard: Heard) -> None:
    Paper.objects.create(file=text())
    with signals.muted():
        for n in range(3):
            storage().save(f"orphan-{n}.txt", ContentFile(b"one"))
    heard.clear()
    options: dict[str, Any] = {"min_age": 0, "stdout": io.StringIO(), "no_progress": True}
    call_command("sweep_files", "default", **options)
    assert heard == []
    call_command("sweep_files", "default", delete=True, interactive=False, **options)
    assert heard.counted == [f"deleted default:orphan-{n}.txt" for n in range(3)]


def test_what_is_no_file_to_anybody_sends_nothing(memory: None, heard: Heard) -> None:
    call_command("check_storages", "default", stdout=io.StringIO())
    assert heard == []


# uploads and downloads


def test_a_direct_upload_sends_when_a_row_has_it(memory: None, heard: Heard) -> None:
    browser = Browser()
    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    assert heard == []
    row = browser.submitted(ParcelForm, "file", receipt).save()
    assert heard.counted == [f"stored default:{row.file.name}"]
    told = heard[0][1]
    assert (told["row"], told["sender"], told["size"]) == (row, Parcel, len(TEXT))
    assert FOLDER not in told["name"]


def body(response: HttpResponseBase) -> bytes:
    return b"".join(response)


@pytest.mark.parametrize("span", [None, (2, 5)])
def test_a_download_sends_when_it_is_closed(
    memory: None, heard: Heard, span: tuple[int, int] | None
) -> None:
    paper = Paper.objects.create(file=text("content"))
    heard.clear()
    headers = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span else {}
    request = RequestFactory().get("/", headers=headers)
    response = file_response(request, paper.file)
    assert body(response) == b"content"[slice(*(span or (None,)))]
    assert heard == []
    response.close()
    response.close()
    ((name, told),) = heard
    assert (name, told["sender"], told["row"]) == ("file_served", Paper, paper)
    assert (told["name"], told["size"], told["request"]) == (paper.file.name, 7, request)
    assert told["ranges"] == ((span,) if span else ())


def test_an_async_download(memory: None, heard: Heard) -> None:
    storage().save("a.txt", ContentFile(b"content"))
    heard.clear()

    async def work() -> None:
        response: Any = await afile_response(AsyncRequestFactory().get("/"), "a.txt")
        assert b"".join([chunk async for chunk in response]) == b"content"
        await sync_to_async(response.close)()

    asyncio.run(work())
    assert heard.counted == ["served default:a.txt"]


def served(request: HttpRequest, name: str = "a.txt", **options: Any) -> None:
    file_response(request, name, **options).close()


def test_which_responses_serve_a_file(memory: None, heard: Heard) -> None:
    for name in ("a.txt", "empty.txt"):
        storage().save(name, ContentFile(b"one" if name == "a.txt" else b""))
    heard.clear()
    make = RequestFactory()
    served(make.get("/"))
    served(make.get("/"), "empty.txt")
    served(make.get("/"), accel="/internal/")
    assert len(heard) == 3
    heard.clear()
    served(make.head("/"))
    served(make.post("/"))
    served(make.get("/", headers={"Range": "bytes=100-"}))
    served(make.get("/", headers={"If-None-Match": "*"}))
    assert heard == []
    with override_storage(default={"fs": "memory", "base_url": "https://cdn.example/"}):
        served(make.get("/"), redirect=True)
    assert heard.counted == ["served default:a.txt"]


def test_a_signed_link_sends_served(memory: None, heard: Heard, client: Any) -> None:
    storage().save("a.txt", ContentFile(b"one"))
    url = storage().sign("a.txt")
    heard.clear()
    assert b"".join(client.get(url)) == b"one"
    assert heard.counted == ["served default:a.txt"]
    assert url.startswith(reverse("django_fsspec:file", args=["x"])[:5])


def test_no_secret_is_in_the_arguments(heard: Heard) -> None:
    options = _s3(servers.SeaweedS3)(folder())
    secret = options["fs_options"]["secret"]
    with override_storage(default=options):
        default_storage.save("a.txt", ContentFile(b"one"))
        Paper.objects.create(file=text())
        served(RequestFactory().get("/"))
        default_storage.delete("a.txt")
    assert len(heard) == 4
    assert secret not in repr(heard)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_name_that_is_given_twice_sends_once(place: str, heard: Heard, mode: str) -> None:
    with signals.muted():
        storage().save("a.txt", ContentFile(b"one"))
    names = iter(["a.txt", "b.txt", "a.txt"])
    if mode == "sync":
        storage().delete_many(names)
    else:
        asyncio.run(storage().adelete_many(names))
    assert heard.counted == ["deleted default:a.txt", "deleted default:b.txt"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_files_that_were_deleted_before_a_request_failed_send(heard: Heard, mode: str) -> None:
    """1,001 files are two requests to S3, of which this server refuses the second."""
    names = [f"{number:04}.txt" for number in range(1001)]

    async def answer(request: web.Request) -> web.StreamResponse:
        if names[-1].encode() in await request.read():
            return web.Response(status=403)
        return web.Response(text="<DeleteResult/>", content_type="application/xml")

    with WebServer(answer) as there:
        keys = {"key": "k", "secret": "s", "endpoint_url": there.url}
        options = {"fs": "s3", "prefix": "bucket", "fs_options": keys, "retries": 0}
        with override_storage(default=options):
            with pytest.raises(StorageError) as caught:
                if mode == "sync":
                    storage().delete_many(names)
                else:
                    asyncio.run(storage().adelete_many(names))
            assert caught.value.names == names[1000:]
            assert heard.counted == [f"deleted default:{name}" for name in names[:1000]]
            # where nothing was deleted, the error says why
            with pytest.raises(PermissionError):
                storage().delete_many(names[1000:])
    assert len(heard) == 1000
