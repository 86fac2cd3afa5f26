"""StoredObjectField: JSON that is not ours."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import InvalidStorageError
from django.db import connection
from django.db.models import Sum

from django_fsspec import FileObject
from tests.fields.rows import described, put, titles
from tests.helpers import hostile_rows
from tests.library.models import Paper, Shelf

pytestmark = [
    pytest.mark.django_db(databases=["default", "other"]),
    pytest.mark.usefixtures("memory"),
]
ODD: list[Any] = [
    [{"filename": "a", "backend": "default"}],
    "text",
    5,
    {"backend": "default"},
    {"filename": "a.txt"},
    {"filename": "a.txt", "backend": "nowhere"},
    {"filename": 5, "backend": None, "size": "much", "metadata": []},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_odd_json_is_told_when_it_is_used_and_spoils_no_other_row(
    papers: list[Paper], odd: Any
) -> None:
    put(odd)
    assert Paper.objects.aggregate(Sum("file__size"))["file__size__sum"] >= 5_000_000_023
    assert titles(file__size__gt=3, file__filename__startswith="papers")
    rows = list(Paper.objects.all())
    assert len([str(row.file) for row in rows]) == 6
    row = Paper.objects.get(title="odd")
    with pytest.raises((ValueError, InvalidStorageError)):
        row.file.get_content()
    with pytest.raises((ValueError, InvalidStorageError)):
        assert row.file.url
    row.title = "renamed"
    row.save()
    with connection.cursor() as cursor:
        cursor.execute("SELECT file FROM library_paper WHERE title = 'renamed'")
        raw = cursor.fetchone()[0]
    assert (json.loads(raw) if isinstance(raw, str) else raw) == odd
    row.pk = None
    row._state.adding = True
    row.save()
    kept = json.dumps(FileObject._from_json(odd)._to_json())
    with connection.cursor() as cursor:
        cursor.execute("SELECT file FROM library_paper WHERE id = %s", [row.pk])
        raw = cursor.fetchone()[0]
    assert (json.loads(raw) if isinstance(raw, str) else raw) == json.loads(kept)


def test_an_invalid_row_keeps_its_json_until_it_gets_another_file() -> None:
    for title, value in hostile_rows.invalid().items():
        pk = hostile_rows.paper(title, value.text).pk
        row = Paper.objects.get(pk=pk)
        assert row.file.error, title
        assert (str(row.file) + repr(row.file) + row.file.original_name).encode()
        row.title = "renamed"
        row.save()
        assert Paper.objects.get(pk=pk).file._to_json() == row.file._to_json()
        assert pickle.loads(pickle.dumps(row)).file.error == row.file.error
        if title == "unknown alias":  # save() keeps the alias
            row.file = ContentFile(b"new", name="new.txt")
            row.save()
        else:
            row.file.save("new.txt", ContentFile(b"new"))
        again = Paper.objects.get(pk=pk)
        assert (again.file.error, again.file.read()) == (None, b"new"), title
        row.file.delete()
        assert Paper.objects.get(pk=pk).file is None


def test_errors_of_odd_json_name_the_row() -> None:
    put([1, 2])
    row = Paper.objects.get()
    with pytest.raises(ValueError, match=rf"Paper\.file of Paper {row.pk}.* is a list, not an o"):
        row.file.open()
    with pytest.raises(ValueError, match="is a list, not an o"):
        row.file.chunks()
    row.full_clean()  # it is what the column holds
    put({"filename": "a.txt", "backend": "nowhere"}, row=row)
    named = rf"^Paper\.file of Paper {row.pk} can't be used: "
    with pytest.raises(InvalidStorageError, match=f"{named}'nowhere' is not in STORAGES"):
        Paper.objects.get().file.get_content()
    put({"filename": "../a.txt", "backend": "default"}, row=row)
    file: Any = Paper.objects.get().file
    asked = [file.get_content, file.open, file.sign, file.exists, file._check]
    for ask in [*asked, lambda: file.url, lambda: asyncio.run(file.arefresh())]:
        with pytest.raises(SuspiciousFileOperation, match=rf"{named}.*'\.\.'"):
            ask()
    with pytest.raises(SuspiciousFileOperation, match=r"^(?!Paper).*'\.\.'"):
        FileObject("default", "../a.txt").get_content()


def test_extra_keys_are_kept() -> None:
    put({"filename": "a.txt", "backend": "default", "owner": "me", "size": 3})
    row = Paper.objects.get()
    assert row.file.size == 3
    row.file.metadata["seen"] = True
    row.save()
    again = Paper.objects.get().file
    assert again.metadata == {"_extra": {"owner": "me"}, "seen": True}


def test_odd_json_in_a_list() -> None:
    shelf = Shelf.objects.create()
    good = {"filename": "a.txt", "backend": "default"}
    put([good, 5, None], "library_shelf", "files", shelf)
    found = Shelf.objects.get()
    assert [bool(file) for file in found.files] == [True, False, False]
    found.files.append(described("b.txt"))
    found.save()
    assert Shelf.objects.values_list("files__len", flat=True)[0] == 4
    put(good, "library_shelf", "files", shelf)
    assert [file.name for file in Shelf.objects.get().files] == ["a.txt"]


def test_null_in_json_is_empty() -> None:
    put(None)
    shelf = Shelf.objects.create()
    put(None, "library_shelf", "files", shelf)
    assert Paper.objects.get().file is None
    assert Shelf.objects.get().files == []
    assert Paper.objects.filter(file__isnull=True).count() == 1
    assert Paper.objects.filter(file=None).count() == 1
    assert Paper.objects.exclude(file=None).count() == 0
    assert Paper.objects.filter(file__isnull=False).count() == 0
    for odd in (None, {"a": 1, "b": 2}, "text"):
        put(odd, "library_shelf", "files", shelf)
        assert Shelf.objects.values_list("files__len", flat=True)[0] is None
