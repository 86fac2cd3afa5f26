"""Direct uploads: files that a scanner has to pass, and what they answer until then."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.http import HttpResponseBase
from django.test import Client, RequestFactory, override_settings

from django_fsspec import FileObject, uploads
from django_fsspec.responses import file_response
from django_fsspec.testing import override_storage
from django_fsspec.views import StoredObjectDownloadView
from tests.helpers.curl import curl
from tests.helpers.upload_client import Browser
from tests.library.models import Parcel
from tests.uploads.parcels import TEXT, ParcelForm, destination, names, picture, place

pytestmark = pytest.mark.django_db(transaction=True)

seen: list[FileObject] = []
results: list[bool | None] = []


def scan(file: FileObject) -> bool | None:
    """Answer as the test says, and note what was scanned."""
    seen.append(file)
    return results.pop(0)


@pytest.fixture(autouse=True)
def hook() -> Iterator[None]:
    seen.clear()
    results.clear()
    with override_settings(FSSPEC_UPLOADS={"scan": f"{__name__}.scan"}):
        yield


def uploaded(browser: Browser, field: str = "file") -> Any:
    receipt = browser.upload(destination(field), "a.txt", TEXT[:900], "text/plain")
    form = browser.submitted(ParcelForm, field, receipt)
    assert form.errors == {}
    return Parcel.objects.get(pk=form.save().pk)


def test_a_file_that_passes_is_as_any_other(memory: None, browser: Browser) -> None:
    results[:] = [True]
    file = uploaded(browser).file
    (scanned,) = seen
    assert (scanned.original_name, scanned.content_type) == ("a.txt", "text/plain")
    assert scanned.get_content() == TEXT[:900]
    assert file.scan_state == ""
    assert "scan_state" not in file.to_dict()["metadata"]
    assert Client().get(file.url).status_code == 200


def test_a_file_that_is_refused_is_gone(memory: None, browser: Browser) -> None:
    for name in ("a.txt", "a.html"):
        results[:] = [False]
        started = browser.start(destination("files"), name, 5, "text/plain").json()
        assert browser.put(started, b"12345").status == 201
        refused = browser.ask("finish_upload", upload=started["upload"])
        assert (refused.status_code, names()) == (422, [])


def statuses(file: FileObject) -> list[int]:
    """Return what all URLs of a file answer."""
    urls = [file.url, file.sign(), file.sign(60, content_type="image/png")]
    urls += [asyncio.run(file.asign()), file.sign(content_disposition="inline")]
    return [
        Client().get(url).status_code if url.startswith("/") else curl(url).status for url in urls
    ]


def downloads(row: Parcel) -> list[Any]:
    request = RequestFactory().get("/")
    view = StoredObjectDownloadView.as_view(model=Parcel, field="file")

    def answers(*args: Any, **options: Any) -> Any:
        try:
            response: HttpResponseBase = file_response(request, row.file, **options)
        except PermissionDenied:
            return 403
        response.close()
        return response.status_code

    ways = [answers(), answers(redirect=True), answers(accel="/inner/")]
    try:
        view(request, pk=row.pk)
    except PermissionDenied:
        ways.append(403)
    else:
        ways.append(200)
    return ways


@pytest.mark.parametrize("name", ["memory", "s3 (SeaweedFS)"])
def test_until_it_passed_every_url_answers_403(name: str, browser: Browser) -> None:
    with override_storage(default=place(name)):
        results[:] = [None, None]
        row = uploaded(browser)
        assert row.file.scan_state == "pending"
        assert [each.pk for each in Parcel.objects.filter(file__metadata__scan_state="pending")]
        pending = row.file.url
        assert statuses(row.file) == [403] * 5
        assert downloads(row) == [403] * 4
        # our own code reads it: a scanner has to
        assert row.file.get_content() == TEXT[:900]
        assert uploads.scanned("default", row.file.name, passed=False) == 1
        row.refresh_from_db()
        assert row.file.scan_state == "refused"
        assert statuses(row.file) == [403] * 5
        assert uploads.scanned("default", row.file.name, passed=True) == 1
        row.refresh_from_db()
        assert row.file.scan_state == ""
        assert statuses(row.file) == [200] * 5
        # a page that was made before has a link that works now
        assert Client().get(pending).status_code == 200
        assert uploads.scanned("default", "parcels/other.txt", passed=True) == 0


def test_a_file_of_a_list(memory: None, browser: Browser) -> None:
    results[:] = [None, None, True]
    row = uploaded(browser, "files")
    second = browser.upload(destination("files"), "b.txt", b"b", "text/plain")
    row = browser.submitted(ParcelForm, "files", second, instance=row).save()
    assert [file.scan_state for file in row.files] == ["pending", ""]
    assert uploads.scanned("default", row.files[0].name, passed=True) == 1
    assert [file.scan_state for file in Parcel.objects.get(pk=row.pk).files] == ["", ""]


def saved_as_new(browser: Browser, row: Parcel) -> Parcel:
    """Return what "Save as new" of the admin makes of a form with a row."""
    shown = browser.as_visitor(lambda: str(ParcelForm(instance=row)["file"]))
    match = re.search(r'name="file-origin" value="([^"]+)"', shown)
    assert match is not None
    form = ParcelForm({"file-origin": match[1]})
    browser.as_visitor(form.full_clean)
    made: Parcel = form.save()
    return made


def assigned(browser: Browser, row: Parcel) -> Parcel:
    return Parcel.objects.create(file=row.file)


def copied(browser: Browser, row: Parcel) -> Parcel:
    return Parcel.objects.create(file=row.file.copy_to("default", "parcels/copy.txt"))


def taken_as_content(browser: Browser, row: Parcel) -> Parcel:
    return Parcel.objects.create(file=FileObject("default", "b.txt", content=row.file))


@pytest.mark.parametrize("passed", [None, False])
@pytest.mark.parametrize("copy", [saved_as_new, assigned, copied, taken_as_content])
def test_a_copy_has_the_state_of_its_file(
    memory: None, browser: Browser, copy: Any, passed: bool | None
) -> None:
    results[:] = [None, None]
    row = uploaded(browser)
    if passed is False:
        uploads.scanned("default", row.file.name, passed=False)
        row.refresh_from_db()
    made = Parcel.objects.get(pk=copy(browser, row).pk)
    assert made.file.name != row.file.name
    assert made.file.get_content() == TEXT[:900]
    assert made.file.scan_state == row.file.scan_state != ""
    assert statuses(made.file) == [403] * 5
    # it has a name of its own
    assert uploads.scanned("default", row.file.name, passed=True) == 1
    assert statuses(made.file) == [403] * 5
    assert uploads.scanned("default", made.file.name, passed=True) == 1
    made.refresh_from_db()
    assert statuses(made.file) == [200] * 5


def test_other_content_has_no_state(memory: None, browser: Browser) -> None:
    results[:] = [None, None]
    row = uploaded(browser)
    row.file.save("b.txt", ContentFile(b"other"))
    assert Parcel.objects.get(pk=row.pk).file.scan_state == ""


def test_a_scanner_that_was_slow_is_asked_again(memory: None, browser: Browser) -> None:
    results[:] = [None, True]
    assert uploaded(browser).file.scan_state == ""
    results[:] = [None, False]
    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    before = names()
    form = browser.submitted(ParcelForm, "file", receipt)
    (error,) = form.errors.as_data()["file"]
    assert (error.code, len(names())) == ("receipt", len(before) - 1)


def test_a_picture_that_waits_has_no_thumbnail(memory: None, browser: Browser) -> None:
    results[:] = [None, None, None]
    data = picture()
    receipt = browser.upload(destination("picture"), "a.png", data, "image/png")
    row = browser.submitted(ParcelForm, "picture", receipt).save()
    shown = browser.as_visitor(lambda: str(ParcelForm(instance=row)["picture"]))
    assert "<img" not in shown
    assert "a.png" in shown


def test_what_is_in_metadata_otherwise_hinders_nobody(memory: None) -> None:
    name = storages["default"].save("a.txt", ContentFile(b"x"))
    for state in ("", "CT", None, 5, ["pending"]):
        file = FileObject("default", name, size=1, metadata={"scan_state": state})
        assert file.scan_state == ""
        assert Client().get(file.url).status_code == 200
