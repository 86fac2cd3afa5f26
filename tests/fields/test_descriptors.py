"""What a field takes for a file when it is assigned, and what it refuses."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import FieldError
from django.core.files.base import ContentFile
from django.db.models import F
from django.utils.functional import SimpleLazyObject

from django_fsspec import FileObject
from tests.library.models import Magazine, Paper, Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

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
    with pytest.raises(TypeError, match=r"^Shelf\.files: None is not a file"):
        Shelf(files=[None])
    with pytest.raises(TypeError, match=r"^Shelf\.files: None is not a file"):
        Shelf().files.append(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("a.txt", "FileObject(alias, name)"),
        (b"secret", "ContentFile(content, name='report.txt')"),
        (io.BytesIO(b"x"), "File(file, name='report.txt')"),
    ],
    ids=["name", "bytes", "open file"],
)
def test_the_error_names_the_class_that_wraps_the_value(value: Any, advice: str) -> None:
    with pytest.raises(TypeError, match=rf"Paper\.file .*{re.escape(advice)}") as caught:
        Paper(file=value)
    assert "secret" not in str(caught.value)


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
    assert Shelf().files == Shelf(files=None).files == []  # type: ignore[misc]
    assert Shelf(files=(file, ContentFile(b"y", name="b.txt"))).files[0] == file


@pytest.mark.usefixtures("memory")
def test_save_of_a_rows_file_takes_content_alone() -> None:
    paper = Paper.objects.create(file=ContentFile(b"old", name="old.txt"))
    paper.file.save(ContentFile(b"new", name="new.txt"))
    paper = Paper.objects.get()
    assert paper.file.get_content() == b"new"
    assert paper.file.original_name == "new.txt"


@pytest.mark.usefixtures("memory")
def test_delete_of_a_rows_file_in_async_code() -> None:
    paper = Paper.objects.create(file=ContentFile(b"x", name="a.txt"))
    shelf = Shelf.objects.create(files=[ContentFile(name.encode(), name=name) for name in "abc"])
    second = shelf.files[1]
    async_to_sync(paper.file.adelete)()
    async_to_sync(second.adelete)(save=False)
    assert Paper.objects.get().file is None
    assert [file.original_name for file in shelf.files] == ["a", "c"]
    assert len(Shelf.objects.get().files) == 3
    shelf.save()
    assert [file.original_name for file in Shelf.objects.get().files] == ["a", "c"]
    assert not second.exists()
