"""The tus protocol 1.0.0 at our own view: https://tus.io/protocols/resumable-upload."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from django_fsspec import uploads
from django_fsspec.testing import override_storage
from django_fsspec.uploads import pending_parts
from tests.helpers.backends import backends_named, folder
from tests.helpers.upload_client import Browser
from tests.library.models import Parcel
from tests.uploads.parcels import TEXT, ParcelForm, destination, names, picture

pytestmark = pytest.mark.django_db

TUS = {"Tus-Resumable": "1.0.0"}
HTML = b"<!doctype html><script>alert(1)</script>"


class Uploader:
    """A tus client of one visitor."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    def ask(self, method: str, url: str, data: bytes = b"", **headers: Any) -> Any:
        named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        kind = "application/offset+octet-stream"
        return self.browser.client.generic(
            method, url, data, content_type=kind, headers={**TUS, **named}
        )

    def create(self, name: str, size: object, field: str = "file", **more: str) -> Any:
        about = {"ticket": self.browser.ticket(destination(field)), "filename": name, **more}
        pairs = (
            f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in about.items()
        )
        url = reverse("django_fsspec:tus_uploads")
        return self.ask("POST", url, Upload_Length=size, Upload_Metadata=",".join(pairs))

    def begin(self, name: str, size: int, field: str = "file") -> str:
        answer = self.create(name, size, field)
        assert answer.status_code == 201, answer.content
        url: str = answer["Location"]
        return url

    def patch(self, url: str, offset: object, data: bytes, **headers: Any) -> Any:
        return self.ask("PATCH", url, data, Upload_Offset=offset, **headers)

    def offset(self, url: str) -> int:
        return int(self.ask("HEAD", url)["Upload-Offset"])


@pytest.fixture
def tus(browser: Browser, memory: None) -> Uploader:
    return Uploader(browser)


@pytest.mark.parametrize(
    "backend",
    backends_named(
        "local", "sftp (OpenSSH)", "ftp (pyftpdlib)", "webdav (rclone)", "s3 (SeaweedFS)"
    ),
    ids=str,
)
def test_a_file_in_three_requests(backend: Any, browser: Browser) -> None:
    tus = Uploader(browser)
    with override_storage(default=backend.options(folder())):
        created = tus.create("größe.txt", len(TEXT))
        assert (created.status_code, created["Upload-Offset"]) == (201, "0")
        url, offset = created["Location"], 0
        for end in (500, 501, len(TEXT)):
            answer = tus.patch(url, offset, TEXT[offset:end])
            assert (answer.status_code, answer["Upload-Offset"]) == (204, str(end)), answer.content
            assert ("Upload-Receipt" in answer) == (end == len(TEXT))
            offset = end
        form = browser.submitted(ParcelForm, "file", answer["Upload-Receipt"])
        assert form.errors == {}
        row = Parcel.objects.get(pk=form.save().pk)
        assert (row.file.get_content(), row.file.original_name) == (TEXT, "größe.txt")
        assert row.file.checksum == f"sha256:{hashlib.sha256(TEXT).hexdigest()}"
        # nothing else is left
        assert names() == [row.file.name]


def test_what_the_view_offers(tus: Uploader) -> None:
    for url in (reverse("django_fsspec:tus_uploads"), tus.begin("a.txt", 5)):
        answer = tus.browser.client.options(url)
        assert answer.status_code == 204
        assert (answer["Tus-Version"], answer["Tus-Resumable"]) == ("1.0.0", "1.0.0")
        assert answer["Tus-Extension"] == "creation,expiration,checksum,termination"
        assert answer["Tus-Checksum-Algorithm"] == "sha1,sha256"
        other = tus.browser.client.head(url, headers={"Tus-Resumable": "0.2.2"})
        assert other.status_code in (405, 412)
        wrong = tus.ask("PUT", url)
        assert (wrong.status_code, "PUT" in wrong["Allow"]) == (405, False)
    # for clients that can send POST alone
    assert tus.ask("POST", url, b"12345", X_HTTP_Method_Override="PATCH", Upload_Offset=0)[
        "Upload-Offset"
    ] == ("5")


