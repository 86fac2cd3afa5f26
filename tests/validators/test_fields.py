"""Validators on the fields of forms and models."""

from __future__ import annotations

from typing import Any

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.test.utils import isolate_apps
from django.utils.datastructures import MultiValueDict

from django_fsspec.fields import StoredObjectField
from django_fsspec.validators import ContentTypeValidator, ImageValidator, MaxSizeValidator
from tests.helpers.samples import HTML, PNG
from tests.helpers.validators import LIES, LOOKS, refusal


class UploadForm(forms.Form):
    file = forms.FileField(
        validators=[ContentTypeValidator(["image/*"]), MaxSizeValidator(1000), ImageValidator()]
    )


def sent(*uploads: SimpleUploadedFile) -> UploadForm:
    return UploadForm({}, MultiValueDict({"file": list(uploads)}))


def test_in_a_form() -> None:
    form = sent(SimpleUploadedFile("a.png", PNG, "text/html"))
    assert form.is_valid(), form.errors
    assert form.cleaned_data["file"].read() == PNG
    form = sent(SimpleUploadedFile("a.png", HTML + b" " * 1000, "image/png"))
    assert [error.code for error in form.errors.as_data()["file"]] == [
        "misnamed",
        "max_size",
        "invalid_image",
    ]


@isolate_apps("testproject")
def test_files_of_a_file_field() -> None:
    class Document(models.Model):
        file = models.FileField()

        class Meta:
            app_label = "testproject"

        def __str__(self) -> str:
            return str(self.file)

    stored = Document(file="nowhere/a.png").file
    for look in LOOKS[:3]:
        look(stored)
    document = Document(file=SimpleUploadedFile("a.png", HTML))
    assert refusal(LOOKS[0], document.file) == LIES
    assert refusal(ImageValidator(), document.file) == "invalid_image"
    assert refusal(MaxSizeValidator(5), document.file) == "max_size"


def two_complaints(file: object) -> None:
    raise ValidationError(
        [ValidationError("Too plain.", code="plain"), ValidationError("Too old.", code="old")]
    )


@isolate_apps("testproject")
def test_errors_of_a_model_fields_validators() -> None:
    class Report(models.Model):
        file = StoredObjectField(
            max_size=3,
            validators=[two_complaints],
            error_messages={"max_size": "Send something smaller.", "plain": "Never used."},
        )

        class Meta:
            app_label = "testproject"

    field: Any = Report._meta.get_field("file")
    report = Report(file=ContentFile(b"12345", name="a.txt"))
    with pytest.raises(ValidationError) as raised:
        field.clean(report.file, report)
    # as in Django, the messages of a validator that raises several stay its own
    assert raised.value.messages == ["Send something smaller.", "Too plain.", "Too old."]
    assert [error.code for error in raised.value.error_list] == ["max_size", "plain", "old"]
