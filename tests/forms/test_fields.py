"""StoredObjectField: forms of its model."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import modelform_factory
from django.utils.datastructures import MultiValueDict

from tests.library.models import Paper, Photo, Shelf

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