def test_another_version_is_refused(tus: Uploader) -> None:
    url = tus.begin("a.txt", 5)
    for version in ("0.2.2", ""):
        answer = tus.patch(url, 0, b"12345", Tus_Resumable=version)
        assert (answer.status_code, answer["Tus-Version"]) == (412, "1.0.0")
    assert names() == []


def test_how_far_it_is(tus: Uploader) -> None:
    url = tus.begin("a.txt", 10)
    answer = tus.ask("HEAD", url)
    assert (answer["Upload-Offset"], answer["Upload-Length"]) == ("0", "10")
    assert answer["Cache-Control"] == "no-store"
    left = parsedate_to_datetime(answer["Upload-Expires"]) - timezone.now()
    assert timedelta(hours=7) < left < timedelta(hours=8)
    tus.patch(url, 0, b"1234")
    assert tus.offset(url) == 4
    last = tus.patch(url, 4, b"567890")
    # the answer may have been lost
    again = tus.ask("HEAD", url)
    assert again["Upload-Offset"] == "10"
    for receipt in (last["Upload-Receipt"], again["Upload-Receipt"]):
        assert tus.browser.submitted(ParcelForm, "file", receipt).errors == {}
    assert tus.patch(url, 0, b"1234").status_code == 409


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload_Offset": 3}, 409),
        ({"Upload_Offset": 5}, 409),
        ({"Upload_Offset": "x"}, 400),
        ({"Upload_Offset": -1}, 400),
        ({"Upload_Offset": "9" * 30}, 400),
        ({"Content_Type": "text/plain"}, 415),
        ({"Upload_Checksum": "md5 AAAA"}, 400),
        ({"Upload_Checksum": "sha256 ?"}, 400),
        ({"Upload_Checksum": "sha256 é"}, 400),
        ({"Upload_Checksum": "sha1 AAAA"}, 460),
    ],
    ids=str,
)
def test_a_wrong_request_changes_nothing(
    tus: Uploader, headers: dict[str, Any], status: int
) -> None:
    url = tus.begin("a.txt", 10)
    assert tus.patch(url, 0, b"1234").status_code == 204
    kind = headers.pop("Content_Type", "application/offset+octet-stream")
    asked = {"Upload_Offset": 4, **headers}
    named = {name.replace("_", "-"): str(value) for name, value in asked.items()}
    answer = tus.browser.client.generic(
        "PATCH", url, b"567890", content_type=kind, headers={**TUS, **named}
    )
    assert answer.status_code == status
    assert tus.offset(url) == 4


def test_a_client_that_forgot_is_told_of_its_file(tus: Uploader) -> None:
    # the protocol: HEAD "MUST include the Upload-Metadata header" of the creation
    for name, kind in (("größe, 1.txt", "text/plain"), ("a.html", "text/html"), ("a", "x/y")):
        url = tus.create(name, 10, "files", filetype=kind)["Location"]
        pairs = tus.ask("HEAD", url)["Upload-Metadata"].split(",")
        told = dict(pair.split(" ") for pair in pairs)
        told = {key: base64.b64decode(text).decode() for key, text in told.items()}
        # not the ticket, which begins others
        assert told == {"filename": name, "filetype": kind}


