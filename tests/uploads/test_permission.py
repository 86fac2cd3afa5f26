"""Direct uploads: who may upload, and how much a visitor may leave open."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.test import override_settings
from django.urls import reverse

from django_fsspec import uploads
from tests.helpers.upload_client import Browser
from tests.library.models import Parcel
from tests.uploads.parcels import TEXT, ParcelForm, destination, names

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


# may_upload

asked: list[tuple[str, Any]] = []
answers: list[Any] = []


def may_upload(request: HttpRequest, field: Any) -> bool:
    """Answer as the test says, and note what was asked."""
    asked.append((request.path, field))
    answer = answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return bool(answer)


@pytest.fixture(params=["callable", "path"])
def hook(request: pytest.FixtureRequest) -> Iterator[None]:
    asked.clear()
    answers.clear()
    path = f"{__name__}.may_upload"
    given = may_upload if request.param == "callable" else path
    with override_settings(FSSPEC_UPLOADS={"may_upload": given}):
        yield


def test_it_is_asked_at_the_start_and_at_the_end(
    memory: None, browser: Browser, hook: None
) -> None:
    answers[:] = [True, True]
    assert browser.upload(destination(), "a.txt", TEXT, "text/plain")
    field = Parcel._meta.get_field("file")
    paths = [reverse(f"django_fsspec:{view}_upload") for view in ("start", "finish")]
    assert asked == [(path, field) for path in paths]
    answers[:] = [True, True]
    place = uploads.Destination(upload_to="inbox")
    assert browser.upload(place, "a.txt", TEXT, "text/plain")
    assert [where for _, where in asked[2:]] == [place, place]


@pytest.mark.parametrize("refusal", [False, None, PermissionDenied("no")])
def test_a_revoked_permission_ends_what_was_begun(
    memory: None, browser: Browser, hook: None, refusal: Any
) -> None:
    answers[:] = [refusal]
    assert browser.start(destination(), "a.txt", len(TEXT), "text/plain").status_code == 403
    answers[:] = [True, refusal]
    started = browser.start(destination(), "a.txt", len(TEXT), "text/plain").json()
    assert browser.put(started, TEXT).status == 201
    assert len(names()) == 1
    assert browser.ask("finish_upload", upload=started["upload"]).status_code == 403
    assert names() == []


def tus_create(browser: Browser) -> Any:
    fields = {"ticket": browser.ticket(destination()), "filename": "a.txt", "filetype": "x/y"}
    metadata = ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items()
    )
    return browser.client.post(
        reverse("django_fsspec:tus_uploads"),
        headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": metadata},
    )


def test_tus_asks_too(memory: None, browser: Browser, hook: None) -> None:
    answers[:] = [False]
    assert tus_create(browser).status_code == 403
    answers[:] = [True, False]
    url = tus_create(browser)["Location"]
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
    sent = browser.client.patch(url, b"12345", "application/offset+octet-stream", headers=headers)
    assert (sent.status_code, names()) == (403, [])


# open uploads


def start(browser: Browser) -> Any:
    return browser.start(destination(), "a.txt", len(TEXT), "text/plain")


def test_a_visitor_has_so_many_uploads_open(memory: None, browser: Browser) -> None:
    with override_settings(FSSPEC_UPLOADS={"max_open": 2}):
        first, second = start(browser).json(), start(browser).json()
        refused = start(browser)
        assert (refused.status_code, "2" in refused.json()["error"]) == (429, True)
        assert tus_create(browser).status_code == 429
        # others are not concerned
        assert start(Browser()).status_code == 200
        # what arrived is open until a row has it
        assert browser.put(first, TEXT).status == 201
        receipt = browser.ask("finish_upload", upload=first["upload"]).json()["receipt"]
        assert start(browser).status_code == 429
        form = browser.submitted(ParcelForm, "file", receipt)
        assert start(browser).status_code == 429
        form.save()
        assert start(browser).status_code == 200
        assert start(browser).status_code == 429
        # what was cancelled, or is refused at its end, is not open any more
        assert browser.ask("abort_upload", upload=second["upload"]).status_code == 200
        third = start(browser).json()
        assert browser.ask("abort_upload", upload=second["upload"]).status_code == 200
        assert start(browser).status_code == 429
        assert browser.put(third, TEXT[:-1]).status == 400
        browser.ask("finish_upload", upload=third["upload"])


def test_an_upload_that_is_refused_at_its_end_is_not_open(memory: None, browser: Browser) -> None:
    with override_settings(FSSPEC_UPLOADS={"max_open": 1}):
        for _ in range(3):
            started = browser.start(destination("picture"), "a.png", 60, "image/png").json()
            data = b"\x89PNG\r\n\x1a\n" + bytes(52)
            assert browser.put(started, data).status == 201
            assert browser.ask("finish_upload", upload=started["upload"]).status_code == 415


def test_without_a_limit(memory: None, browser: Browser) -> None:
    with override_settings(FSSPEC_UPLOADS={"max_open": None}):
        assert {start(browser).status_code for _ in range(120)} == {200}
    assert [start(browser).status_code for _ in range(101)] == [200] * 100 + [429]


def test_wrong_hooks_are_found() -> None:
    for wrong in (
        {"may_upload": "nowhere.hook"},
        {"may_upload": 5},
        {"max_open": 0},
        {"max_open": "x"},
        {"max_kept": -1},
    ):
        with override_settings(FSSPEC_UPLOADS=wrong):
            (error,) = [
                found for found in run_checks(tags=["files"]) if found.id == "django_fsspec.E022"
            ]
            assert next(iter(wrong)) in error.msg
