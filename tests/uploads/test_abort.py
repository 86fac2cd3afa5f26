"""A cancelled upload leaves no parts behind, and a file that arrived stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.files.storage import storages

from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import server
from tests.helpers.curl import curl
from tests.helpers.gcs_sessions import GCSSessions
from tests.helpers.upload_client import Browser
from tests.library.models import Parcel
from tests.uploads.parcels import LARGE, TEXT, ParcelForm, destination, names, place

pytestmark = pytest.mark.django_db


@pytest.fixture
def parts() -> Iterator[None]:
    with override_storage(default={**place("s3 (SeaweedFS)"), "chunk_size": 5 * 1024 * 1024}):
        yield


def multipart_uploads() -> int:
    s3 = server(servers.SeaweedS3)
    client = s3.boto3_client()
    prefix = storages["default"].flows.root.partition("/")[2]  # type: ignore[attr-defined]
    listing = client.list_multipart_uploads(Bucket=s3.bucket, Prefix=prefix)
    client.close()
    return len(listing.get("Uploads", []))


def test_an_upload_in_parts(browser: Browser, parts: None) -> None:
    started = browser.start(destination(), "large.bin", len(LARGE), "").json()
    first = started["parts"][0]
    assert curl(first["url"], "PUT", body=LARGE[: first["size"]]).status == 200
    assert multipart_uploads() == 1
    for _ in range(2):
        answer = browser.ask("abort_upload", upload=started["upload"])
        assert (answer.status_code, answer.json()) == (200, {"aborted": True})
    assert multipart_uploads() == 0
    assert browser.ask("upload_status", upload=started["upload"]).status_code == 410
    assert names() == []


def test_parts_at_our_view(browser: Browser) -> None:
    with override_storage(default={**place("local"), "chunk_size": 1000}):
        started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
        assert browser.send(started, started["parts"][0], TEXT).status == 204
        for _ in range(2):
            answer = browser.ask("abort_upload", upload=started["upload"])
            assert (answer.status_code, answer.json()) == (200, {"aborted": True})
        assert names() == []
        for view in ("upload_status", "finish_upload"):
            assert browser.ask(view, upload=started["upload"]).status_code == 410
        assert browser.send(started, started["parts"][0], TEXT).status == 410
        assert names() == []


def test_parts_at_azure(browser: Browser) -> None:
    with override_storage(default={**place("azure (azurite)"), "chunk_size": 5 * 1024 * 1024}):
        _begin_and_abort(browser)
        assert names() == []


def test_parts_at_gcs(browser: Browser) -> None:
    with GCSSessions() as gcs:
        with override_storage(default={**gcs.options(), "chunk_size": 5 * 1024 * 1024}):
            _begin_and_abort(browser)
        assert gcs.unfinished == 0


def _begin_and_abort(browser: Browser) -> None:
    started = browser.start(destination(), "large.bin", len(LARGE), "").json()
    assert browser.send(started, started["parts"][0], LARGE).status in (201, 308)
    for _ in range(2):
        answer = browser.ask("abort_upload", upload=started["upload"])
        assert (answer.status_code, answer.json()) == (200, {"aborted": True})
    status = browser.ask("upload_status", upload=started["upload"])
    assert status.status_code == 410 or len(status.json()["parts"]) == 3


def test_a_file_that_arrived_stays(browser: Browser, parts: None) -> None:
    started = browser.start(destination(), "large.bin", len(LARGE), "").json()
    sent = 0
    for part in started["parts"]:
        body = LARGE[sent : sent + part["size"]]
        assert curl(part["url"], "PUT", body=body).status == 200
        sent += part["size"]
    receipt = browser.ask("finish_upload", upload=started["upload"]).json()["receipt"]
    assert browser.ask("abort_upload", upload=started["upload"]).status_code == 200
    row = browser.submitted(ParcelForm, "file", receipt).save()
    assert Parcel.objects.get(pk=row.pk).file.get_content() == LARGE


def test_an_upload_in_one_piece(browser: Browser) -> None:
    with override_storage(default=place("local")):
        started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
        assert browser.put(started, TEXT).status == 201
        answer = browser.ask("abort_upload", upload=started["upload"])
        assert answer.json() == {"aborted": False}
        assert browser.ask("finish_upload", upload=started["upload"]).status_code == 200


def test_an_upload_of_another_user(browser: Browser, parts: None) -> None:
    started = browser.start(destination(), "large.bin", len(LARGE), "").json()
    answer = Browser().ask("abort_upload", upload=started["upload"])
    assert answer.status_code == 403
    assert multipart_uploads() == 1
    assert browser.ask("abort_upload", upload=started["upload"]).status_code == 200


@pytest.mark.parametrize("token", [None, "", "x:y", ["a"]])
def test_no_token(browser: Browser, token: object) -> None:
    assert browser.ask("abort_upload", upload=token).status_code in (400, 403)
