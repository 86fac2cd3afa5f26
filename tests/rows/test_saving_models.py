"""Saving as Django does it: signals, and every kind of model, field and save."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import serializers
from django.db import IntegrityError, connection, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_save, pre_save

from tests.helpers import row_faults
from tests.helpers.row_faults import assign, files_in, left, stored_in
from tests.helpers.row_files import Mishap, held, receiving, text, there
from tests.library.models import (
    Binder,
    Box,
    Draft,
    Edition,
    Folder,
    Label,
    Leaflet,
    Magazine,
    Minutes,
    Page,
    Paper,
    Record,
    Shelf,
    Tally,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save
no_wrappers = row_faults.no_wrappers

Save = Callable[..., None]
atomic = pytest.mark.parametrize("atomic", [True, False])


def block(atomic: bool) -> contextlib.AbstractContextManager[Any]:
    return transaction.atomic() if atomic else contextlib.nullcontext()


def folder(attribute: str, *contents: str, **columns: Any) -> Any:
    row = Folder(**columns)
    assign(row, attribute, *contents)
    row.save()
    return row


# signals


@contextlib.contextmanager
def another_connection() -> Iterator[Any]:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            yield cursor
    finally:
        BaseDatabaseWrapper.close(other)


@pytest.mark.parametrize("change", ["create", "replace", "clear"])
@pytest.mark.parametrize("model", [Paper, Magazine, Leaflet])
def test_post_save_outside_of_a_transaction_sees_a_committed_row(
    memory: None, save: Save, model: Any, change: str
) -> None:
    row = model(title="a", file=text("one"))
    if change != "create":
        row.save()
        row.title, row.file = "b", text("two") if change == "replace" else None
    seen: list[Any] = []

    def look(instance: Any, **kwargs: Any) -> None:
        with another_connection() as cursor:
            cursor.execute("SELECT title FROM library_paper")
            seen.append((connection.in_atomic_block, cursor.fetchall()))

    with receiving(post_save, look, model):
        save(row)
    in_atomic_block, rows = seen[-1]
    assert [tuple(row) for row in rows] == [("a" if change == "create" else "b",)]
    assert not in_atomic_block
    assert left() == {}


@pytest.mark.parametrize("change", ["create", "replace"])
def test_a_row_whose_post_save_raises_outside_of_a_transaction_stays(
    memory: None, attribute: str, save: Save, change: str
) -> None:
    def fail(**kwargs: Any) -> None:
        raise Mishap

    row = Folder() if change == "create" else folder(attribute, "one")
    assign(row, attribute, "two")
    with receiving(post_save, fail, Folder), pytest.raises(Mishap):
        save(row)
    assert (stored_in(Folder, attribute), left()) == ([["two"]], {})
    assert not any(file.has_pending_data for file in files_in(row, attribute))


def test_a_pre_save_that_raises_stores_nothing(memory: None, attribute: str, save: Save) -> None:
    def fail(**kwargs: Any) -> None:
        raise Mishap

    row = folder(attribute, "one")
    assign(row, attribute, "two")
    with receiving(pre_save, fail, Folder), pytest.raises(Mishap):
        save(row)
    assert (there(), stored_in(Folder, attribute)) == (["one"], [["one"]])
    save(row)
    assert (stored_in(Folder, attribute), left()) == ([["two"]], {})


@atomic
@pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre", "post"])
def test_a_receiver_that_saves_the_same_row(
    memory: None, attribute: str, save: Save, atomic: bool, signal: Any
) -> None:
    row = folder(attribute, "one")
    saving: list[Any] = []

    def again(instance: Any, **kwargs: Any) -> None:
        if not saving:
            saving.append(instance)
            assert Folder.objects.filter(pk=instance.pk).exists()
            instance.save()

    assign(row, attribute, "two")
    with receiving(signal, again, Folder), block(atomic):
        save(row)
    assert (stored_in(Folder, attribute), left()) == ([["two"]], {})


# kinds of models


@atomic
def test_files_of_parent_and_child_are_stored_and_replaced(
    memory: None, save: Save, atomic: bool
) -> None:
    with block(atomic):
        magazine: Any = Magazine(title="m", file=text("one"), cover=text("cover"))
        save(magazine)
        magazine.file, magazine.cover = text("two"), text("cover 2")
        save(magazine)
        binder: Any = Binder(file=text("three"))
        save(binder)
        binder.file = text("four")
        save(binder, update_fields=["file"])
        binder.file = text("five")
        save(binder, update_fields=["rings"])
        assert binder.file.has_pending_data
    assert there() == ["cover 2", "four", "two"]
    assert (held(), held(Binder), left()) == (["two", "four"], ["four"], {})


def test_a_refused_child_takes_its_parents_file_along(memory: None, save: Save) -> None:
    binder: Any = Binder(file=text("one"), rings="abc")
    with pytest.raises(ValueError, match="abc"):
        save(binder)
    assert (Paper.objects.count(), there()) == (0, [])
    assert binder.file.has_pending_data
    binder.pk = binder.paper_ptr_id = binder.id = None
    binder.rings = 3
    save(binder)
    assert (held(Binder), left()) == (["one"], {})


def test_a_proxy_shares_its_rows(memory: None, save: Save) -> None:
    leaflet: Any = Leaflet(file=text("one"))
    save(leaflet)
    leaflet.file = text("two")
    save(leaflet)
    Paper.objects.get().save()
    leaflet.refresh_from_db()
    assert (leaflet.file.get_content(), held(), left()) == (b"two", ["two"], {})
    leaflet.delete()
    assert there() == []


@atomic
def test_a_generated_field_is_read_back(memory: None, save: Save, atomic: bool) -> None:
    label: Any = Label(title="one", file=text("one"))
    with block(atomic):
        save(label)
        if connection.features.can_return_columns_from_insert:
            assert label.loud == "ONE"
        label.title, label.file = "two", text("two")
        save(label)
        label.refresh_from_db()
    assert (label.loud, held(Label), left()) == ("TWO", ["two"], {})


@atomic
def test_other_fields_are_asked_as_often_as_without_files(
    memory: None, save: Save, atomic: bool
) -> None:
    edition: Any = Edition(file=text("one"))
    tally: Any = Tally()
    with block(atomic):
        for change in ("create", "replace", "describe", "clear", "nothing"):
            if change == "replace":
                edition.file = text("two")
            elif change == "describe":
                edition.file.metadata["seen"] = True
            elif change == "clear":
                edition.file = None
            for row in (edition, tally):
                save(row)
            assert edition.number == tally.number == Edition.objects.get().number
    Edition.objects.all()._raw_delete("default")
    edition.file = text("three")
    Tally.objects.all().delete()
    for row in (edition, tally):
        save(row)
    assert edition.number == tally.number == Edition.objects.get().number
    assert (held(Edition), left()) == (["three"], {})


@atomic
def test_rows_that_django_orders(memory: None, save: Save, atomic: bool) -> None:
    parent = Folder.objects.create()
    with block(atomic):
        pages: list[Any] = [Page(folder=parent, file=text(str(number))) for number in range(3)]
        for page in pages:
            save(page)
        pages[1].file = text("replaced")
        save(pages[1])
    assert [page._order for page in pages] == [0, 1, 2]
    assert (held(Page), left()) == (["0", "replaced", "2"], {})


def test_a_field_added_to_a_class_later(memory: None, save: Save) -> None:
    draft: Any = Draft(file=text("one"))
    save(draft)
    draft.file = text("two")
    save(draft)
    assert (held(Draft), left()) == (["two"], {})
    draft.delete()
    assert (there(), left()) == ([], {})
    Draft(file=text("three")).save()
    Draft.objects.all().delete()
    assert (there(), left()) == ([], {})


# kinds of saves


@atomic
def test_a_primary_key_that_is_given(
    memory: None, attribute: str, save: Save, atomic: bool
) -> None:
    with block(atomic):
        for content in ("one", "two"):
            row = Folder(pk=77)
            assign(row, attribute, content)
            save(row)
        row = Folder(pk=78)
        assign(row, attribute, "three")
        save(row, force_insert=True)
        record: Any = Record(file=text("four"))
        save(record)
        record.file = text("five")
        save(record)
    assert (stored_in(Folder, attribute), held(Record)) == ([["two"], ["three"]], ["five"])
    assert left() == {}


def test_get_or_create_and_update_or_create(memory: None, attribute: str) -> None:
    def files(content: str) -> Any:
        return [text(content)] if attribute == "files" else text(content)

    Folder.objects.get_or_create(code="k", defaults={attribute: files("one")})
    Folder.objects.get_or_create(code="k", defaults={attribute: files("never")})
    assert stored_in(Folder, attribute) == [["one"]]
    Folder.objects.update_or_create(code="k", defaults={attribute: files("two")})
    Folder.objects.update_or_create(code="k", defaults={"pages": 3})
    assert (stored_in(Folder, attribute), left()) == ([["two"]], {})
    Folder.objects.update_or_create(code="new", defaults={attribute: files("three")})
    assert (stored_in(Folder, attribute), left()) == ([["two"], ["three"]], {})


def test_raw_saves_write_what_they_are_given(memory: None, save: Save) -> None:
    data = Paper.objects.create(file=text("one")).file.to_dict()
    copy: Any = Paper(pk=99, file=data)
    copy.save_base(raw=True)
    copy.title = "t"
    save(copy)
    assert (Paper.objects.get(pk=99).title, left()) == ("t", {})
    Paper(pk=99, file=None).save_base(raw=True)
    assert (Paper.objects.get(pk=99).file, there(), left()) == (None, ["one"], {})


def test_dumpdata_and_loaddata(memory: None) -> None:
    for model in (Paper, Folder):
        model.objects.create(file=text(model.__name__))
        fixture = serializers.serialize("json", model._default_manager.all())
        for using in ("default", "default", "other"):
            for row in serializers.deserialize("json", fixture):
                row.save(using=using)
    assert (held(Paper), held(Folder)) == (["Paper"], ["Folder"])
    assert Paper.objects.using("other").get().file.get_content() == b"Paper"
    assert left() == {}


def test_an_expression_is_saved_as_django_does(memory: None) -> None:
    magazine: Any = Magazine.objects.create(file=text("one"), cover=text("two"))
    magazine.title = models.functions.Upper(models.Value("loud"))
    magazine.cover = text("three")
    magazine.save()
    magazine.refresh_from_db()
    assert (magazine.title, magazine.cover.get_content()) == ("LOUD", b"three")
    assert left() == {}


@atomic
def test_an_expression_that_replaces_a_file(
    memory: None, attribute: str, save: Save, atomic: bool
) -> None:
    row = folder(attribute, "one")
    value: Any = [] if attribute == "files" else None
    setattr(row, attribute, models.Value(value, models.JSONField()))
    with block(atomic):
        save(row)
    assert (stored_in(Folder, attribute), there()) == ([[]], [])


def test_an_expression_in_a_raw_save(memory: None, attribute: str) -> None:
    # as a fixture without the value of a field with db_default
    row = Folder(pk=99)
    value: Any = [] if attribute == "files" else None
    setattr(row, attribute, models.Value(value, models.JSONField()))
    row.save_base(raw=True)
    assert stored_in(Folder, attribute) == [[]]


# refused by a foreign key


@atomic
def test_a_foreign_key_that_is_refused_at_the_commit(
    memory: None, save: Save, atomic: bool
) -> None:
    box: Any = Box(shelf_id=12345, file=text("one"))
    with pytest.raises(IntegrityError), block(atomic):
        save(box)
    assert (Box.objects.count(), there(), left()) == (0, [], {})
    assert box.file.has_pending_data
    box.shelf = Shelf.objects.create()
    save(box)
    assert (held(Box), left()) == (["one"], {})


@atomic
def test_an_update_that_a_foreign_key_refuses_at_the_commit(
    memory: None, save: Save, atomic: bool
) -> None:
    shelf = Shelf.objects.create()
    box: Any = Box.objects.create(shelf=shelf, file=text("one"))
    box.shelf_id, box.file = 12345, text("two")
    with pytest.raises(IntegrityError), block(atomic):
        save(box)
    assert (held(Box), there(), left()) == (["one"], ["one"], {})
    box.shelf = shelf
    save(box)
    assert (held(Box), left()) == (["two"], {})


@pytest.mark.parametrize("way", ["save", "create", "bulk_create"])
def test_upload_to_reads_the_times_that_django_sets(memory: None, way: str) -> None:
    row = Minutes(file=text("one"))
    if way == "bulk_create":
        Minutes.objects.bulk_create([row])
    elif way == "create":
        row = Minutes.objects.create(file=text("one"))
    else:
        row.save()
    assert row.file.name.startswith(f"{row.created:%Y/%m}/{row.changed:%d}/a_")
    name = row.file.name
    row.file = text("two")
    row.save()
    assert (there(), left()) == (["two"], {})
    assert row.file.name != name
