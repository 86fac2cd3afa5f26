"""StoredObjectField: forms of its model."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import FieldError, SuspiciousFileOperation, ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.forms import modelform_factory
from django.test.utils import isolate_apps
from django.utils.datastructures import MultiValueDict

from django_fsspec.fields import StoredObjectField
from django_fsspec.testing import override_storage
from tests.helpers.backends import _local, folder
from tests.library.models import Paper, Photo, Record, Shelf

pytestmark = [
    pytest.mark.django_db(databases=["default", "other"]),
    pytest.mark.usefixtures("memory"),
]


def files(**uploads: Any) -> MultiValueDict[str, Any]:
    """Return what a request has in FILES."""
    return MultiValueDict(
        {key: up if isinstance(up, list) else [up] for key, up in uploads.items()}
    )


def upload(name: str = "up.txt", data: bytes = b"uploaded") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "text/plain")


def test_a_model_form_stores_keeps_replaces_and_clears() -> None:
    form_class = modelform_factory(Paper, fields=["title", "file"])
    form = form_class({"title": "t"}, files(file=upload()))
    assert form.is_valid(), form.errors
    paper = form.save()
    assert Paper.objects.get().file.get_content() == b"uploaded"
    form = form_class({"title": "t2"}, files(), instance=Paper.objects.get())
    assert "up.txt" in form.as_p()
    assert form.is_valid()
    assert form.save().file == paper.file
    form = form_class({"title": "t"}, files(file=upload(data=b"2")), instance=Paper.objects.get())
    form.save()
    assert Paper.objects.get().file.get_content() == b"2"
    form = form_class({"title": "t", "file-clear": "on"}, files(), instance=Paper.objects.get())
    form.save()
    assert Paper.objects.get().file is None


def test_a_model_form_says_what_is_wrong() -> None:
    form_class = modelform_factory(Photo, fields=["image"])
    for given, reason in (
        ({}, "required"),
        ({"image": upload("a.png", b"")}, "empty"),
        ({"image": upload("a.png", b"<html>")}, "html"),
        ({"image": upload("a.txt", b"text")}, "text/plain"),
    ):
        form = form_class({}, files(**given))
        assert not form.is_valid()
        assert reason in str(form.errors["image"])
    assert not Photo.objects.exists()


def test_a_model_form_takes_several_files() -> None:
    form_class = modelform_factory(Shelf, fields=["files"])
    form = form_class({}, files(files=[upload("1.txt"), upload("2.txt")]))
    assert form.is_valid(), form.errors
    shelf = form.save()
    assert [file.original_name for file in shelf.files] == ["1.txt", "2.txt"]
    form = form_class({}, files(files=[upload("3.txt")]), instance=shelf)
    form.save()
    found = Shelf.objects.get()
    assert [file.original_name for file in found.files] == ["1.txt", "2.txt", "3.txt"]
    form = form_class({}, files(), instance=found)
    assert form.is_valid()
    assert len(form.save().files) == 3
    form = form_class({"files-clear": "on"}, files(), instance=found)
    assert form.is_valid()
    form.save()
    assert Shelf.objects.get().files == []


@pytest.mark.parametrize("length", [300, 5000])
def test_long_names(length: int) -> None:
    name = "n" * length + ".txt"
    form = modelform_factory(Paper, fields=["file"])({}, files(file=upload(name)))
    if form.is_valid():
        paper = form.save()
        assert len(paper.file.name) <= 255
    else:
        assert "255" in str(form.errors["file"])
    paper = Paper.objects.create(file=ContentFile(b"1", name=name))
    assert len(paper.file.name) <= 255
    assert paper.file.get_content() == b"1"


def named_by_title(instance: Any, filename: str) -> str:
    return f"{instance.title}/{filename}"


def named_by_shelf(instance: Any, filename: str) -> str:
    return f"{instance.shelf.pk}/{filename}"


@pytest.mark.parametrize(
    ("name", "is_accepted"),
    [
        ("a.fsspec-part", False),
        ("\ud800", False),
        ("a\\..", False),
        ("a\\", False),
        ("::", False),
        ("..", False),
        ("a::b?versionId=1", True),
        ("字" * 120, True),
        ("ж" * 200 + ".txt", True),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("model", [Paper, Record])
def test_a_form_says_what_the_save_would(model: Any, name: str, is_accepted: bool) -> None:
    up = SimpleUploadedFile("x", b"1")
    up._name = name  # type: ignore[attr-defined]
    form = modelform_factory(model, fields=["file"])({}, files(file=up))
    assert form.is_valid() == is_accepted
    if is_accepted:
        assert form.save().file.get_content() == b"1"
    else:
        with pytest.raises((SuspiciousFileOperation, FieldError)):
            model.objects.create(file=up)


@pytest.mark.parametrize("title", ["t", "字" * 100, "..", "a/../b", "/", "\ud800"], ids=ascii)
@isolate_apps("tests.library")
@override_storage(default=_local(folder()))
def test_a_form_asks_a_callable_upload_to(title: str) -> None:
    class Titled(models.Model):
        title = models.CharField(max_length=100)
        file = StoredObjectField(upload_to=named_by_title)

        class Meta:
            app_label = "library"

    row = Titled(title=title, file=upload())
    field: Any = Titled._meta.get_field("file")
    if title == "t":
        field.validate(row.file, row)
    else:
        with pytest.raises(ValidationError, match="can't be stored under this name"):
            field.validate(row.file, row)
        with pytest.raises(SuspiciousFileOperation):
            field.prepare(row, row.file)


@isolate_apps("tests.library")
def test_a_callable_that_needs_more_than_the_row_has_refuses_nothing() -> None:
    class Sheet(models.Model):
        shelf = models.ForeignKey(Shelf, models.CASCADE)
        file = StoredObjectField(upload_to=named_by_shelf)

        class Meta:
            app_label = "library"

    field: Any = Sheet._meta.get_field("file")
    for row in (Sheet(file=upload()), None):
        file = Sheet(file=upload()).file
        field.validate(file, row)
        file.filename = "\ud800"
        with pytest.raises(ValidationError, match="can't be stored under this name"):
            field.validate(file, row)
