"""A SHA-256 that the client computes goes into the row, and other bytes are refused."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from django_fsspec.testing import override_storage
from tests.helpers.upload_client import Browser
from tests.uploads.parcels import LINES, TEXT, ParcelForm, destination, names, place

pytestmark = pytest.mark.django_db

FLIPPED = TEXT[:700] + bytes([TEXT[700] ^ 1]) + TEXT[701:]
DIGEST = hashlib.sha256(TEXT).hexdigest()


def saved(browser: Browser, upload: str, **more: str) -> Any:
    """Finish an upload and submit it; return the file of the row."""
    finished = browser.ask("finish_upload", upload=upload, **more)
    assert finished.status_code == 200, finished.content
    return browser.submitted(ParcelForm, "file", finished.json()["receipt"]).save().file


@pytest.mark.parametrize("name", ["local", "s3 (SeaweedFS)"])
def test_one_flipped_byte_is_refused(browser: Browser, name: str) -> None:
    with override_storage(default=place(name)):
        kind = "text/plain"
        started = browser.start(destination(), "a.txt", len(TEXT), kind, sha256=DIGEST).json()
        assert browser.put(started, FLIPPED).status == 400
        assert names() == []
        assert browser.put(started, TEXT).status in (200, 201)
        file = saved(browser, started["upload"])
        assert file.checksum == f"sha256:{DIGEST}"
        assert file.verify()


def test_one_flipped_byte_of_parts_is_refused(browser: Browser) -> None:
    options = {**place("local"), "chunk_size": 500}
    with override_storage(default=options):
        for data in (FLIPPED, TEXT):
            started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
            for part in started["parts"]:
                assert browser.send(started, part, data).status == 204
            if data is FLIPPED:
                refused = browser.ask("finish_upload", upload=started["upload"], sha256=DIGEST)
                assert (refused.status_code, names()) == (400, [])
        file = saved(browser, started["upload"], sha256=DIGEST)
        assert file.checksum == f"sha256:{DIGEST}"
        assert file.verify()


def test_a_checksum_that_nothing_can_check(browser: Browser) -> None:
    with override_storage(default={**place("s3 (SeaweedFS)"), "chunk_size": 5 * 1024 * 1024}):
        started = browser.start(destination(), "a.txt", len(LINES), "text/plain").json()
        for part in started["parts"]:
            assert browser.send(started, part, LINES).status == 200
        digest = hashlib.sha256(LINES).hexdigest()
        assert saved(browser, started["upload"], sha256=digest).verify()


def test_a_checksum_is_that_of_the_stored_bytes(browser: Browser) -> None:
    with override_storage(default={**place("s3 (SeaweedFS)"), "gzip": True}):
        started = browser.start(
            destination(), "a.txt", len(TEXT), "text/plain", sha256=DIGEST
        ).json()
        assert browser.put(started, TEXT).status == 201
        file = saved(browser, started["upload"])
        assert (file.get_content(), file.checksum) == (TEXT, None)


@pytest.mark.parametrize("digest", ["x", "ab" * 31, DIGEST.upper(), DIGEST + "\n", 5, None, []])
def test_a_malformed_checksum(browser: Browser, memory: None, digest: Any) -> None:
    started = browser.start(destination(), "a.txt", len(TEXT), "text/plain", sha256=digest)
    assert started.status_code == 400
    good = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
    assert browser.put(good, TEXT).status == 201
    finished = browser.ask("finish_upload", upload=good["upload"], sha256=digest)
    assert finished.status_code == 400
