"""URLs of Azure without an account key: one user delegation key signs them for an hour."""

from __future__ import annotations

import asyncio
import errno
import re
import ssl
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from django.core.files.base import ContentFile

from django_fsspec import uploads
from django_fsspec.checks.doctor import Doctor
from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.testing import override_storage
from tests.helpers.debug_pages import debug_page
from tests.helpers.entra import EntraAzure, EntraCredential
from tests.helpers.upload_client import Browser


def send(url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    method = "GET" if data is None else "PUT"
    request = urllib.request.Request(url, data, headers, method=method)
    context = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EntraAzure]:
    with EntraAzure(tmp_path_factory.mktemp("azure")) as azure:
        yield azure


@pytest.fixture
def storage(azure: EntraAzure) -> FSSpecStorage:
    return FSSpecStorage(**azure.options())


def test_a_thousand_urls_take_one_request(azure: EntraAzure, storage: FSSpecStorage) -> None:
    before = azure.keys_asked
    names = [f"{number}.txt" for number in range(1000)]
    urls = [storage.url(name) for name in names]
    storage.save(names[7], ContentFile(b"seven"))
    assert azure.keys_asked - before == 1
    assert len(set(urls)) == 1000
    assert send(urls[7]) == (200, b"seven")
    # another file's signature opens nothing
    signature = urls[8].partition("?")[2]
    assert send(f"{urls[7].partition('?')[0]}?{signature}")[0] == 403
    assert send(re.sub(r"&sig=[^&]+", "&sig=AAAA", urls[7]))[0] == 403


@pytest.mark.parametrize("name", ["a b+c.txt", "größe 100%.txt", "a&b=c?.txt", "x#y.txt"])
def test_names_that_need_quoting(storage: FSSpecStorage, name: str) -> None:
    storage.save(name, ContentFile(b"content"))
    assert send(storage.url(name)) == (200, b"content")


def test_async_callers_share_the_key(azure: EntraAzure, storage: FSSpecStorage) -> None:
    before = azure.keys_asked
    storage.save("f.txt", ContentFile(b"content"))

    async def sign() -> list[str]:
        return await asyncio.gather(*(storage.asign(f"{n}.txt") for n in range(20)))

    asyncio.run(sign())
    assert send(asyncio.run(storage.asign("f.txt"))) == (200, b"content")
    assert send(storage.url("f.txt")) == (200, b"content")
    assert azure.keys_asked - before == 1


