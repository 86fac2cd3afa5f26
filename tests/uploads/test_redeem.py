"""Direct uploads: a receipt goes to the form, for one person, one field, one row."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import time
from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import CharField, Form
from django.http import QueryDict

from django_fsspec import FileObject, uploads
from django_fsspec.forms import StoredObjectFormField
from django_fsspec.testing import override_storage
from django_fsspec.uploads.tokens import Receipt
from tests.helpers.upload_client import Browser
from tests.library.models import Parcel
from tests.uploads.parcels import TEXT, ParcelForm, WordyForm, destination, names

pytestmark = pytest.mark.django_db


def test_several_files(memory: None, browser: Browser) -> None:
    receipts = [
        browser.upload(destination("files"), f"{n}.bin", bytes([n]), "image/x") for n in (1, 2)
    ]
    form = browser.submitted(ParcelForm, "files", *receipts)
    assert form.errors == {}
    row = form.save()
    assert [file.get_content() for file in row.files] == [b"\x01", b"\x02"]
    more = browser.upload(destination("files"), "3.bin", b"3", "image/x")
    form = browser.submitted(ParcelForm, "files", more, instance=row)
    assert [file.original_name for file in form.save().files] == ["1.bin", "2.bin", "3.bin"]


class Plain(Form):
    file = StoredObjectFormField(
        direct_upload=uploads.Destination(upload_to="inbox", max_size=2000)
    )


def test_a_form_without_a_model(memory: None, browser: Browser) -> None:
    field: Any = Plain.base_fields["file"]
    receipt = browser.upload(field.direct_upload, "a.txt", TEXT, "text/plain")
    form = browser.submitted(Plain, "file", receipt)
    assert form.errors == {}
    file = form.cleaned_data["file"]
    assert isinstance(file, FileObject)
    assert file.name.startswith("inbox/a_")
    assert file.get_content() == TEXT


CHOICE = uploads.Choice(
    "storage",
    {alias: uploads.Destination(alias=alias, upload_to="in") for alias in ("default", "second")},
)


class Choosy(Form):
    storage = CharField()
    file = StoredObjectFormField(direct_upload=CHOICE)


def test_a_form_that_lets_people_choose_the_storage(browser: Browser) -> None:
    with override_storage("default", "second"):
        shown = browser.as_visitor(lambda: str(Choosy(prefix="a")["file"]))
        assert 'data-ticket-control="storage" data-ticket-own="file"' in shown
        (given,) = re.findall(r'data-ticket="([^"]+)"', shown)
        assert list(json.loads(html.unescape(given))) == ["default", "second"]
        receipt = browser.upload(CHOICE.destinations["second"], "a.txt", TEXT, "text/plain")
        form = browser.submitted(Choosy, "file", receipt)
        assert form.cleaned_data["file"].backend == "second"
        assert form.cleaned_data["file"].get_content() == TEXT
        other = dataclasses.replace(CHOICE.destinations["second"], upload_to="elsewhere")
        receipt = browser.upload(other, "a.txt", TEXT, "text/plain")
        assert "file" in browser.submitted(Choosy, "file", receipt).errors


def test_a_field_of_a_model_on_another_storage(browser: Browser) -> None:
    field: Any = Parcel._meta.get_field("file")
    with override_storage("default", "second"):
        receipt = browser.upload(
            uploads.Destination.of(field, "second"), "a.txt", TEXT, "text/plain"
        )
        assert names() == []
        # the form of the model takes none of that
        assert "file" in browser.submitted(ParcelForm, "file", receipt).errors


def test_a_file_with_the_form_counts_more(memory: None, browser: Browser) -> None:
    field: Any = Plain.base_fields["file"]
    receipt = browser.upload(field.direct_upload, "a.txt", TEXT, "text/plain")
    data = {"file-receipt": receipt}
    files: Any = {"file": SimpleUploadedFile("b.txt", b"with the form")}
    form = Plain(data, files)
    browser.as_visitor(form.full_clean)
    assert form.cleaned_data["file"].name == "b.txt"


def test_a_receipt_stays_in_a_form_that_is_shown_again(memory: None, browser: Browser) -> None:
    receipts = [
        browser.upload(destination("files"), f"{n}.bin", bytes([n]), "image/x") for n in (1, 2)
    ]
    form = browser.submitted(WordyForm, "files", *receipts)
    shown = browser.as_visitor(lambda: str(form["files"]))
    assert list(form.errors) == ["word"]
    assert [f'value="{receipt}"' in shown for receipt in receipts] == [True, True]
    taken_out = re.findall(r'name="files-remove" value="(\w+)"', shown)
    data = QueryDict(mutable=True)
    data.setlist("files-receipt", receipts)
    data.update({"word": "right", "files-remove": taken_out[0]})
    form = WordyForm(data, {})
    browser.as_visitor(form.full_clean)
    assert form.errors == {}
    assert [file.original_name for file in form.save().files] == ["2.bin"]


def changed(receipt: str, browser: Browser, **changes: Any) -> str:
    token: Receipt = browser.as_visitor(Receipt.read, receipt)
    return dataclasses.replace(token, **changes).signed()


def refusal(form: Any, field: str = "file") -> str:
    (error,) = form.errors.as_data()[field]
    return str(error.code)


def test_receipts_are_for_one_person_one_field_one_row(memory: None, browser: Browser) -> None:
    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    stranger = Browser()
    storage = storages["default"]
    for who, text, field in (
        (stranger, receipt, "file"),
        (browser, receipt, "picture"),
        (browser, receipt[:-3] + "abc", "file"),
        (browser, "nonsense", "file"),
        (browser, changed(receipt, browser, expires=int(time.time()) - 1), "file"),
        (browser, changed(receipt, browser, size=5), "file"),
        (browser, changed(receipt, browser, etag="other"), "file"),
        (browser, changed(receipt, browser, name="parcels/none.txt"), "file"),
        (browser, browser.ticket(destination()), "file"),
    ):
        assert refusal(who.submitted(ParcelForm, field, text), field) == "receipt"
    assert Parcel.objects.count() == 0
    form = browser.submitted(ParcelForm, "file", receipt)
    form.save()
    assert refusal(browser.submitted(ParcelForm, "file", receipt)) == "receipt"
    (name,) = names()
    storage.delete(name)
    other = browser.upload(destination(), "b.txt", TEXT, "text/plain")
    storage.delete(names()[0])
    assert refusal(browser.submitted(ParcelForm, "file", other)) == "receipt"


def test_a_form_that_takes_no_receipts(memory: None, browser: Browser) -> None:
    class Bare(Form):
        file = StoredObjectFormField()

    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    assert refusal(browser.submitted(Bare, "file", receipt)) == "receipt"


@pytest.mark.parametrize("suffix", ["receipt", "retained", "origin", "remove", "place-a"])
@pytest.mark.parametrize("field", ["file", "files"])
def test_half_of_a_character_is_refused(memory: None, field: str, suffix: str) -> None:
    # a body may be in UTF-7 or UTF-16
    form = ParcelForm({f"{field}-{suffix}": "\ud800:x"})
    Browser().as_visitor(form.full_clean)
    assert (field in form.errors) == (suffix in ("receipt", "retained"))
