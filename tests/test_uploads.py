"""Direct uploads: bytes go to the storage, a receipt to the form."""

from __future__ import annotations

import dataclasses
import html
import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import CharField, Form, modelform_factory
from django.http import HttpRequest, HttpResponse, QueryDict
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import reverse

from django_fsspec import FileObject, uploads
from django_fsspec.forms import StoredObjectFormField
from django_fsspec.middleware import COOKIE, UploadsMiddleware
from django_fsspec.storage import FSSpecStorage
from django_fsspec.sweep import Sweep
from django_fsspec.testing import override_storage
from django_fsspec.uploads.tokens import Receipt, Upload
from tests import servers
from tests.backends import BACKENDS, folder
from tests.curl import curl
from tests.library.models import Parcel
from tests.soak import grounds
from tests.visitor import Browser

pytestmark = pytest.mark.django_db

TEXT = b"a line of text\n" * 100
MEGABYTE = 1_000_000
ParcelForm = modelform_factory(Parcel, fields=["file", "files", "picture"])


class WordyForm(ParcelForm):  # type: ignore[valid-type, misc]
    """A form that can fail beside its files."""

    word = CharField()


PLACES = [
    backend
    for backend in BACKENDS
    if backend.name
    in (
        "local",
        "memory",
        "s3 (SeaweedFS)",
        "gcs (fake-gcs-server)",
        "azure (azurite)",
        "sftp (OpenSSH)",
        "dir over s3",
    )
]
#: those whose bytes do not pass through us
NATIVE = (
    "s3 (SeaweedFS)",
    "gcs (fake-gcs-server)",
    "azure (azurite)",
    "dir over s3",
)


def place(name: str) -> Any:
    (backend,) = [backend for backend in BACKENDS if backend.name == name]
    return backend.options(folder())


def destination(field: str = "file") -> uploads.Destination:
    return uploads.Destination.of(Parcel._meta.get_field(field))  # type: ignore[arg-type]


def names() -> list[str]:
    storage = storages["default"]
    assert isinstance(storage, FSSpecStorage)
    return [stat.name for stat in storage.walk()]


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def memory() -> Iterator[None]:
    with override_storage("default"):
        yield


@pytest.fixture
def seaweed() -> Iterator[None]:
    with override_storage(default=place("s3 (SeaweedFS)")):
        yield


@pytest.mark.parametrize("backend", PLACES, ids=str)
def test_a_file_goes_past_the_form(backend: Any, browser: Browser) -> None:
    with override_storage(default=backend.options(folder())):
        for data in (TEXT, b""):
            answer = browser.start(destination(), "größe.txt", len(data), "text/plain")
            started = answer.json()
            assert answer.status_code == 200, started
            assert started["url"].startswith("/") == (backend.name not in NATIVE)
            assert (started["method"], started["parts"], started["part_size"]) == ("PUT", [], None)
            assert browser.put(started, data).status in (200, 201)
            if backend.name != "gcs (fake-gcs-server)":  # the fake heeds no headers of uploads
                assert browser.put(started, b"x" * len(data)).status in (403, 409, 412)
            receipt = browser.ask("finish_upload", upload=started["upload"]).json()["receipt"]
            if not data:
                continue
            before = names()
            form = browser.submitted(ParcelForm, "file", receipt)
            assert form.errors == {}
            row = Parcel.objects.get(pk=form.save().pk)
            assert row.file.get_content() == data
            assert row.file.original_name == "größe.txt"
            assert (row.file.size, row.file.content_type) == (len(data), "text/plain")
            assert row.file.name in before
            assert names() == before


def test_headers_are_in_the_signature(seaweed: None, browser: Browser) -> None:
    started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
    assert started["headers"] == {"Content-Type": "text/plain", "If-None-Match": "*"}
    for data, headers in (
        (TEXT, {"Content-Type": "text/html"}),
        (TEXT + b"more", {}),
        (TEXT[:-1], {}),
        (TEXT, {"If-None-Match": '"x"'}),
    ):
        assert browser.put(started, data, **headers).status == 403
    assert names() == []
    assert browser.put(started, TEXT).status == 200


def test_object_options_go_with_it(browser: Browser) -> None:
    options = {
        **place("s3 (SeaweedFS)"),
        "object_options": {"cache_control": "max-age=9", "metadata": {"k": "v"}},
    }
    with override_storage(default=options):
        started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
        assert browser.put(started, TEXT).status == 200
        storage: Any = storages["default"]
        (stat,) = storage.walk()
        answer = curl(storage.sign(stat.name))
        assert (answer["cache-control"], answer["x-amz-meta-k"]) == ("max-age=9", "v")


# parts

LARGE = bytes(range(256)) * 50_000  # 12.8 MB: three parts of 5 MiB


