"""Direct uploads: bytes go to the storage, in parts when they are many, and are looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from django_fsspec import uploads
from django_fsspec.core.content_types import UNKNOWN_TYPE
from django_fsspec.testing import override_storage
from django_fsspec.uploads.tokens import Upload
from tests import servers
from tests.helpers.backends import backends_named, folder
from tests.helpers.curl import curl
from tests.helpers.gcs_sessions import GCSSessions
from tests.helpers.samples import turned
from tests.helpers.scripted_services import SERVICES
from tests.helpers.upload_client import Browser
from tests.library.models import Parcel
from tests.soak import grounds
from tests.uploads.parcels import (
    LARGE,
    LINES,
    TEXT,
    ParcelForm,
    destination,
    names,
    picture,
    place,
)

pytestmark = pytest.mark.django_db

MIB = 1024 * 1024
PLACES = backends_named(
    "local",
    "memory",
    "s3 (SeaweedFS)",
    "gcs (fake-gcs-server)",
    "azure (azurite)",
    "sftp (OpenSSH)",
    "dir over s3",
)

#: those whose bytes do not pass through us
NATIVE = (
    "s3 (SeaweedFS)",
    "gcs (fake-gcs-server)",
    "azure (azurite)",
    "dir over s3",
)


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


@contextmanager
def small_parts(name: str) -> Iterator[None]:
    with override_storage(default={**place(name), "chunk_size": 5 * 1024 * 1024}):
        yield


@pytest.mark.parametrize("name", ["s3 (SeaweedFS)", "azure (azurite)"])
def test_a_large_file_goes_in_parts_and_resumes(browser: Browser, name: str) -> None:
    with small_parts(name):
        answer = browser.start(destination(), "a.bin", len(LARGE), "application/octet-stream")
        started = answer.json()
        size = started["part_size"]
        assert (started["url"], size, len(started["parts"])) == (None, 5 * 1024 * 1024, 3)
        assert browser.send(started, started["parts"][1], LARGE).status in (200, 201)
        # another length than was signed is refused by the storage, or does not count
        status = curl(started["parts"][0]["url"], "PUT", body=b"short").status
        assert status == (403 if name.startswith("s3") else 201)
        missing = browser.ask("finish_upload", upload=started["upload"])
        assert (missing.status_code, missing.json()["error"]) == (400, "Parts are missing: 1, 3.")
        told = browser.ask("upload_status", upload=started["upload"]).json()
        assert [part["number"] for part in told["finished"]] == [2]
        assert [part["number"] for part in told["parts"]] == [1, 3]
        for part in told["parts"]:
            assert browser.send(started, part, LARGE).status in (200, 201)
        finished = browser.ask("finish_upload", upload=started["upload"], parts=[])
        again = browser.ask("finish_upload", upload=started["upload"])
        assert again.status_code == finished.status_code == 200
        form = browser.submitted(ParcelForm, "file", finished.json()["receipt"])
        assert form.errors == {}
        row = form.save()
        assert row.file.get_content() == LARGE
        assert row.file.storage.stat(row.file.name).content_type == UNKNOWN_TYPE
        assert names() == [row.file.name]
        gone = browser.ask("upload_status", upload=started["upload"])
        assert gone.status_code == 410 or len(gone.json()["parts"]) == 3


@pytest.mark.parametrize("options", [GCSSessions.options, None], ids=["gcs", "local"])
def test_parts_that_must_come_in_order(browser: Browser, options: Any) -> None:
    with GCSSessions() as gcs:
        given = options(gcs) if options else place("local")
        with override_storage(default={**given, "chunk_size": 5 * MIB}):
            started = browser.start(destination(), "a.txt", len(LINES), "text/plain").json()
            first, second, _ = started["parts"]
            assert (started["url"], started["parallel"]) == (None, 1)
            assert [part["offset"] for part in started["parts"]] == [0, 5 * MIB, 10 * MIB]
            assert browser.send(started, first, LINES).status in (204, 308)
            missing = browser.ask("finish_upload", upload=started["upload"])
            assert missing.status_code == 400
            assert missing.json()["error"] == f"{5 * MIB} of {len(LINES)} bytes arrived."
            told = browser.ask("upload_status", upload=started["upload"]).json()
            assert told["finished"] == [{"number": 1, "size": 5 * MIB}]
            assert told["parts"][0]["headers"] == second["headers"]
            for part in told["parts"]:
                assert browser.send(started, part, LINES).status in (200, 204, 308)
            told = browser.ask("upload_status", upload=started["upload"]).json()
            assert (len(told["finished"]), told["parts"]) == (3, [])
            for _ in range(2):
                finished = browser.ask("finish_upload", upload=started["upload"])
                assert finished.status_code == 200, finished.content
            form = browser.submitted(ParcelForm, "file", finished.json()["receipt"])
            assert form.errors == {}
            row = form.save()
            assert (row.file.get_content(), row.file.content_type) == (LINES, "text/plain")
            assert names() == [row.file.name]


def test_blocks_never_replace_a_blob(browser: Browser) -> None:
    """A URL for blocks is one for any write, but not to the name of the file."""
    with small_parts("azure (azurite)"):
        started = browser.start(destination(), "a.txt", len(LINES), "text/plain").json()
        for part in started["parts"]:
            assert browser.send(started, part, LINES).status == 201
        receipt = browser.ask("finish_upload", upload=started["upload"]).json()["receipt"]
        row = browser.submitted(ParcelForm, "file", receipt).save()
        block, _, _ = started["parts"][0]["url"].partition("&comp=")
        assert curl(block, "PUT", {"x-ms-blob-type": "BlockBlob"}, body=b"other").status == 201
        assert row.file.get_content() == LINES
        stat = row.file.storage.stat(row.file.name)
        assert (stat.content_type, stat.etag) == ("text/plain", row.file.etag)


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


def test_a_picture_keeps_the_rules_of_its_field(
    memory: None, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    field: Any = Parcel._meta.get_field("picture")
    receipt = browser.upload(destination("picture"), "noname", picture(), "image/gif")
    assert browser.submitted(ParcelForm, "picture", receipt).save().picture.content_type == (
        "image/png"
    )
    before = names()
    for option, value, content in (
        ("max_pixels", 30 * 20 - 1, picture()),
        ("formats", ("GIF", "PNG"), turned("JPEG", 1)),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(field, option, value)
            place = browser.start(destination("picture"), "a", len(content), "image/png").json()
            assert browser.put(place, content).status == 201
            assert browser.ask("finish_upload", upload=place["upload"]).status_code == 415
    monkeypatch.setattr(field, "formats", ("GIF",))
    assert browser.start(destination("picture"), "a.png", 9, "image/gif").status_code == 415
    assert names() == before


@pytest.mark.parametrize(
    ("given", "kind"),
    [("a.webm", "video/webm"), ("a.mp4", "video/mp4"), ("a.3gp", ""), ("a.ogg", "audio/ogg")],
)
def test_sound_in_the_container_of_a_film_is_sound(
    memory: None, browser: Browser, given: str, kind: str
) -> None:
    audio = uploads.Destination(upload_to="x", content_types=("audio/*",))
    place = browser.start(audio, given, 9, kind).json()
    assert place["headers"]["Content-Type"].startswith("audio/")
    video = uploads.Destination(upload_to="x", content_types=("image/*",))
    assert browser.start(video, given, 9, "image/png").status_code == 415


def test_pictures_are_measured_and_broken_ones_go(memory: None, browser: Browser) -> None:
    receipt = browser.upload(destination("picture"), "a.png", picture(), "image/png")
    form = browser.submitted(ParcelForm, "picture", receipt)
    assert form.errors == {}
    row = Parcel.objects.get(pk=form.save().pk)
    assert (row.picture.width, row.picture.height) == (30, 20)
    upright = browser.upload(destination("picture"), "u.jpg", turned("JPEG", 6), "image/jpeg")
    row = browser.submitted(ParcelForm, "picture", upright).save()
    assert (row.picture.width, row.picture.height) == (50, 70)
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


def test_content_is_stored_once(memory: None, browser: Browser) -> None:
    storages["default"].save("parcels/other.txt", ContentFile(b"x"))
    browser.upload(destination(), "other.txt", TEXT, "text/plain")
    assert len(names()) == 2


@pytest.mark.django_db(transaction=True)
def test_what_it_costs(
    browser: Browser, rclone: servers.RcloneS3, proxy: servers.CountingProxy
) -> None:
    options = {**grounds.s3_options(rclone, folder(), proxy.url), "chunk_size": 5 * 1024 * 1024}

    kind = "application/octet-stream"
    with override_storage(default=options):
        for data, begins, sends, ends in (
            (TEXT, [], ["PUT"], ["GET"]),
            (LARGE, ["POST"], ["PUT"] * 3, ["GET", "POST", "GET"]),
        ):
            proxy.reset()
            started = browser.start(destination(), "a.bin", len(data), kind).json()
            assert _asked(proxy) == begins
            size = started["part_size"] or len(data)
            urls = [part["url"] for part in started["parts"]] or [started["url"]]
            for number, url in enumerate(urls):
                piece = data[number * size : (number + 1) * size]
                assert curl(url, "PUT", started["headers"], body=piece).status == 200
            assert _asked(proxy) == sends
            finished = browser.ask("finish_upload", upload=started["upload"])
            assert _asked(proxy) == ends
            form = browser.submitted(ParcelForm, "file", finished.json()["receipt"])
            assert form.errors == {}
            assert _asked(proxy) == ["HEAD"]
            form.save()
            # a claim, until the row is committed
            assert _asked(proxy) == ["PUT", "POST"]


def test_what_parts_cost_elsewhere(browser: Browser) -> None:
    port, options = SERVICES["Azurite"]()
    with GCSSessions() as gcs, servers.CountingProxy(port) as proxy:
        _parts_cost(browser, gcs.options(), gcs.asked, ["POST"], ["PUT", "GET", "GET"])
        expected = ["GET", "PUT", "PUT", "DELETE", "GET"]
        _parts_cost(browser, options(proxy.url), lambda: _asked(proxy), [], expected)


def _asked(proxy: servers.CountingProxy) -> list[str]:
    found = [request.method for request in proxy.requests()]
    proxy.reset()
    return found


def _parts_cost(
    browser: Browser,
    options: dict[str, Any],
    asked: Callable[[], list[str]],
    begins: list[str],
    ends: list[str],
) -> None:
    with override_storage(default={**options, "chunk_size": 5 * MIB}):
        asked()
        started = browser.start(destination(), "a.txt", len(LINES), "text/plain").json()
        assert asked() == begins
        for part in started["parts"]:
            assert browser.send(started, part, LINES).status in (200, 201, 308)
        assert asked() == ["PUT"] * 3
        assert browser.ask("finish_upload", upload=started["upload"]).status_code == 200
        assert asked() == ends
