"""Direct uploads: a receipt is for the bytes that were checked, and makes one row."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import include, path

from django_fsspec.testing import override_storage
from tests.helpers.backends import backends_named, folder
from tests.helpers.upload_client import Browser
from tests.library.models import Parcel
from tests.uploads.parcels import TEXT, ParcelForm, destination, names, place

pytestmark = pytest.mark.django_db(transaction=True)


def everything() -> list[str]:
    storage: Any = storages["default"]
    return [stat.name for stat in storage.walk()]


def refusal(form: Any, field: str = "file") -> str:
    (error,) = form.errors.as_data()[field]
    return str(error.code)


# bytes


@pytest.mark.parametrize(
    "backend", backends_named("local", "memory", "s3 (SeaweedFS)", "sftp (OpenSSH)"), ids=str
)
def test_other_bytes_of_the_same_size_are_refused(backend: Any, browser: Browser) -> None:
    with override_storage(default=backend.options(folder())):
        storage: Any = storages["default"]
        receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
        assert browser.submitted(ParcelForm, "file", receipt).errors == {}
        (name,) = names()
        storage.delete(name)
        storage.save(name, ContentFile(TEXT[:-2] + b"!\n"))
        assert names() == [name]
        assert refusal(browser.submitted(ParcelForm, "file", receipt)) == "receipt"


def test_other_bytes_with_the_time_of_the_first_are_refused(browser: Browser) -> None:
    (local,) = backends_named("local")
    with override_storage(default=local.options(folder())):
        storage: Any = storages["default"]
        receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
        path = storage.path(names()[0])
        times = os.stat(path)
        with open(path, "r+b") as file:
            file.write(b"A")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert refusal(browser.submitted(ParcelForm, "file", receipt)) == "receipt"


def test_a_large_file_is_told_by_its_time(browser: Browser) -> None:
    (local,) = backends_named("local")
    with override_storage(default={**local.options(folder()), "chunk_size": 100}):
        storage: Any = storages["default"]
        receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
        with open(storage.path(names()[0]), "r+b") as file:
            file.write(b"A")
        assert refusal(browser.submitted(ParcelForm, "file", receipt)) == "receipt"


def test_the_row_knows_the_checksum_of_what_was_checked(memory: None, browser: Browser) -> None:
    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    row = browser.submitted(ParcelForm, "file", receipt).save()
    assert Parcel.objects.get(pk=row.pk).file.verify()


# once


def saved_by_form(form: Any) -> None:
    form.save()


def created(form: Any) -> None:
    Parcel.objects.create(file=form.cleaned_data["file"])


def created_in_bulk(form: Any) -> None:
    Parcel.objects.bulk_create([Parcel(file=form.cleaned_data["file"])])


def updated(form: Any) -> None:
    row = Parcel.objects.create()
    row.file = form.cleaned_data["file"]
    try:
        row.save(update_fields=["file"])
    except BaseException:
        row.delete()
        raise


def among_several(form: Any) -> None:
    Parcel.objects.create(files=[form.cleaned_data["file"]])


WAYS = [saved_by_form, created, created_in_bulk, updated, among_several]


@pytest.mark.parametrize("save", WAYS)
def test_requests_that_were_checked_at_once_make_one_row(
    memory: None, browser: Browser, save: Callable[[Any], None]
) -> None:
    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    forms = [browser.submitted(ParcelForm, "file", receipt) for _ in range(4)]
    assert [form.errors for form in forms] == [{}] * 4
    save(forms[0])
    for form in forms[1:]:
        with pytest.raises(SuspiciousOperation, match="used already"):
            save(form)
    assert Parcel.objects.count() == 1
    # nothing else is left behind, and the row's file is there
    assert len(everything()) == 1
    row = Parcel.objects.get()
    assert (row.file or row.files[0]).get_content() == TEXT
    # the row may be saved again, with its file
    row.save()
    (row.file or row.files[0]).metadata["note"] = "x"
    row.save()


@pytest.mark.parametrize("field", ["file", "files"])
def test_what_makes_no_claim_is_refused(memory: None, browser: Browser, field: str) -> None:
    receipt = browser.upload(destination(field), "a.txt", TEXT[:900], "text/plain")
    rows = [Parcel.objects.create() for _ in range(2)]
    for row in rows:
        value = browser.submitted(ParcelForm, field, receipt).cleaned_data[field]
        with pytest.raises(ValueError, match="receipt"):
            Parcel.objects.filter(pk=row.pk).update(**{field: value})
        setattr(row, field, value)
        with pytest.raises(ValueError, match="receipt"):
            Parcel.objects.bulk_update([row], [field])
        with pytest.raises(ValueError, match="receipt"):
            row.save_base(raw=True)
        row.refresh_from_db()
        assert not getattr(row, field)
    form = browser.submitted(ParcelForm, field, receipt, instance=rows[0])
    form.save()
    # a row has it now
    assert Parcel.objects.filter(pk=rows[0].pk).update(**{field: getattr(rows[0], field)}) == 1
    assert len(everything()) == 1


def test_while_one_is_not_committed_others_are_refused(memory: None, browser: Browser) -> None:
    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    forms = [browser.submitted(ParcelForm, "file", receipt) for _ in range(3)]
    with pytest.raises(RuntimeError), transaction.atomic():
        forms[0].save()
        with pytest.raises(SuspiciousOperation), transaction.atomic():
            forms[1].save()
        raise RuntimeError("rolled back")
    assert Parcel.objects.count() == 0
    # the receipt still counts, and the file is still there
    forms[2].save()
    assert Parcel.objects.get().file.get_content() == TEXT
    assert len(everything()) == 1


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("field", ["file", "files"])
def test_a_connection_that_does_not_see_the_row_is_refused(
    memory: None, browser: Browser, field: str
) -> None:
    receipt = browser.upload(destination(field), "a.txt", TEXT[:900], "text/plain")
    first, second, third = (
        browser.submitted(ParcelForm, field, receipt).cleaned_data[field] for _ in range(3)
    )
    others = Parcel.objects.using("other")
    with pytest.raises(RuntimeError), transaction.atomic():
        Parcel.objects.create(**{field: first})
        with pytest.raises(SuspiciousOperation, match="used already"):
            others.create(**{field: second})
        raise RuntimeError("rolled back")
    others.create(**{field: third})
    assert (Parcel.objects.count(), others.count(), len(everything())) == (0, 1, 1)


def test_a_save_that_fails_spends_nothing(memory: None, browser: Browser) -> None:
    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    first, second = (browser.submitted(ParcelForm, "file", receipt) for _ in range(2))
    row = Parcel.objects.create()
    with pytest.raises(DatabaseError):
        Parcel(pk=row.pk, file=first.cleaned_data["file"]).save(force_insert=True)
    assert len(everything()) == 1
    second.save()
    assert Parcel.objects.exclude(pk=row.pk).get().file.get_content() == TEXT


@pytest.mark.slow
def test_posts_at_once_make_one_row(browser: Browser) -> None:
    if connection.vendor == "sqlite":
        return  # one writer at a time, and a connection for each thread that nothing closes
    with override_storage(default=place("local")):
        receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
        together = threading.Barrier(4)

        def post(number: int) -> bool:
            visitor = Browser()
            visitor.client.cookies = browser.client.cookies
            try:
                form = visitor.submitted(ParcelForm, "file", receipt)
                together.wait(10)
                form.save()
            except SuspiciousOperation:
                return False
            else:
                return True
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            saved = list(pool.map(post, range(4)))
        assert Parcel.objects.count() == sum(saved) == 1
        assert Parcel.objects.get().file.get_content() == TEXT


# as people see it

rivals: list[Any] = []


def add(request: HttpRequest) -> HttpResponse:
    """Store a parcel; between the check and the save, another request may do so."""
    form = ParcelForm(request.POST)
    if not form.is_valid():
        return HttpResponse(form.errors.as_text())
    if rivals:
        rivals.pop().save()
    with transaction.atomic():
        form.save()
    return HttpResponse("saved")


async def add_async(request: HttpRequest) -> HttpResponse:
    return await sync_to_async(add)(request)


urlpatterns = [
    path("add", add),
    path("add_async", add_async),
    path("files/", include("django_fsspec.urls")),
]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("view", ["add", "add_async"])
def test_who_sends_a_form_twice_is_told_that_it_is_saved(
    memory: None, browser: Browser, view: str, caplog: pytest.LogCaptureFixture
) -> None:
    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    rivals[:] = [browser.submitted(ParcelForm, "file", receipt)]
    sent = {"file-receipt": receipt}
    # at the same time
    second = browser.client.post(f"/{view}", sent)
    assert (second.status_code, second["Content-Type"]) == (409, "text/plain; charset=utf-8")
    # later
    third = browser.client.post(f"/{view}", sent)
    assert third.status_code == 200
    for answer in (second, third):
        assert "An earlier submit of this form has saved the file" in answer.content.decode()
    assert Parcel.objects.count() == 1
    # nobody gets a mail about it
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert browser.client.post(f"/{view}", {"file-receipt": "x"}).content == (
        b"* file\n  * The upload could not be used. Please upload the file again."
    )


# in a list


def test_a_receipt_is_in_a_list_once(memory: None, browser: Browser) -> None:
    one, two = (
        browser.upload(destination("files"), f"{n}.bin", b"x", "image/x") for n in range(2)
    )
    for receipts in ([one, two, one], [one] * 900):
        form = browser.submitted(ParcelForm, "files", *receipts)
        assert refusal(form, "files") == "receipt"
    assert browser.submitted(ParcelForm, "files", one, two).errors == {}


def test_a_list_takes_as_many_as_a_request_takes_files(memory: None, browser: Browser) -> None:
    receipts = [
        browser.upload(destination("files"), f"{n}.bin", b"x", "image/x") for n in range(3)
    ]
    with override_settings(DATA_UPLOAD_MAX_NUMBER_FILES=2):
        assert refusal(browser.submitted(ParcelForm, "files", *receipts), "files") == "receipt"
        assert browser.submitted(ParcelForm, "files", *receipts[:2]).errors == {}
    with override_settings(DATA_UPLOAD_MAX_NUMBER_FILES=None):
        assert browser.submitted(ParcelForm, "files", *receipts).errors == {}
