"""Signals of the files of rows: once, after the commit, and none after a rollback."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import transaction
from django.test import TestCase, override_settings

from django_fsspec.forms.kept_uploads import keep
from tests.helpers import heard as helper
from tests.helpers import row_files
from tests.helpers.heard import Heard, numbers, storage
from tests.helpers.row_files import Mishap, text
from tests.helpers.upload_client import Browser
from tests.library.models import Attachment, Paper, Shelf
from tests.uploads.parcels import TEXT, ParcelForm, destination

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

place, heard, memory = row_files.place, helper.heard, helper.memory


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


def append() -> None:
    shelf = Shelf.objects.get()
    shelf.files.append(text(name="b.txt"))
    shelf.save()


def take_out() -> None:
    shelf = Shelf.objects.get()
    del shelf.files[0]
    shelf.save()


def delete_by_query() -> None:
    Paper.objects.filter(title="there").delete()


def update_or_create() -> None:
    Paper.objects.update_or_create(title="there", defaults={"file": text()})


ROWS: list[tuple[Callable[[], None], int, int]] = [
    (insert, 1, 0),
    (replace, 1, 1),
    (clear, 0, 1),
    (delete, 0, 1),
    (insert_list, 2, 0),
    (insert_many, 3, 0),
    (save_file, 1, 1),
    (append, 1, 0),
    (take_out, 0, 1),
    (delete_by_query, 0, 1),
    (update_or_create, 1, 1),
]
by_row = pytest.mark.parametrize(
    ("work", "stored", "deleted"), ROWS, ids=[work.__name__ for work, _, _ in ROWS]
)


@pytest.fixture
def a_paper(place: str, heard: Heard) -> Heard:
    Paper.objects.create(title="there", file=text("there", "there.txt"))
    Shelf.objects.create(files=[text("there", "there.txt")])
    heard.clear()
    return heard


@by_row
def test_a_row_sends_after_its_commit(
    a_paper: Heard, work: Callable[[], None], stored: int, deleted: int
) -> None:
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    assert numbers(a_paper) == (stored, deleted)
    for name, told in a_paper:
        assert 0 <= told["seconds"] <= seconds
        assert issubclass(told["sender"], Paper | Shelf)
        assert told["alias"] == "default"
        if name == "file_stored":
            assert storage().size(told["name"]) == told["size"] == 3
            assert told["row"].pk is not None
        else:
            assert not storage().exists(told["name"])
            assert told["size"] == len("there")


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
    assert len(list(storage().walk())) == 2


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
    async_to_sync(sync_to_async(work))()
    assert numbers(a_paper) == (stored, deleted)


def test_rows_saved_by_async_methods(memory: None, heard: Heard) -> None:
    async def work() -> None:
        paper = Paper(file=text())
        await paper.asave()
        await paper.file.asave("b.txt", ContentFile(b"one"))
        await paper.adelete()

    async_to_sync(work)()
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


def test_a_direct_upload_whose_row_is_rolled_back(memory: None, heard: Heard) -> None:
    browser = Browser()
    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    with pytest.raises(Mishap), transaction.atomic():
        browser.submitted(ParcelForm, "file", receipt).save()
        raise Mishap
    assert heard == []


def test_a_migration_that_is_rolled_back(memory: None, heard: Heard) -> None:
    paper = Paper.objects.create(file=text())
    heard.clear()
    options: dict[str, Any] = {"source": "default", "target": "second", "no_progress": True}
    with pytest.raises(Mishap), transaction.atomic():
        call_command("migrate_files", "library.Paper", stdout=io.StringIO(), **options)
        raise Mishap
    assert heard == []
    assert Paper.objects.get(pk=paper.pk).file.backend == "default"


def test_what_does_not_change_files_sends_nothing(memory: None, heard: Heard) -> None:
    paper = Paper.objects.create(file=text())
    heard.clear()
    Paper.objects.filter(pk=paper.pk).update(title="another")
    paper.title = "third"
    Paper.objects.bulk_update([paper], ["title"])
    out = io.StringIO()
    call_command("refresh_files", "library.Paper.file", stdout=out, no_progress=True)
    call_command("sweep_files", "default", missing=True, stdout=out, no_progress=True)
    assert heard == []