@contextmanager
def small_parts() -> Iterator[None]:
    with override_storage(default={**place("s3 (SeaweedFS)"), "chunk_size": 5 * 1024 * 1024}):
        yield


def test_a_large_file_goes_in_parts_and_resumes(browser: Browser) -> None:
    with small_parts():
        answer = browser.start(destination(), "a.bin", len(LARGE), "application/octet-stream")
        started = answer.json()
        size = started["part_size"]
        assert (started["url"], size, len(started["parts"])) == (None, 5 * 1024 * 1024, 3)
        assert curl(started["parts"][1]["url"], "PUT", body=LARGE[size : 2 * size]).status == 200
        # another length than was signed is refused by the storage
        assert curl(started["parts"][0]["url"], "PUT", body=b"short").status == 403
        missing = browser.ask("finish_upload", upload=started["upload"])
        assert (missing.status_code, missing.json()["error"]) == (400, "Parts are missing: 1, 3.")
        told = browser.ask("upload_status", upload=started["upload"]).json()
        assert [part["number"] for part in told["finished"]] == [2]
        assert [part["number"] for part in told["parts"]] == [1, 3]
        for part in told["parts"]:
            offset = (part["number"] - 1) * size
            piece = LARGE[offset : offset + part["size"]]
            assert curl(part["url"], "PUT", body=piece).status == 200
        finished = browser.ask("finish_upload", upload=started["upload"], parts=[])
        again = browser.ask("finish_upload", upload=started["upload"])
        assert again.status_code == finished.status_code == 200
        form = browser.submitted(ParcelForm, "file", finished.json()["receipt"])
        assert form.errors == {}
        assert form.save().file.get_content() == LARGE
        gone = browser.ask("upload_status", upload=started["upload"])
        assert gone.status_code == 410


# what arrived is looked at


@pytest.mark.parametrize("name", NATIVE)
def test_what_is_not_as_announced_goes(name: str, browser: Browser) -> None:
    with override_storage(default=place(name)):
        html = b"<!doctype html><script>alert(1)</script>"
        started = browser.start(destination(), "a.png", len(html), "image/png").json()
        assert browser.put(started, html).status in (200, 201)
        assert len(names()) == 1
        refused = browser.ask("finish_upload", upload=started["upload"])
        assert refused.status_code == 415
        assert "a.png" in refused.json()["error"]
        assert names() == []
        assert browser.ask("finish_upload", upload=started["upload"]).status_code == 404


def test_another_size_goes(browser: Browser) -> None:
    with override_storage(default=place("azure (azurite)")):
        # Azure has no place for the length in its signature
        started = browser.start(destination(), "a.txt", 10, "text/plain").json()
        assert browser.put(started, TEXT).status == 201
        assert browser.ask("finish_upload", upload=started["upload"]).status_code == 413
        assert names() == []


def test_our_endpoint_looks_at_the_first_bytes(memory: None, browser: Browser) -> None:
    html = b"<!doctype html><script>alert(1)</script>"
    started = browser.start(destination(), "a.png", len(html), "image/png").json()
    assert browser.put(started, html).status == 415
    assert names() == []


def picture(size: tuple[int, int] = (30, 20)) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", size).save(out, "PNG")
    return out.getvalue()


def test_pictures_are_measured_and_broken_ones_go(memory: None, browser: Browser) -> None:
    receipt = browser.upload(destination("picture"), "a.png", picture(), "image/png")
    form = browser.submitted(ParcelForm, "picture", receipt)
    assert form.errors == {}
    row = Parcel.objects.get(pk=form.save().pk)
    assert (row.picture.width, row.picture.height) == (30, 20)
    before = names()
    broken = picture()[:60]
    started = browser.start(destination("picture"), "b.png", len(broken), "image/png").json()
    assert browser.put(started, broken).status == 201
    assert browser.ask("finish_upload", upload=started["upload"]).status_code == 415
    assert names() == before


def test_a_second_finish_never_deletes_a_file_of_a_row(memory: None, browser: Browser) -> None:
    receipt = browser.upload(destination(), "a.txt", TEXT, "text/plain")
    row = browser.submitted(ParcelForm, "file", receipt).save()
    upload = Upload(
        destination=destination(),
        uploader=browser.as_visitor(uploads.current_uploader),
        expires=int(time.time()) + 60,
        alias="default",
        name=row.file.name,
        original="a.txt",
        size=len(TEXT) + 1,
        content_type="text/plain",
    )
    assert browser.ask("finish_upload", upload=upload.signed()).status_code == 413
    assert row.file.get_content() == TEXT


# forms


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
        assert 'data-ticket-control="a-storage"' in shown
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


# people


