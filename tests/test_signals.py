"""Signals: one for each file, when it is certain; none after a rollback, none for inner work."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import transaction
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponseBase
from django.test import AsyncRequestFactory, RequestFactory, TestCase, override_settings
from django.urls import reverse

from django_fsspec import FileObject, signals
from django_fsspec.forms.kept_uploads import keep
from django_fsspec.objects.bulk import asave_files, save_files
from django_fsspec.responses import afile_response, file_response
from django_fsspec.rows.claims import FOLDER
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers import row_files
from tests.helpers.backends import _s3, folder
from tests.helpers.row_files import Mishap, text
from tests.helpers.upload_client import Browser
from tests.library.models import Attachment, Paper, Parcel, Shelf
from tests.uploads.parcels import TEXT, ParcelForm, destination

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

place = row_files.place
NAMES = ("file_stored", "file_deleted", "file_moved", "file_served")


class Heard(list[tuple[str, dict[str, Any]]]):
    """The signals that were sent, in their order."""

    def listen(self, name: str) -> Callable[..., None]:
        def receiver(signal: Signal, sender: Any, **arguments: Any) -> None:
            self.append((name, {"sender": sender, **arguments}))

        return receiver

    @property
    def counted(self) -> list[str]:
        """What was sent, sorted: "stored default:a.txt"."""
        return sorted(f"{name[5:]} {told['alias']}:{told['name']}" for name, told in self)


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    receivers = {name: heard.listen(name) for name in NAMES}
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver)
    yield heard
    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver)


@pytest.fixture
def memory() -> Iterator[None]:
    with override_storage("default", "second"):
        yield


def storage() -> Any:
    return storages["default"]


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


# rows


def insert() -> None:
    Paper.objects.create(file=text())


def replace() -> None:
    paper = Paper.objects.get(title="there")
    paper.file = text(name="b.txt")
    paper.save()


def clear() -> None:
    paper = Paper.objects.get(title="there")
    paper.file.delete()


def delete() -> None:
    Paper.objects.get(title="there").delete()


def insert_list() -> None:
    Shelf.objects.create(files=[text(), text(name="b.txt")])


def insert_many() -> None:
    Paper.objects.bulk_create([Paper(file=text(name=f"{n}.txt")) for n in range(3)])


def save_file() -> None:
    paper = Paper.objects.get(title="there")
    paper.file.save("b.txt", ContentFile(b"one"))


ROWS: list[tuple[Callable[[], None], int, int]] = [
    (insert, 1, 0),
    (replace, 1, 1),
    (clear, 0, 1),
    (delete, 0, 1),
    (insert_list, 2, 0),
    (insert_many, 3, 0),
    (save_file, 1, 1),
]
by_row = pytest.mark.parametrize(
    ("work", "stored", "deleted"), ROWS, ids=[work.__name__ for work, _, _ in ROWS]
)


@pytest.fixture
def a_paper(place: str, heard: Heard) -> Heard:
    Paper.objects.create(title="there", file=text("there", "there.txt"))
    heard.clear()
    return heard


def numbers(heard: Heard) -> tuple[int, int]:
    names = [name for name, _ in heard]
    return names.count("file_stored"), names.count("file_deleted")


@by_row
def test_a_row_sends_after_its_commit(
    a_paper: Heard, work: Callable[[], None], stored: int, deleted: int
) -> None:
    work()
    assert numbers(a_paper) == (stored, deleted)
    for name, told in a_paper:
        assert issubclass(told["sender"], Paper | Shelf)
        assert told["alias"] == "default"
        if name == "file_stored":
            assert storage().size(told["name"]) == told["size"] == 3
            assert told["row"].pk is not None
        else:
            assert not storage().exists(told["name"])


@by_row
def test_a_row_sends_nothing_before_the_commit(
    a_paper: Heard, work: Callable[[], None], stored: int, deleted: int
) -> None:
    with transaction.atomic():
        work()
        assert a_paper == []
    assert numbers(a_paper) == (stored, deleted)


@by_row
def test_a_row_sends_nothing_after_a_rollback(
    a_paper: Heard, work: Callable[[], None], stored: int, deleted: int
) -> None:
    with pytest.raises(Mishap), transaction.atomic():
        work()
        raise Mishap
    assert a_paper == []
    assert len(list(storage().walk())) == 1


@by_row
def test_a_savepoint_counts_as_what_becomes_of_it(
    a_paper: Heard, work: Callable[[], None], stored: int, deleted: int
) -> None:
    with transaction.atomic():
        with pytest.raises(Mishap), transaction.atomic():
            work()
            raise Mishap
        with transaction.atomic():
            work()
        assert a_paper == []
    assert numbers(a_paper) == (stored, deleted)


@by_row
def test_async_code_sends_the_same(
    a_paper: Heard, work: Callable[[], None], stored: int, deleted: int
) -> None:
    asyncio.run(sync_to_async(work)())
    assert numbers(a_paper) == (stored, deleted)


def test_rows_saved_by_async_methods(memory: None, heard: Heard) -> None:
    async def work() -> None:
        paper = Paper(file=text())
        await paper.asave()
        await paper.file.asave("b.txt", ContentFile(b"one"))
        await paper.adelete()

    asyncio.run(work())
    assert numbers(heard) == (2, 2)


def test_a_file_that_no_committed_row_had_sends_nothing(memory: None, heard: Heard) -> None:
    with transaction.atomic():
        paper = Paper.objects.create(file=text())
        paper.file = text(name="b.txt")
        paper.save()
    assert heard.counted == [f"stored default:{paper.file.name}"]
    assert heard[0][1]["row"] is paper


def test_a_row_saved_without_a_new_file_sends_nothing(memory: None, heard: Heard) -> None:
    paper = Paper.objects.create(file=text())
    heard.clear()
    paper.title = "another"
    paper.save()
    paper.file.metadata["camera"] = "x"
    paper.save()
    assert heard == []


def test_a_file_saved_without_its_row(memory: None, heard: Heard) -> None:
    paper = Paper.objects.create()
    paper.file = text()
    paper.file.save(save=False)
    assert heard.counted == [f"stored default:{paper.file.name}"]
    paper.save()
    assert len(heard) == 1
    assert heard[0][1]["row"] is paper


def test_a_copy_that_a_row_makes(memory: None, heard: Heard) -> None:
    paper = Paper.objects.create(file=text())
    other = Paper.objects.create(file=paper.file)
    assert numbers(heard) == (2, 0)
    assert heard[1][1]["name"] == other.file.name != paper.file.name


def test_a_bulk_create_that_ignores_conflicts(memory: None, heard: Heard) -> None:
    paper = Paper.objects.create(file=text())
    heard.clear()
    rows = [Paper(pk=paper.pk, file=text(name="b.txt")), Paper(file=text(name="c.txt"))]
    Paper.objects.bulk_create(rows, ignore_conflicts=True)
    assert heard.counted == [f"stored default:{rows[1].file.name}"]


def test_a_filefield_sends_once(memory: None, heard: Heard) -> None:
    Attachment.objects.create(file=text())
    assert numbers(heard) == (1, 0)


def test_a_row_on_a_storage_of_another_package(heard: Heard) -> None:
    foreign = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    with override_settings(STORAGES={"default": foreign}):
        paper = Paper.objects.create(file=text())
        name = paper.file.name
        paper.delete()
    assert heard.counted == [f"deleted default:{name}", f"stored default:{name}"]


def test_captured_callbacks_send_once(memory: None, heard: Heard) -> None:
    with transaction.atomic():
        with TestCase.captureOnCommitCallbacks(execute=True) as callbacks:
            paper = Paper.objects.create(file=text())
            paper.file.metadata["camera"] = "x"
            paper.save()
            assert heard == []
        assert callbacks
        assert numbers(heard) == (1, 0)
    assert numbers(heard) == (1, 0)


def test_a_kept_upload_sends_when_its_row_is_committed(memory: None, heard: Heard) -> None:
    kept = keep(SimpleUploadedFile("a.txt", b"one"), "default", "binding")
    assert heard == []
    paper = Paper.objects.create(file=kept)
    assert heard.counted == [f"stored default:{paper.file.name}"]
    assert len(list(storage().walk())) == 1


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