def test_requests_that_finish_at_once(tus: Uploader, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.txt", "a.html"):
        token = tus.create(name, 10, "files")["Location"].rpartition("/")[2]
        upload = uploads.tokens.Upload.parse(token)
        storage: Any = storages["default"]
        one, two = (pending_parts.PendingParts(storage, upload) for _ in range(2))
        one.add(0, b"0123456789")
        arrived = one._arrived()
        assert tus.browser.as_visitor(uploads.finish, token)
        monkeypatch.setattr(two, "_arrived", lambda arrived=arrived: arrived)
        assert two.complete("") == ""
        storage.delete_many(names())
        with pytest.raises(FileNotFoundError):
            two.complete("")


def test_more_bytes_than_announced(tus: Uploader) -> None:
    url = tus.begin("a.txt", 10)
    assert tus.patch(url, 0, bytes(11)).status_code == 413
    tus.patch(url, 0, b"1234")
    assert tus.patch(url, 4, b"5678901").status_code == 413
    assert tus.offset(url) == 4


def test_there_are_only_so_many_parts(tus: Uploader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_parts, "MAX_PARTS", 3)
    url = tus.begin("a.txt", 10)
    answers = [tus.patch(url, offset, b"1").status_code for offset in range(4)]
    assert answers == [204, 204, 204, 413]
    assert (tus.offset(url), len(names())) == (3, 3)


def test_a_flipped_byte_is_refused(tus: Uploader) -> None:
    url = tus.begin("a.txt", len(TEXT))
    digest = base64.b64encode(hashlib.sha256(TEXT).digest()).decode()
    flipped = TEXT[:700] + bytes([TEXT[700] ^ 1]) + TEXT[701:]
    answer = tus.patch(url, 0, flipped, Upload_Checksum=f"sha256 {digest}")
    assert (answer.status_code, answer.reason_phrase) == (460, "Checksum Mismatch")
    assert names() == []
    assert tus.patch(url, 0, TEXT, Upload_Checksum=f"sha256 {digest}")["Upload-Receipt"]


def test_a_new_upload_keeps_the_rules(tus: Uploader) -> None:
    browser = tus.browser
    ask = [
        (tus.create("a.txt", ""), 400),
        (tus.create("a.txt", -1), 400),
        (tus.create("a.txt", 10**10), 413),
        (tus.create("../a.txt", 1), 400),
        (tus.create("a.html", 1, "picture"), 415),
        (tus.create("a.txt", 1, ticket=browser.ticket(destination())[:-1]), 403),
        (Uploader(Browser()).create("a.txt", 1, ticket=browser.ticket(destination())), 403),
        (tus.ask("POST", reverse("django_fsspec:tus_uploads"), Upload_Length=1), 400),
        (
            tus.ask(
                "POST",
                reverse("django_fsspec:tus_uploads"),
                Upload_Length=1,
                Upload_Metadata="ticket ?",
            ),
            400,
        ),
    ]
    assert [answer.status_code for answer, _ in ask] == [status for _, status in ask]
    assert names() == []


def test_an_upload_is_its_visitors(tus: Uploader) -> None:
    url = tus.begin("a.txt", 10)
    other = Uploader(Browser(Client()))
    for answer in (
        other.ask("HEAD", url),
        other.patch(url, 0, b"1234"),
        other.ask("DELETE", url),
        tus.ask("HEAD", url + "x"),
        # a token of another kind of upload
        tus.ask("HEAD", reverse("django_fsspec:tus_upload", args=[_whole(tus.browser)])),
    ):
        assert answer.status_code in (403, 404)
    assert names() == []


def _whole(browser: Browser) -> str:
    token: str = browser.start(destination(), "a.txt", 5, "text/plain").json()["upload"]
    return token


def test_an_expired_upload(tus: Uploader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads.tokens.Upload, "lifetime", -1)
    assert tus.patch(tus.begin("a.txt", 10), 0, b"1234").status_code == 410


def test_a_deleted_upload_leaves_nothing(tus: Uploader) -> None:
    url, other = tus.begin("a.txt", 10), tus.begin("b.txt", 10)
    tus.patch(url, 0, b"1234")
    tus.patch(other, 0, b"12345")
    assert tus.ask("DELETE", url).status_code == 204
    assert len(names()) == 1
    assert tus.offset(other) == 5


def test_a_deleted_upload_is_gone(tus: Uploader) -> None:
    begun, unsent, whole = (tus.begin("a.txt", 5) for _ in range(3))
    tus.patch(begun, 0, b"123")
    tus.patch(whole, 0, b"12345")
    for url in (begun, unsent, whole):
        assert tus.ask("DELETE", url).status_code == 204
        answers = [tus.ask("HEAD", url), tus.patch(url, 0, b"12345"), tus.patch(url, 3, b"45")]
        answers.append(tus.ask("DELETE", url))
        assert [answer.status_code for answer in answers] == [410] * 4
        assert all("Upload-Offset" not in answer for answer in answers)
    # the file that was whole stays: its receipt may be used
    assert len(names()) == 1


def test_a_deleted_upload_is_not_open(tus: Uploader) -> None:
    with override_settings(FSSPEC_UPLOADS={"max_open": 1}):
        for _ in range(3):
            assert tus.ask("DELETE", tus.begin("a.txt", 5)).status_code == 204


def test_a_size_that_is_beyond_all_parts_is_refused(tus: Uploader) -> None:
    browser, anywhere = tus.browser, uploads.Destination()
    about = {"ticket": browser.ticket(anywhere)}
    with override_settings(FSSPEC_UPLOADS={"max_open": 1}):
        for size in (400 * 10**9, 2**63, 10**19):
            assert tus.create("a.txt", size, **about).status_code == 413
            started = browser.start(anywhere, "a.txt", size, "text/plain")
            assert started.status_code == 413
        # none of these is open
        assert tus.create("a.txt", 300 * 10**9, **about).status_code == 201


def test_a_request_holds_little_in_memory(tus: Uploader) -> None:
    about = {"ticket": tus.browser.ticket(uploads.Destination())}
    token = tus.create("a.txt", 300 * 10**9, **about)["Location"].rpartition("/")[2]
    upload = uploads.tokens.Upload.parse(token)
    parts = pending_parts.PendingParts(storages["default"], upload)  # type: ignore[arg-type]
    assert parts.piece_size <= 64 * 1024 * 1024


def test_what_is_no_file_of_the_field_goes(tus: Uploader) -> None:
    answer = tus.patch(tus.begin("a.png", len(HTML)), 0, HTML)
    assert answer.status_code == 415
    broken = picture()[:60]
    answer = tus.patch(tus.begin("b.png", len(broken), "picture"), 0, broken)
    assert answer.status_code == 415
    assert names() == []


def test_an_empty_file(tus: Uploader) -> None:
    created = tus.create("a.txt", 0)
    form = tus.browser.submitted(ParcelForm, "file", created["Upload-Receipt"])
    assert [error.code for error in form.errors.as_data()["file"]] == ["empty"]
    assert len(names()) == 1


def test_nobody_makes_the_requests_of_others_slow(tus: Uploader) -> None:
    # each lists a folder: 50,000 parts of others in one made it 3 seconds
    for _ in range(20):
        tus.patch(tus.begin("a.txt", 10), 0, b"1234")
    folders = {name.rpartition("/")[0] for name in names()}
    assert 10 < len(folders) <= 20


def test_parts_of_yesterday_are_deleted(tus: Uploader, monkeypatch: pytest.MonkeyPatch) -> None:
    made = secrets.token_hex
    # all in one folder
    monkeypatch.setattr(secrets, "token_hex", lambda size: f"a0{made(size)[2:]}")
    url, other = tus.begin("a.txt", 10), tus.begin("b.txt", 10)
    tus.patch(url, 0, b"1234")
    storages["default"].save(".pending-uploads/a0/mine.bin", ContentFile(b"x"))
    monkeypatch.setattr(pending_parts, "MAX_AGE", -1)
    assert tus.offset(other) == 0
    assert names() == [".pending-uploads/a0/mine.bin"]
