"""A row and its file: stored before the row is written, deleted after the commit."""

from __future__ import annotations

import contextvars
import gc
import re
import weakref
from collections.abc import Iterator

import pytest
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from tests.helpers import row_files
from tests.helpers.row_files import Mishap, held, text, there
from tests.library.models import Archive, Leaflet, Magazine, Paper

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

place = row_files.place


# what a row does


def test_a_file_goes_with_its_row(place: str) -> None:
    paper = Paper.objects.create(file=text("one"))
    assert re.fullmatch(r"papers/a_\w{7}\.txt", paper.file.name)
    assert paper.file.original_name == "a.txt"
    assert (there(), held()) == (["one"], ["one"])
    paper.file = text("two")
    assert there() == ["one"]
    paper.save()
    assert (there(), held()) == (["two"], ["two"])
    paper.file = None
    paper.save()
    assert (there(), held()) == ([], [None])
    paper.file = text("three")
    paper.save()
    assert there() == ["three"]
    paper.delete()
    assert there() == []


def test_the_replaced_file_stays_until_the_commit(place: str) -> None:
    paper = Paper.objects.create(file=text("one"))
    with transaction.atomic():
        paper.file = text("two")
        paper.save()
        assert there() == ["one", "two"]
    assert there() == ["two"]
    with transaction.atomic():
        paper.delete()
        assert there() == ["two"]
    assert there() == []


def test_a_primary_key_of_ones_own(place: str) -> None:
    Paper(pk=77, file=text("one")).save()
    assert (there(), held()) == (["one"], ["one"])
    with transaction.atomic():
        Paper(pk=78, file=text("two")).save()
    assert there() == ["one", "two"]
    once = FileObject("default", "three.txt", content=(part for part in (b"thr", b"ee")))
    Paper(pk=79, file=once).save()
    Paper(pk=77, file=text("four")).save()
    assert there() == ["four", "three", "two"]
    Paper(pk=77).delete()
    assert there() == ["three", "two"]


def test_metadata_alone_is_written(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    paper.file.metadata["seen"] = True
    paper.save()
    found = Paper.objects.get()
    assert found.file.metadata["seen"] is True
    found.file.content_type = "text/x-other"
    found.save()
    assert Paper.objects.get().file.content_type == "text/x-other"
    assert there() == ["one"]


def test_an_unchanged_file_costs_nothing_and_a_new_one_no_update_more(memory: None) -> None:
    Paper.objects.create(file=text("one"))
    paper = Paper.objects.get()
    paper.title = "b"
    with CaptureQueriesContext(connection) as queries:
        paper.save()
    assert len(queries) == 1
    paper.file = text("two")
    with CaptureQueriesContext(connection) as queries:
        paper.save()
    # SQLite takes its lock by one that changes nothing
    updates = [q for q in queries.captured_queries if q["sql"].startswith("UPDATE")]
    assert len(updates) == (1 if connection.features.has_select_for_update else 2)


# which fields


def test_update_fields_without_the_file_neither_stores_nor_deletes(memory: None) -> None:
    paper = Paper.objects.create(title="a", file=text("one"))
    paper.title, paper.file = "b", text("two")
    paper.save(update_fields=["title"])
    assert paper.file.has_pending_data
    assert there() == ["one"]
    paper.save(update_fields=["file"])
    assert (there(), held()) == (["two"], ["two"])


def test_a_deferred_file_is_replaced(memory: None) -> None:
    Paper.objects.create(file=text("one"))
    paper = Paper.objects.only("title").get()
    paper.file = text("two")
    paper.save()
    assert (there(), held()) == (["two"], ["two"])
    paper = Paper.objects.defer("file").get()
    paper.file = None
    paper.save()
    assert (there(), held()) == ([], [None])


def test_a_deferred_file_is_deleted(memory: None) -> None:
    Paper.objects.create(file=text("one"))
    Paper.objects.only("title").get().delete()
    Paper.objects.create(file=text("two"))
    Paper.objects.only("title").delete()
    assert there() == []


def test_files_outlive_their_rows_without_cleanup(memory: None) -> None:
    archive = Archive.objects.create(file=text("one"))
    assert archive.file.checksum.startswith("md5:")
    archive.file = text("two")
    archive.save()
    archive.delete()
    assert there() == ["one", "two"]
    with pytest.raises(Mishap), transaction.atomic():
        Archive.objects.create(file=text("three"))
        raise Mishap
    assert there() == ["one", "two"]


# inheritance


def test_multi_table_inheritance_and_proxies(memory: None) -> None:
    magazine = Magazine.objects.create(title="m", file=text("file"), cover=text("cover"))
    assert there() == ["cover", "file"]
    magazine = Magazine.objects.get()
    magazine.file = text("file 2")
    magazine.save()
    assert there() == ["cover", "file 2"]
    paper = Paper.objects.get()
    paper.file = text("file 3")
    paper.save()
    assert there() == ["cover", "file 3"]
    Magazine.objects.get().delete()
    assert there() == []
    leaflet = Leaflet.objects.create(file=text("leaflet"))
    leaflet.file = text("leaflet 2")
    leaflet.save()
    assert there() == ["leaflet 2"]
    Leaflet.objects.all().delete()
    assert there() == []


# as a FieldFile


def test_saving_and_deleting_through_the_file(place: str) -> None:
    paper = Paper.objects.create(file=text("one"))
    paper.file.save("b.txt", ContentFile(b"two"))
    assert paper.file.name.startswith("papers/b")
    assert (there(), held()) == (["two"], ["two"])
    paper.file.save("c.txt", ContentFile(b"three"), save=False)
    assert not paper.file.has_pending_data
    assert (there(), held()) == (["three", "two"], ["two"])
    paper.save()
    assert (there(), held()) == (["three"], ["three"])
    paper.file.delete(save=False)
    assert paper.file is None
    assert (there(), held()) == (["three"], ["three"])
    paper.save()
    assert (there(), held()) == ([], [None])
    paper.file = text("four")
    assert paper.file.save() is paper.file
    assert held() == ["four"]
    paper.file.delete()
    assert (there(), held()) == ([], [None])


# reading again


def test_reading_again_drops_unsaved_content(memory: None) -> None:
    Paper.objects.create(title="a", file=text("one"))
    paper, other = Paper.objects.get(), Paper.objects.get()
    other.file = text("two")
    other.save()
    paper.refresh_from_db()
    assert paper.file == other.file
    paper.file = text("three")
    paper.refresh_from_db(fields=["title"])
    assert paper.file.has_pending_data
    paper.refresh_from_db(fields=["file"])
    assert paper.file == other.file
    paper.save()
    assert (there(), held()) == (["two"], ["two"])
    Paper.objects.update(file=None)
    paper.file = text("four")
    paper.refresh_from_db()
    assert paper.file is None
    paper.save()
    assert held() == [None]


@pytest.mark.slow
def test_a_context_that_outlives_a_save_keeps_no_row(memory: None) -> None:
    contexts: list[contextvars.Context] = []

    def content() -> Iterator[bytes]:
        # as clients do, whose timers run in a copy of the context that set them
        contexts.append(contextvars.copy_context())
        yield b"one"

    paper = Paper.objects.create(file=FileObject("default", "a.txt", content=content()))
    reference = weakref.ref(paper)
    del paper
    gc.collect()
    assert contexts
    assert reference() is None
