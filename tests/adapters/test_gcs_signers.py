"""URLs of GCS by credentials without a private key: the IAM API signs, once for each URL."""

from __future__ import annotations

import asyncio
import json
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import RequestFactory

from django_fsspec import FileObject, uploads
from django_fsspec.checks.doctor import Doctor
from django_fsspec.exceptions import StorageError
from django_fsspec.responses import file_response
from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.testing import override_storage
from tests.helpers.debug_pages import debug_page
from tests.helpers.google_cloud import EMAIL, GoogleCloud
from tests.helpers.upload_client import Browser

KINDS = ("compute_engine", "external_account", "impersonated")


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleCloud]:
    with pytest.MonkeyPatch.context() as patch, GoogleCloud(tmp_path_factory.mktemp("g")) as cloud:
        for name, value in cloud.environment.items():
            patch.setenv(name, value)
            patch.delenv(name.lower(), raising=False)
        yield cloud


def storage_by(google: GoogleCloud, kind: str = "external_account") -> FSSpecStorage:
    return FSSpecStorage(**google.storage_options(getattr(google, kind)()))


def send(url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    method = "GET" if data is None else "PUT"
    try:
        request = urllib.request.Request(url, data, sent, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("kind", KINDS)
def test_one_request_a_url_and_none_within_its_window(google: GoogleCloud, kind: str) -> None:
    storage = storage_by(google, kind)
    storage.save("a b+ü.txt", ContentFile(b"content"))
    before = google.signatures
    url = storage.url("a b+ü.txt")
    assert send(url) == (200, b"content")
    assert asyncio.run(storage.asign("a b+ü.txt")) == url
    assert storage.url("a b+ü.txt") == url
    assert google.signatures - before == 1
    assert send(url.replace("a%20b", "a%20c"))[0] == 403
    assert send(f"{url[:-4]}0000")[0] == 403


@pytest.mark.slow
def test_a_thousand_urls(google: GoogleCloud) -> None:
    storage = storage_by(google)
    before = google.signatures
    urls = [storage.url(f"{number}.txt") for number in range(1000)]
    assert google.signatures - before == len(set(urls)) == 1000
    assert [storage.url(f"{number}.txt") for number in range(1000)] == urls
    assert google.signatures - before == 1000


def test_application_default_credentials(
    google: GoogleCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on a server of another provider: a file named by the environment."""
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps(google.external_account_info()))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    storage = FSSpecStorage(**google.storage_options("google_default"))
    storage.save("a.txt", ContentFile(b"content"))
    assert send(storage.url("a.txt")) == (200, b"content")


def test_callers_at_once_share_one_request(google: GoogleCloud) -> None:
    storage = storage_by(google)
    storage.url("first.txt")
    google.pause, before = 0.2, google.signatures

    async def gather() -> list[str]:
        asked = [asyncio.create_task(storage.asign("a.txt")) for _ in range(10)]
        await asyncio.sleep(0.1)
        asked[0].cancel()
        return await asyncio.gather(*asked[1:])

    try:
        assert len(set(asyncio.run(gather()))) == 1
    finally:
        google.pause = 0.0
    assert google.signatures - before == 1


def test_sync_code_below_async_code(google: GoogleCloud) -> None:
    storage = storage_by(google)

    async def view() -> str:
        return storage.url("a.txt")

    assert asyncio.run(view()) == storage.url("a.txt")


def test_an_upload_url_sends_what_was_signed(google: GoogleCloud) -> None:
    storage = storage_by(google)
    url = storage.sign("new.txt", for_upload=True, content_type="text/plain")
    assert send(url, b"new", Content_Type="text/html")[0] == 403
    assert send(url, b"new", Content_Type="text/plain")[0] == 200
    assert storage.get_content("new.txt") == b"new"


def test_a_url_lives_no_longer_than_googles_key(google: GoogleCloud) -> None:
    storage = storage_by(google)
    assert "X-Goog-Expires=43200&" in storage.sign("f.txt", expires_in=7 * 24 * 3600)
    assert "X-Goog-Expires=60&" in storage.sign("f.txt", expires_in=60)


def test_credentials_without_a_service_account_sign_nothing(google: GoogleCloud) -> None:
    credentials = google.external_account(impersonates=False)
    with override_storage(default=google.storage_options(credentials)):
        before = google.signatures
        assert get_storage("default").url("a.txt").startswith("/")
        (step,) = [s for s in Doctor(get_storage("default")).examine() if s.title == "sign"]
        assert "served by Django, because the credentials can't sign URLs" in step.note
        assert google.signatures == before


@pytest.mark.django_db
@pytest.mark.parametrize("size", [100, 6 * 1024 * 1024])
def test_direct_uploads(google: GoogleCloud, size: int) -> None:
    data, browser, before = b"x" * size, Browser(), google.signatures
    options = google.storage_options(google.external_account())
    with override_storage(default={**options, "chunk_size": 5 * 1024 * 1024}):
        destination = uploads.Destination(alias="default", upload_to="in")
        place = browser.start(destination, "may.txt", size, "text/plain").json()
        for part in place["parts"]:
            assert part["url"].startswith(google.url)
            end = part["offset"] + part["size"]
            headers = {**part["headers"], "Content-Type": ""}
            assert send(part["url"], data[part["offset"] : end], **headers)[0] in (200, 308)
        if not place["parts"]:
            assert place["url"].startswith(google.url)
            assert send(place["url"], data, **place["headers"])[0] == 200
        assert browser.ask("finish_upload", upload=place["upload"]).status_code == 200
        assert [stat.size for stat in get_storage("default").walk()] == [size]
    # a resumable upload is begun with the token
    assert google.signatures - before == (0 if place["parts"] else 1)


#: with more than an error repeats of it
DENIED = (403, f"Permission 'iam.serviceAccounts.signBlob' denied on resource {EMAIL * 10}")


@pytest.fixture
def denying(google: GoogleCloud) -> Iterator[FSSpecStorage]:
    google.denied = DENIED
    with override_storage(default=google.storage_options(google.external_account())):
        yield get_storage("default")
    google.denied = None


@pytest.mark.urls("tests.helpers.no_urls")
@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_names_setting_and_permission(google: GoogleCloud, kind: str) -> None:
    google.denied = DENIED
    try:
        with override_storage(default=google.storage_options(getattr(google, kind)())):
            storage = get_storage("default")
            for sign in (storage.url, lambda name: asyncio.run(storage.asign(name))):
                with pytest.raises(StorageError) as caught:
                    sign("a.txt")
                text = str(caught.value)
                setting = "STORAGES['default']['OPTIONS']['fs_options'] can't sign URLs: "
                assert text.startswith(f"{setting}the IAM API signs nothing as {EMAIL} (Perm")
                assert "grant the credentials the permission iam.serviceAccounts.signBlob" in text
                assert "\n" not in text
                report = debug_page(caught)
                assert "iam.serviceAccounts.signBlob" in report
                for shown in (report, "".join(traceback.format_exception(caught.value))):
                    assert "token-" not in shown
    finally:
        google.denied = None


def test_a_page_shows_urls_of_django_instead(
    google: GoogleCloud, denying: FSSpecStorage, caplog: pytest.LogCaptureFixture
) -> None:
    before = google.signatures
    urls = [denying.url(f"{number}.txt") for number in range(50)]
    urls.append(asyncio.run(denying.asign("a.txt", for_upload=True)))
    assert {url.split("/")[2] for url in urls} == {"file", "upload"}
    assert google.signatures - before == 1
    (record,) = caplog.records
    assert "iam.serviceAccounts.signBlob" in record.getMessage()


def test_a_redirect_that_can_not_be_signed_is_no_redirect(
    denying: FSSpecStorage, rf: RequestFactory
) -> None:
    denying.save("a.txt", ContentFile(b"content"))
    file = FileObject("default", "a.txt")
    response: Any = file_response(rf.get("/"), file, redirect=True)
    assert (response.status_code, b"".join(response.streaming_content)) == (200, b"content")


@pytest.mark.urls("tests.helpers.no_urls")
def test_expired_credentials_are_named(google: GoogleCloud) -> None:
    storage = storage_by(google)
    storage.url("a.txt")
    google.forget_tokens()
    with pytest.raises(StorageError, match=r"fs_options=….*invalid authentication credentials"):
        storage.url("b.txt")


def test_an_api_that_does_not_answer_holds_a_page_for_its_timeout(google: GoogleCloud) -> None:
    options = google.storage_options(google.external_account())
    google.pause = 1.5
    try:
        with override_storage(default={**options, "timeout": 0.3, "retries": 0}):
            began = time.monotonic()
            assert all(get_storage("default").url(f"{n}.txt").startswith("/") for n in range(3))
            assert time.monotonic() - began < 1.4
    finally:
        google.pause = 0.0
