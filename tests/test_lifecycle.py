"""The order of events: stored before the row, deleted after the commit, undone by a rollback."""

from __future__ import annotations

import contextlib
import copy
import gc
import io
import logging
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.core.files.base import ContentFile, File
from django.core.files.storage import storages
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.db.models import F
from django.db.models.signals import ModelSignal, pre_delete
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject

from django_fsspec import FileObject
from django_fsspec.references import unreferenced
from django_fsspec.testing import override_storage
from django_fsspec.values import Ref
from tests import servers
from tests.backends import _s3, folder
from tests.library.models import Archive, Box, Leaflet, Magazine, Paper, Record, Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    options: dict[str, Any] = {"fs": "memory", "prefix": folder()}
    if request.param == "s3":
        options = _s3(servers.SeaweedS3)(folder())
    with override_storage("second", default=options):
        yield request.param


@pytest.fixture
def memory() -> Iterator[None]:
    with override_storage("default", "second"):
        yield


def text(data: str = "one", name: str = "a.txt") -> ContentFile[str]:
    return ContentFile(data, name=name)


def there(alias: str = "default") -> list[str]:
    """Return the content of all that is stored."""
    storage: Any = storages[alias]
    return sorted(storage.get_content(stat.name).decode() for stat in storage.walk())


def held(model: Any = Paper) -> list[str | None]:
    """Return the content of all that rows hold."""
    return [row.file and row.file.get_content().decode() for row in model.objects.order_by("pk")]


class Mishap(Exception):
    pass


@contextlib.contextmanager
def receiving(signal: ModelSignal, receiver: Callable[..., None], sender: Any) -> Iterator[None]:
    """Have `receiver` called after all who were there before it."""
    signal.connect(receiver, sender=sender)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


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


@pytest.mark.parametrize("kind", ["exception", "set_rollback", "savepoint"])
def test_a_rollback_removes_what_was_stored_at_once(place: str, kind: str) -> None:
    paper = Paper.objects.create(file=text("one"))
    with transaction.atomic():
        kept = Paper.objects.create(file=text("outer"))
        try:
            with transaction.atomic():
                Paper.objects.create(file=text("new"))
                paper.file = text("two")
                paper.save()
                assert there() == ["new", "one", "outer", "two"]
                if kind == "set_rollback":
                    transaction.set_rollback(True)
                else:
                    raise Mishap
        except Mishap:
            pass
        assert there() == ["one", "outer"]
    assert sorted(map(str, held())) == ["one", "outer"]
    assert kept.file.get_content() == b"outer"


def test_the_whole_transaction_rolled_back(place: str) -> None:
    paper = Paper.objects.create(file=text("one"))
    with pytest.raises(Mishap), transaction.atomic():
        Paper.objects.create(file=text("new"))
        paper.file = text("two")
        paper.save()
        paper.delete()
        raise Mishap
    assert (there(), held()) == (["one"], ["one"])