def test_uploads_belong_to_users(memory: None) -> None:
    users = [User.objects.create(username=name) for name in ("ann", "ben")]
    clients = [Client(), Client()]
    for client, user in zip(clients, users, strict=True):
        client.force_login(user)
    ticket = uploads.tokens.Ticket(
        destination=destination(), uploader=f"user:{users[0].pk}", expires=int(time.time()) + 60
    ).signed()
    asked = {"ticket": ticket, "name": "a.txt", "size": 1, "type": "text/plain"}
    answers = [Browser(client).ask("start_upload", **asked) for client in (*clients, Client())]
    assert [answer.status_code for answer in answers] == [200, 403, 403]


def test_uploads_are_told_apart_under_asgi(memory: None) -> None:
    browser = Browser()
    ticket = browser.ticket(destination())
    question = {"ticket": ticket, "name": "a.txt", "size": 1, "type": "text/plain"}
    url = reverse("django_fsspec:start_upload")

    async def ask(cookies: dict[str, str]) -> int:
        client = AsyncClient()
        client.cookies.load(cookies)
        answer = await client.post(url, json.dumps(question), content_type="application/json")
        return answer.status_code

    own = {COOKIE: browser.client.cookies[COOKIE].value}
    other = {COOKIE: "x" * 43}
    assert [async_to_sync(ask)(cookies) for cookies in (own, other, {})] == [200, 403, 403]


def test_the_cookie_is_out_of_reach_for_scripts(memory: None) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(uploads.ticket(destination()))

    response: Any = UploadsMiddleware(view)(RequestFactory().get("/", secure=True))
    cookie = response.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", True)
    assert cookie.value not in response.content.decode()
    quiet: Any = UploadsMiddleware(lambda request: HttpResponse())(RequestFactory().get("/"))
    assert not quiet.cookies


def test_without_the_middleware_it_says_so(memory: None) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"add 'django_fsspec\.middleware"):
        uploads.ticket(destination())


def test_checks() -> None:
    field: Any = Parcel._meta.get_field("file")
    assert field.check() == []
    with override_settings(MIDDLEWARE=[]):
        assert [found.id for found in field.check()] == ["django_fsspec.E020"]
    with override_settings(ROOT_URLCONF="tests.no_urls"):
        assert "django_fsspec.E021" in [found.id for found in field.check()]


def test_migrations_do_not_know() -> None:
    field: Any = Parcel._meta.get_field("file")
    assert set(field.deconstruct()[3]) == {"backend", "upload_to", "null", "blank"}


def test_abandoned_uploads_are_swept(memory: None, browser: Browser) -> None:
    kept = browser.upload(destination(), "kept.txt", TEXT, "text/plain")
    browser.submitted(ParcelForm, "file", kept).save()
    browser.upload(destination(), "left.txt", TEXT, "text/plain")
    found = list(Sweep(["default"], delete=True, min_age=timedelta(0)).run())
    assert [orphan.name.startswith("parcels/left_") for orphan in found] == [True]
    (left,) = names()
    assert left.startswith("parcels/kept_")


def test_a_storage_that_is_not_ours(browser: Browser) -> None:
    ours = uploads.Destination(alias="staticfiles")
    with pytest.raises(ImproperlyConfigured, match="direct uploads need"):
        browser.start(ours, "a.txt", 1, "text/plain")


def test_what_the_storage_packs_goes_through_us(browser: Browser) -> None:
    with override_storage(default={**place("s3 (SeaweedFS)"), "gzip": True}):
        started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
        assert started["url"].startswith("/files/")


def test_content_is_stored_once(memory: None, browser: Browser) -> None:
    storages["default"].save("parcels/other.txt", ContentFile(b"x"))
    browser.upload(destination(), "other.txt", TEXT, "text/plain")
    assert len(names()) == 2


def test_what_it_costs(
    browser: Browser, rclone: servers.RcloneS3, proxy: servers.CountingProxy
) -> None:
    options = {**grounds.s3_options(rclone, folder(), proxy.url), "chunk_size": 5 * 1024 * 1024}

    kind = "application/octet-stream"

    def asked() -> list[str]:
        found = [request.method for request in proxy.requests()]
        proxy.reset()
        return found

    with override_storage(default=options):
        for data, begins, sends, ends in (
            (TEXT, [], ["PUT"], ["GET"]),
            (LARGE, ["POST"], ["PUT"] * 3, ["GET", "POST", "GET"]),
        ):
            proxy.reset()
            started = browser.start(destination(), "a.bin", len(data), kind).json()
            assert asked() == begins
            size = started["part_size"] or len(data)
            urls = [part["url"] for part in started["parts"]] or [started["url"]]
            for number, url in enumerate(urls):
                piece = data[number * size : (number + 1) * size]
                assert curl(url, "PUT", started["headers"], body=piece).status == 200
            assert asked() == sends
            finished = browser.ask("finish_upload", upload=started["upload"])
            assert asked() == ends
            form = browser.submitted(ParcelForm, "file", finished.json()["receipt"])
            assert form.errors == {}
            assert asked() == ["HEAD"]
            form.save()
            assert asked() == []