def test_the_key_is_replaced_after_an_hour(
    azure: EntraAzure, storage: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, now = azure.keys_asked, time.time()
    storage.url("a.txt")
    storage.sign("a.txt", expires_in=60)
    monkeypatch.setattr("django_fsspec.adapters.azure.delegation.time.time", lambda: now + 3500)
    storage.url("b.txt")
    assert azure.keys_asked - before == 1
    monkeypatch.setattr("django_fsspec.adapters.azure.delegation.time.time", lambda: now + 3601)
    storage.url("c.txt")
    assert azure.keys_asked - before == 2


def test_no_url_outlives_its_key(storage: FSSpecStorage) -> None:
    url = storage.sign("f.txt", expires_in=30 * 24 * 3600)
    expiry, key_expiry = (re.search(rf"[?&]{name}=([^&]+)", url) for name in ("se", "ske"))
    assert expiry
    assert key_expiry
    assert expiry[1] <= key_expiry[1]
    storage.save("f.txt", ContentFile(b"content"))
    assert send(url) == (200, b"content")


def test_an_upload_url_creates_and_replaces_nothing(storage: FSSpecStorage) -> None:
    url = storage.sign("new.txt", for_upload=True)
    blob = {"x-ms-blob-type": "BlockBlob", "Content-Type": "text/plain"}
    assert send(url, b"new", **blob)[0] == 201
    assert storage.get_content("new.txt") == b"new"
    assert send(url, b"other", **blob)[0] == 403
    assert storage.get_content("new.txt") == b"new"


def test_answers_have_the_headers_that_were_signed(storage: FSSpecStorage) -> None:
    storage.save("page.html", ContentFile(b"<p>"))
    assert "rscd=attachment" in storage.url("page.html")
    assert send(storage.url("page.html")) == (200, b"<p>")


@pytest.mark.django_db
@pytest.mark.parametrize("size", [100, 6 * 1024 * 1024])
def test_direct_uploads(azure: EntraAzure, size: int) -> None:
    data, browser, before = b"x" * size, Browser(), azure.keys_asked
    with override_storage(default=azure.options(chunk_size=5 * 1024 * 1024)):
        destination = uploads.Destination(alias="default", upload_to="in")
        place = browser.start(destination, "may.txt", size, "text/plain").json()
        for part in place["parts"]:
            offset = (part["number"] - 1) * place["part_size"]
            assert part["url"].startswith(azure.url)
            assert send(part["url"], data[offset : offset + part["size"]])[0] == 201
        if not place["parts"]:
            assert place["url"].startswith(azure.url)
            assert send(place["url"], data, **place["headers"])[0] == 201
        assert browser.ask("finish_upload", upload=place["upload"]).status_code == 200
        assert [stat.size for stat in get_storage("default").walk()] == [size]
    assert azure.keys_asked - before == 1


NO_ROLE = "AuthorizationPermissionMismatch"


@pytest.fixture
def refusing(azure: EntraAzure) -> Iterator[FSSpecStorage]:
    azure.refused = (403, NO_ROLE)
    with override_storage(default=azure.options()):
        yield get_storage("default")
    azure.refused = None


@pytest.mark.urls("tests.helpers.no_urls")
def test_a_refused_key_names_setting_and_role(refusing: FSSpecStorage) -> None:
    for sign in (refusing.url, lambda name: asyncio.run(refusing.asign(name))):
        with pytest.raises(StorageError) as caught:
            sign("a.txt")
        assert str(caught.value).startswith(
            "STORAGES['default']['OPTIONS']['fs_options'] can't sign URLs: Azure gives no user "
        )
        assert "Storage Blob Delegator" in str(caught.value)
        assert "\n" not in str(caught.value)
        report = debug_page(caught)
        assert "Storage Blob Delegator" in report
        for shown in (report, "".join(traceback.format_exception(caught.value))):
            assert "good-token" not in shown


def test_a_page_shows_urls_of_django_instead(
    azure: EntraAzure, refusing: FSSpecStorage, caplog: pytest.LogCaptureFixture
) -> None:
    before = azure.keys_asked
    urls = [refusing.url(f"{number}.txt") for number in range(50)]
    urls.append(asyncio.run(refusing.asign("a.txt", for_upload=True)))
    assert {url.split("/")[2] for url in urls} == {"file", "upload"}
    # one request and one line: a page must not wait for fifty failures
    assert azure.keys_asked - before == 1
    (record,) = caplog.records
    assert "Storage Blob Delegator" in record.getMessage()


@pytest.mark.django_db
def test_uploads_go_through_django_instead(refusing: FSSpecStorage) -> None:
    destination = uploads.Destination(alias="default")
    for size in (3, refusing.options.chunk_size + 1):
        place = Browser().start(destination, "may.txt", size, "text/plain").json()
        urls = [part["url"] for part in place["parts"]] or [place["url"]]
        assert all(url.startswith("/") for url in urls)


def test_signing_is_tried_again_after_a_minute(
    azure: EntraAzure, refusing: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusing.url("a.txt").startswith("/")
    azure.refused = None
    assert refusing.url("a.txt").startswith("/")
    later = time.monotonic() + 61
    monkeypatch.setattr("django_fsspec.storage.urls.time.monotonic", lambda: later)
    assert refusing.url("a.txt").startswith(azure.url)


@pytest.mark.urls("tests.helpers.no_urls")
def test_a_wrong_clock_is_named(
    azure: EntraAzure, storage: FSSpecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 30 * 24 * 3600
    monkeypatch.setattr("django_fsspec.adapters.azure.delegation.time.time", lambda: later)
    with pytest.raises(StorageError, match=r"fs_options=….*set this machine's clock"):
        storage.url("a.txt")


def test_sync_code_below_async_code(storage: FSSpecStorage) -> None:
    async def view() -> str:
        return storage.url("a.txt")

    assert asyncio.run(view()) == storage.url("a.txt")


def test_an_expired_credential_is_named(azure: EntraAzure) -> None:
    from azure.core.exceptions import ClientAuthenticationError

    expired = ClientAuthenticationError("AADSTS7000222: The client secret has expired")
    storage = FSSpecStorage(**azure.options(EntraCredential(error=expired)))
    with pytest.raises(StorageError, match=r"fs_options=….*AADSTS7000222: The client secret"):
        storage.url("a.txt")


@pytest.mark.slow
def test_check_storages_tells_of_it(refusing: FSSpecStorage) -> None:
    (step,) = [step for step in Doctor(refusing).examine() if step.title == "sign"]
    assert "Storage Blob Delegator" in (step.problem or "")


def test_a_missing_token_file_is_no_missing_blob(azure: EntraAzure) -> None:
    """As of a pod whose federated token is not there (yet)."""
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "/run/token")
    storage = FSSpecStorage(**azure.options(EntraCredential(error=missing)), retries=0)
    for call in (
        lambda: storage.exists("a.txt"),
        lambda: list(storage.walk()),
        lambda: storage.delete("a.txt"),
        lambda: storage.get_content("a.txt"),
    ):
        with pytest.raises(StorageError, match=r"a file that is not there: .*/run/token"):
            call()