def test_what_was_rolled_back_can_be_saved_again(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    for attempt in range(3):
        try:
            with transaction.atomic():
                new = paper if attempt else Paper.objects.get(pk=paper.pk)
                new.file = new.file if attempt == 2 else text("two")
                new.save()
                if attempt < 2:
                    raise Mishap
        except Mishap:
            assert new.file.has_pending_data
            assert there() == ["one"]
    assert (there(), held()) == (["two"], ["two"])
    assert paper.file.name.startswith("papers/a")


def test_a_clear_that_was_rolled_back_is_done_when_saved_again(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    paper.file = None
    with pytest.raises(Mishap), transaction.atomic():
        paper.save()
        raise Mishap
    assert held() == ["one"]
    paper.save()
    assert (there(), held()) == ([], [None])


@pytest.mark.parametrize("atomic", [True, False])
def test_a_row_that_is_refused_leaves_no_file(place: str, atomic: bool) -> None:
    Record.objects.create(file=text("one"), unique="x")
    twin = Record(file=text("two"), unique="x")
    with pytest.raises(IntegrityError):
        if atomic:
            with transaction.atomic():
                twin.save()
        else:
            twin.save()
    assert there() == ["one"]
    assert twin.file.has_pending_data
    twin.unique = "y"
    twin.save()
    assert there() == ["one", "two"]


def test_a_file_that_is_refused_leaves_no_row(place: str) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100
        raise Mishap

    with pytest.raises(Mishap):
        Paper.objects.create(file=FileObject("default", "b.txt", content=broken()))
    closed = File(io.BytesIO(b"x"), name="c.txt")
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        Paper.objects.create(file=closed)
    assert (there(), held()) == ([], [])


def test_the_second_file_failing_removes_the_first(place: str) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise Mishap

    cover = FileObject("default", "b.txt", content=broken())
    magazine = Magazine(file=text("one"), cover=cover)
    with pytest.raises(Mishap):
        magazine.save()
    assert there() == []
    assert magazine.file.has_pending_data
    assert not Magazine.objects.exists()


def test_update_of_a_row_that_is_gone(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    Paper.objects.all()._raw_delete("default")
    paper.file = text("two")
    with pytest.raises(DatabaseError):
        paper.save(update_fields=["file"])
    assert there() == ["one"]


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


# many rows


def test_querysets_and_cascades(place: str) -> None:
    counts = set()
    unreferenced("default", [Ref("default", "lists the tables, once a process")])
    for count in (2, 8):
        Paper.objects.bulk_create([Paper(file=text(f"p{n}")) for n in range(count)])
        assert there() == [f"p{n}" for n in range(count)]
        with CaptureQueriesContext(connection) as queries:
            Paper.objects.filter(pk__gt=0).delete()
        assert there() == []
        counts.add(len(queries))
    assert len(counts) == 1  # none a row
    shelf = Shelf.objects.create(files=[text("s1"), text("s2")])
    Box.objects.create(shelf=shelf, file=text("b1"))
    Box.objects.create(shelf=shelf, file=text("b2"))
    assert there() == ["b1", "b2", "s1", "s2"]
    shelf.delete()
    assert there() == []


def test_bulk_create_rolled_back(place: str) -> None:
    papers = [Paper(file=text(f"p{n}")) for n in range(5)]
    with pytest.raises(Mishap), transaction.atomic():
        Paper.objects.bulk_create(papers, batch_size=2)
        assert len(there()) == 5
        raise Mishap
    assert there() == []
    assert all(paper.file.has_pending_data for paper in papers)
    Paper.objects.bulk_create(papers)
    assert len(there()) == len(held()) == 5


def test_bulk_create_with_a_row_that_is_refused(memory: None) -> None:
    records = [Record(file=text(str(n)), unique="x" if n > 1 else str(n)) for n in range(4)]
    with pytest.raises(IntegrityError):
        Record.objects.bulk_create(records)
    assert there() == []


def test_update_and_bulk_update_refuse_what_is_not_stored(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    with pytest.raises(ValueError, match=r"Paper\.file: .* save\(\) or bulk_create\(\)"):
        Paper.objects.update(file=text("two"))
    paper.file = text("two")
    with pytest.raises(ValueError, match=r"save_files"):
        Paper.objects.bulk_update([paper], ["file"])
    with pytest.raises(ValueError, match=r"save_files"):
        Paper.objects.update(file=FileObject("default", "x", content=b"x"))
    assert (there(), held()) == (["one"], ["one"])
    stored = FileObject("default", "papers/b.txt", content=b"three").save()
    Paper.objects.update(file=stored)
    assert held() == ["three"]
    paper.file = FileObject("default", "papers/c.txt", content=b"four").save()
    Paper.objects.bulk_update([paper], ["file"])
    assert held() == ["four"]


# several files in a field


def test_a_list_notices_what_happens_to_it(place: str) -> None:
    shelf = Shelf.objects.create(files=[text("1", "1.txt"), text("2", "2.txt")])
    shelf = Shelf.objects.get()
    shelf.files.append(text("3", "3.txt"))
    shelf.save()
    assert there() == ["1", "2", "3"]
    shelf = Shelf.objects.get()
    assert [file.original_name for file in shelf.files] == ["1.txt", "2.txt", "3.txt"]
    shelf.files.reverse()
    shelf.save()
    shelf = Shelf.objects.get()
    assert [file.original_name for file in shelf.files] == ["3.txt", "2.txt", "1.txt"]
    del shelf.files[1]
    shelf.files += [text("4", "4.txt")]
    shelf.files[0] = text("0", "0.txt")
    shelf.files.insert(1, text("5", "5.txt"))
    shelf.save()
    assert there() == ["0", "1", "4", "5"]
    assert [f.get_content() for f in Shelf.objects.get().files] == [b"0", b"5", b"1", b"4"]
    shelf.files[1].delete()
    assert there() == ["0", "1", "4"]
    shelf.files = []
    shelf.save()
    assert there() == []


def test_lists_of_two_transactions_are_merged(memory: None) -> None:
    Shelf.objects.create(files=[text("1"), text("2")])
    mine, theirs = Shelf.objects.get(), Shelf.objects.get()
    del theirs.files[0]
    theirs.files.append(text("3"))
    theirs.save()
    mine.files.append(text("4"))
    with transaction.atomic():
        mine.save()
    found = [file.get_content().decode() for file in Shelf.objects.get().files if file.exists()]
    assert found == ["2", "4", "3"]
    assert there() == ["2", "3", "4"]


# others at work


def test_a_row_read_long_ago_does_not_bring_a_deleted_file_back(memory: None) -> None:
    Paper.objects.create(title="a", file=text("one"))
    stale = Paper.objects.get()
    fresh = Paper.objects.get()
    fresh.file = text("two")
    fresh.save()
    stale.title = "b"
    stale.save()
    assert (there(), held()) == (["two"], ["two"])
    assert Paper.objects.get().title == "b"
    stale.file.metadata["seen"] = True
    stale.save()
    assert held() == ["two"]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_deleted_row_that_is_saved_again_has_no_missing_file(memory: None, atomic: bool) -> None:
    Paper.objects.create(file=text("one"))
    stale = Paper.objects.get()
    Paper.objects.get().delete()
    stale.title = "again"
    with (
        transaction.atomic() if atomic else contextlib.nullcontext(),
        pytest.raises(FileNotFoundError),
    ):
        stale.save()
    assert (there(), held()) == ([], [])
    stale.file = text("two")
    with transaction.atomic() if atomic else contextlib.nullcontext():
        stale.save()
    assert (there(), held()) == (["two"], ["two"])


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("change", ["append", "remove", "move", "none"])
def test_a_deleted_row_that_is_inserted_again_takes_copies(
    memory: None, atomic: bool, change: str
) -> None:
    Paper.objects.create(file=text("0"))
    Shelf.objects.create(files=[text("1"), text("2")])
    stale, paper = Shelf.objects.get(), Paper.objects.get()
    # somebody deletes the rows, and is about to delete their files
    for model in (Paper, Shelf):
        model.objects.all()._raw_delete("default")
    if change == "append":
        stale.files.append(text("3"))
    elif change == "remove":
        del stale.files[0]
    elif change == "move":
        stale.files.reverse()
    with transaction.atomic() if atomic else contextlib.nullcontext():
        stale.save()
        paper.save()
    rows = {"append": ["1", "2", "3"], "remove": ["2"], "move": ["1", "2"], "none": ["1", "2"]}
    # what the row itself let go of goes with its transaction
    left = ["0", "2"] if (atomic, change) == (True, "remove") else ["0", "1", "2"]
    assert there() == sorted([*left, "0", *rows[change]])
    found = Shelf.objects.get()
    assert sorted(file.get_content().decode() for file in found.files) == rows[change]
    found.delete()
    Paper.objects.get().delete()
    assert there() == left


def test_what_a_rolled_back_save_merged_is_not_copied_by_the_next(memory: None) -> None:
    Shelf.objects.create(files=[text("1")])
    mine, theirs = Shelf.objects.get(), Shelf.objects.get()
    theirs.files.append(text("2"))
    theirs.save()
    mine.files.append(text("3"))
    with contextlib.suppress(Mishap), transaction.atomic():
        mine.save()
        raise Mishap
    assert len(mine.files) == 2
    mine.save()
    assert [file.get_content() for file in Shelf.objects.get().files] == [b"1", b"3", b"2"]
    assert there() == ["1", "2", "3"]


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


@pytest.mark.parametrize("atomic", [True, False])
def test_two_transactions_replace_one_file(memory: None, atomic: bool) -> None:
    Paper.objects.create(file=text("one"))
    first, second = Paper.objects.get(), Paper.objects.get()
    for row, content in ((first, "two"), (second, "three")):
        row.file = text(content)
        with transaction.atomic() if atomic else contextlib.nullcontext():
            row.save()
    assert (there(), held()) == (["three"], ["three"])


def test_a_row_deleted_that_another_changed(memory: None) -> None:
    Paper.objects.create(file=text("one"))
    first, second = Paper.objects.get(), Paper.objects.get()
    first.file = text("two")
    first.save()
    second.delete()
    assert there() == []


def test_files_replaced_between_the_reading_and_the_deletion(memory: None) -> None:
    shelf = Shelf.objects.create()
    boxes = [Box.objects.create(shelf=shelf, file=text(str(number))) for number in range(3)]
    Box.objects.create(shelf=Shelf.objects.create(), file=text("stays"))

    def meanwhile(**kwargs: Any) -> None:
        # another transaction, as far as the Collector knows
        box = Box.objects.get(pk=boxes[1].pk)
        box.file = text("another's")
        box.save()

    with receiving(pre_delete, meanwhile, Shelf):
        Shelf.objects.filter(pk=shelf.pk).delete()
    assert (there(), held(Box)) == (["stays"], ["stays"])


def test_deleting_rows_costs_two_queries_and_none_a_row(memory: None) -> None:
    def deleting(count: int) -> int:
        made = Paper.objects.bulk_create(Paper(file=text(str(number))) for number in range(count))
        with CaptureQueriesContext(connection) as queries:
            Paper.objects.filter(pk__in=[paper.pk for paper in made]).delete()
        assert there() == []
        return len(queries)

    unreferenced("default", [Ref("default", "lists the tables, once a process")])
    assert deleting(2) == deleting(50)


def test_a_deletion_that_comes_to_nothing(memory: None) -> None:
    paper = Paper.objects.create(file=text())

    def refuse(**kwargs: Any) -> None:
        raise Mishap

    with receiving(pre_delete, refuse, Paper), pytest.raises(Mishap):
        paper.delete()
    with CaptureQueriesContext(connection) as queries:
        assert held() == ["one"]
    assert len(queries) == 1
    paper.delete()
    assert there() == []


def test_a_first_file_for_a_row_that_has_one_by_now(memory: None) -> None:
    paper = Paper.objects.create()
    early = Paper.objects.get()
    paper.file = text("another's")
    paper.save()
    early.file = text("mine")
    with transaction.atomic():
        early.save()
    assert (there(), held()) == (["mine"], ["mine"])


def test_an_unchanged_file_costs_nothing(memory: None) -> None:
    Paper.objects.create(file=text("one"))
    paper = Paper.objects.get()
    paper.title = "b"
    with CaptureQueriesContext(connection) as queries:
        paper.save()
    assert len(queries) == 1
    paper.file = text("two")
    with CaptureQueriesContext(connection) as queries:
        paper.save()
    # BEGIN, a look under the lock, UPDATE, COMMIT, and a look for other holders a field
    updates = [q for q in queries.captured_queries if q["sql"].startswith("UPDATE")]
    assert len(updates) == (1 if connection.features.has_select_for_update else 2)


# copies of rows


@pytest.mark.parametrize("adding", [True, False])
def test_a_copy_of_a_row_has_a_file_of_its_own(memory: None, adding: bool) -> None:
    paper = Paper.objects.create(file=text("one"))
    twin = Paper.objects.get()
    twin.pk = None
    twin._state.adding = adding
    twin.save()
    assert (there(), held()) == (["one", "one"], ["one", "one"])
    paper.file = text("two")
    paper.save()
    assert (there(), held()) == (["one", "two"], ["two", "one"])
    paper.delete()
    assert there() == ["one"]
    twin.delete()
    assert there() == []


def test_a_file_of_another_row_is_copied(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    shelf = Shelf.objects.create(files=[paper.file])
    assert shelf.files[0] is not paper.file
    # where its field has its files, and not named after the other's random part
    assert re.fullmatch(r"shelves/\d+/a_\w{7}\.txt", shelf.files[0].name)
    assert there() == ["one", "one"]
    paper.delete()
    assert there() == ["one"]
    shelf.files.append(paper.file)
    with pytest.raises(FileNotFoundError):
        shelf.save()
    shelf = Shelf.objects.get()
    shelf.files.clear()
    shelf.save()
    assert there() == []


def test_a_file_of_a_list_that_was_read_is_copied(memory: None) -> None:
    Shelf.objects.create(files=[text("one"), text("two")])
    read = Shelf.objects.get()
    Paper.objects.create(file=read.files[1])
    twin = Shelf.objects.create(files=[read.files[0], text("three")])
    assert there() == ["one", "one", "three", "two", "two"]
    read.delete()
    assert (there(), held()) == (["one", "three", "two"], ["two"])
    assert [file.get_content() for file in twin.files] == [b"one", b"three"]


def test_a_file_that_is_twice_in_a_list_is_stored_once(memory: None) -> None:
    shelf = Shelf()
    shelf.files.append(text("one"))
    shelf.files.append(shelf.files[0])
    shelf.save()
    assert (there(), [file.get_content() for file in shelf.files]) == (["one"], [b"one"] * 2)
    shelf.delete()
    assert there() == []


def test_a_file_that_rows_share_stays_for_the_last(memory: None) -> None:
    data = FileObject("default", "a.txt", content=b"one").save().to_dict()
    first, second = Paper.objects.create(file=data), Paper.objects.create(file=data)
    assert there() == ["one"]
    first.delete()
    assert there() == ["one"]
    second.file = None
    second.save()
    assert there() == []


def test_a_copy_in_another_database_has_a_file_of_its_own(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    paper = Paper.objects.get()
    paper.save(using="other")
    assert there() == ["one", "one"]
    Paper.objects.all().delete()
    assert there() == ["one"]
    found = Paper.objects.using("other").get()
    assert found.file.get_content() == b"one"
    found.file = text("two")
    found.save()
    assert there() == ["two"]
    found.delete()
    assert there() == []


def test_rollbacks_are_of_the_database_that_was_written(memory: None) -> None:
    with transaction.atomic(using="default"):
        with pytest.raises(Mishap), transaction.atomic(using="other"):
            Paper.objects.using("other").create(file=text("other"))
            Paper.objects.create(file=text("default"))
            raise Mishap
        assert there() == ["default"]
    assert there() == ["default"]


COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda row: pickle.loads(pickle.dumps(row)),
]


def test_copies_and_pickles_of_instances(memory: None) -> None:
    Paper.objects.create(file=text("one"))
    for make in COPIES:
        twin = make(Paper.objects.get())
        assert twin.file == Paper.objects.get().file
        twin.file = text("two")
        twin.save()
        assert there() == ["two"]
        twin.file = text("one")
        twin.save()
        assert there() == ["one"]
    shelf = Shelf.objects.create(files=[text("s")])
    for make in COPIES:
        twin = make(shelf)
        assert twin.files == shelf.files
        twin.files.append(text("x"))
        assert len(shelf.files) == 1


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


def test_storing_without_the_row_is_undone_by_a_rollback(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    with pytest.raises(Mishap), transaction.atomic():
        paper.file.save("c.txt", ContentFile(b"three"), save=False)
        assert there() == ["one", "three"]
        raise Mishap
    assert there() == ["one"]


# reading again


def test_reading_again_keeps_what_waits(memory: None) -> None:
    Paper.objects.create(title="a", file=text("one"))
    paper, other = Paper.objects.get(), Paper.objects.get()
    other.file = text("two")
    other.save()
    paper.refresh_from_db()
    assert paper.file == other.file
    paper.file = text("three")
    paper.refresh_from_db()
    assert paper.file.has_pending_data
    paper.save()
    assert (there(), held()) == (["three"], ["three"])
    Paper.objects.update(file=None)
    paper.file = text("four")
    paper.refresh_from_db()
    assert paper.file.has_pending_data
    paper.save()
    assert held() == ["four"]


# what goes wrong afterwards


def test_what_is_committed_stays_when_the_callback_of_another_raises(
    memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    def raises() -> None:
        raise Mishap

    paper = Paper.objects.create(file=text("old"))
    paper.file = text("new")
    with pytest.raises(Mishap), transaction.atomic():
        transaction.on_commit(raises)
        paper.save()
    gc.collect()
    assert (there(), held()) == (["new", "old"], ["new"])
    assert "Whether rows hold these files is not known: default:papers/a_" in caplog.text


def test_what_a_broken_connection_may_have_committed_stays(
    memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    # SQLite's in memory is never closed
    left, told = ([], 0) if connection.vendor == "sqlite" else (["one"], 1)
    with pytest.raises(Mishap), transaction.atomic():
        Paper.objects.create(file=text())
        connection.close()  # what Django does when neither COMMIT nor ROLLBACK is answered
        raise Mishap
    assert (there(), held()) == (left, [])
    assert caplog.text.count("Whether rows hold these files is not known") == told


def test_a_deletion_that_fails_is_logged_not_raised(
    memory: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper.objects.create(file=text("one"))
    paper.file = text("two")

    def fail(names: Any) -> None:
        raise OSError("no route")

    monkeypatch.setattr(storages["default"], "delete_many", fail)
    monkeypatch.setattr(storages["default"], "delete", fail)
    with caplog.at_level(logging.WARNING, "django_fsspec"):
        paper.save()
    assert held() == ["two"]
    assert "papers/a_" in caplog.text


def test_rollbacks_in_many_threads(memory: None) -> None:
    if connection.vendor == "sqlite":
        return  # one writer at a time: the transactions would wait for each other

    def work(number: int) -> None:
        try:
            with pytest.raises(Mishap), transaction.atomic():
                Paper.objects.create(file=text(str(number)))
                raise Mishap
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert there() == []


# assignment


WRONG = ["a.txt", 5, b"bytes", Paper(title="x"), object(), True, [b""], 1.5]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: type(value).__name__)
def test_what_is_no_file_is_refused_when_it_is_assigned(value: Any) -> None:
    for row, name in ((Paper(), "file"), (Magazine(), "cover")):
        with pytest.raises(TypeError, match=rf"{type(row).__name__}\.{name} takes a FileObject"):
            setattr(row, name, value)
    with pytest.raises(TypeError, match=r"Paper\.file"):
        Paper(file=value)
    with pytest.raises(TypeError, match=r"Shelf\.files"):
        Shelf(files=value)
    with pytest.raises(TypeError, match=r"Shelf\.files"):
        Shelf().files.append(value)


def test_what_is_a_file() -> None:
    paper = Paper(file=SimpleLazyObject(lambda: ContentFile(b"x", name="lazy.txt")))
    assert paper.file.original_name == "lazy.txt"
    with pytest.raises(FieldError, match=r"Paper\.file: the file has no name"):
        Paper(file=ContentFile(b"x"))
    assert Paper(file=None).file is None
    assert Paper(file={}).file is None
    data = {"filename": "a.txt", "backend": "default", "size": 3}
    assert Paper(file=data).file.size == 3
    file = FileObject("default", "a.txt", content=b"x")
    assert Paper(file=file).file is file
    assert Paper(file=F("title")).file == F("title")
    assert Shelf().files == Shelf(files=None).files == []
    assert Shelf(files=(file, ContentFile(b"y", name="b.txt"))).files[0] == file
