"""Django REST framework: the fields of a serializer."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.test.utils import isolate_apps
from rest_framework import serializers

from django_fsspec.fields import StoredObjectField
from django_fsspec.rest_framework import StoredObjectSerializerField, StoredObjectSerializerMixin
from django_fsspec.validators import MaxSizeValidator
from tests.helpers.samples import png
from tests.integrations.rest_framework.client import DESCRIPTION, refusal, upload
from tests.integrations.rest_framework.site import PaperSerializer, ShelfSerializer
from tests.library.models import Magazine, Paper, Photo, Shelf

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.integrations.rest_framework.site"),
    pytest.mark.usefixtures("memory"),
]


def test_fields_are_made_from_the_model() -> None:
    class MagazineSerializer(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Magazine
            fields = ("title", "file", "cover")
            read_only_fields = ("cover",)
            extra_kwargs = {"file": {"fields": ("name",), "required": True}}  # noqa: RUF012

    made = MagazineSerializer().fields
    assert made["cover"].read_only
    assert (made["file"].fields, made["file"].required, made["file"].allow_null) == (
        ("name",),
        True,
        True,
    )
    files = ShelfSerializer().fields["files"]
    assert (files.required, files.allow_empty) == (False, True)


@isolate_apps("tests.library")
def test_rules_of_the_model_for_several_files() -> None:
    class Pile(models.Model):
        files = StoredObjectField(multiple=True, validators=[MaxSizeValidator(3)])

        class Meta:
            app_label = "library"

    class Made(StoredObjectSerializerMixin, serializers.ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Pile
            fields = ("files",)

    assert Made(data={"files": [upload("123")]}).is_valid()
    [error] = refusal(Made(data={"files": [upload("123"), upload("1234")]}))["files"][1]
    assert error.code == "max_size"
    assert refusal(Made(data={"files": []}))["files"][0].code == "empty"
    assert refusal(Made(data={}))["files"][0].code == "required"


@isolate_apps("tests.library")
def test_rules_of_the_model_are_told_once() -> None:
    class Pile(models.Model):
        file = StoredObjectField(validators=[MaxSizeValidator(3)])

        class Meta:
            app_label = "library"

    class Registered(serializers.ModelSerializer):  # type: ignore[misc]
        serializer_field_mapping = PaperSerializer.serializer_field_mapping

        class Meta:
            model = Pile
            fields = ("file",)

    assert len(refusal(Registered(data={"file": upload("1234")}))["file"]) == 1


def test_a_field_for_one_file_is_not_for_several() -> None:
    class Wrong(serializers.ModelSerializer):  # type: ignore[misc]
        files = StoredObjectSerializerField()

        class Meta:
            model = Shelf
            fields = ("files",)

    with pytest.raises(TypeError, match=r"Shelf\.files holds several .* MultipleStoredObject"):
        assert Wrong().fields


def test_the_field_can_be_registered_for_every_serializer(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = serializers.ModelSerializer.serializer_field_mapping
    monkeypatch.setitem(registry, StoredObjectField, StoredObjectSerializerField)

    class Plain(serializers.ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Photo
            fields = ("image",)

    hostile = Plain(data={"image": DESCRIPTION})
    assert not hostile.is_valid()
    assert "not an upload" in str(hostile.errors)
    made = Plain(data={"image": upload(png(2, 2), "p.png")})
    assert made.is_valid(), made.errors
    assert made.save().image.width == 2
    assert "textarea" not in str(made["image"].style)
    late = Plain(data={"image": upload(b"text", "t.txt")})
    assert not late.is_valid()
    assert [error.code for error in late.errors["image"]] == ["content_type"]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("django_fsspec.rest_framework")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rest_framework.serializers", None)
    with pytest.raises(ImproperlyConfigured, match=r"rest_framework needs .*storage\[drf\]"):
        importlib.import_module("django_fsspec.rest_framework")


def test_the_model_has_the_same_rules() -> None:
    photo = Photo(image=upload(b"text", "t.txt"))
    with pytest.raises(ValidationError, match="text/plain"):
        photo.full_clean()


def test_serializers_without_the_mixin_take_no_paths_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = dict(serializers.ModelSerializer.serializer_field_mapping)
    monkeypatch.setattr(serializers.ModelSerializer, "serializer_field_mapping", known)
    # as ready() does where rest_framework is installed
    apps.get_app_config("django_fsspec")._register_serializer_field()  # type: ignore[attr-defined]

    class Plain(serializers.ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Paper
            fields = ("title", "file")

    forged = Plain(data={"title": "t", "file": {"backend": "default", "filename": "x.txt"}})
    assert not forged.is_valid()
    assert "not an upload" in str(forged.errors["file"])
    upload = SimpleUploadedFile("a.txt", b"1")
    assert Plain(data={"title": "t", "file": upload}).is_valid()
