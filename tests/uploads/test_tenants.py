"""Direct uploads and kept uploads: tokens of one tenant are of no use to another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.core.signing import BadSignature
from django.forms import Form

from django_fsspec import uploads
from django_fsspec.forms import StoredObjectFormField, kept_uploads
from django_fsspec.testing import override_storage
from django_fsspec.uploads.asgi import UploadGuard
from tests.forms.submissions import upload
from tests.helpers.backends import folder
from tests.helpers.tenants import ONE, TWO, listed, options_of, serving
from tests.helpers.upload_client import Browser
from tests.uploads.parcels import LARGE, TEXT

pytestmark = pytest.mark.django_db

INBOX = uploads.Destination(upload_to="inbox")


class Plain(Form):
    file = StoredObjectFormField(direct_upload=INBOX)


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[None]:
    with override_storage(default=options_of(request.param)):
        yield


@pytest.fixture
def memory() -> Iterator[None]:
    with override_storage(default=options_of("memory")):
        yield


def test_each_step_is_of_one_tenant(place: None, browser: Browser) -> None:
    with serving(ONE):
        started = browser.start(INBOX, "a.txt", len(TEXT), "text/plain").json()
        ticket = browser.ticket(INBOX)
    with serving(TWO):
        question = {"ticket": ticket, "name": "a.txt", "size": 3, "type": "text/plain"}
        assert browser.ask("start_upload", **question).status_code == 403
    with serving(ONE):
        assert browser.put(started, TEXT).status in (200, 201)
    with serving(TWO):
        assert browser.ask("finish_upload", upload=started["upload"]).status_code == 403
        assert browser.ask("upload_status", upload=started["upload"]).status_code == 403
        assert browser.ask("abort_upload", upload=started["upload"]).status_code == 403
    assert len(listed(ONE)) == 1
    with serving(ONE):
        finished = browser.ask("finish_upload", upload=started["upload"])
        receipt = finished.json()["receipt"]
    with serving(TWO):
        assert "file" in browser.submitted(Plain, "file", receipt).errors
    with serving(ONE):
        form = browser.submitted(Plain, "file", receipt)
        assert form.errors == {}
        assert form.cleaned_data["file"].get_content() == TEXT
    assert listed(TWO) == []


def test_parts_go_to_one_tenant(place: None, browser: Browser) -> None:
    with serving(ONE):
        started = browser.start(INBOX, "a.bin", len(LARGE), "image/x").json()
        assert len(started["parts"]) > 1
    own = started["parts"][0]["url"].startswith("/")
    if own:
        with serving(TWO):
            assert browser.send(started, started["parts"][0], LARGE).status == 403
    with serving(ONE):
        for part in started["parts"]:
            assert browser.send(started, part, LARGE).status in (200, 201, 204)
        finished = browser.ask("finish_upload", upload=started["upload"])
        assert finished.status_code == 200
    assert len([name for name in listed(ONE) if name.startswith("inbox/")]) == 1
    assert listed(TWO) == []


def test_our_upload_view_is_of_one_tenant(memory: None, browser: Browser) -> None:
    with serving(ONE):
        started = browser.start(INBOX, "a.txt", len(TEXT), "text/plain").json()
    with serving(TWO):
        assert browser.put(started, TEXT).status == 403
    assert listed(ONE) == listed(TWO) == []


@pytest.mark.parametrize(("served", "status"), [(ONE, (200, 201, 204)), (TWO, (403,))])
def test_a_guard_in_front_of_the_middleware(
    memory: None, browser: Browser, served: str, status: tuple[int, ...]
) -> None:
    with serving(ONE):
        started = browser.start(INBOX, "a.txt", len(TEXT), "text/plain").json()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        with serving(served):
            await get_asgi_application()(scope, receive, send)

    async def put() -> Any:
        sent = {"content-length": str(len(TEXT)), **started["headers"]}
        headers = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
        scope = {
            "type": "http",
            "method": "PUT",
            "path": started["url"],
            "query_string": b"",
            "headers": [(b"host", b"testserver"), *headers],
        }
        communicator: Any = ApplicationCommunicator(UploadGuard(application), scope)  # type: ignore[no-untyped-call]
        await communicator.send_input({"type": "http.request", "body": TEXT})
        answer = await communicator.receive_output(5)
        await communicator.receive_output(5)
        await communicator.wait(5)
        return answer["status"]

    assert async_to_sync(put)() in status
    assert len(listed(ONE)) == (served == ONE)
    assert listed(TWO) == []


def test_a_ticket_for_a_plain_storage_beside(browser: Browser) -> None:
    with override_storage("plain", default=options_of("memory")):
        there = uploads.Destination(alias="plain", upload_to="inbox")
        # no tenant is served, and none is asked for
        receipt = browser.upload(there, "a.txt", TEXT, "text/plain")
        assert receipt


def test_a_form_without_an_alias_where_no_tenant_is_served(browser: Browser) -> None:
    plain = {"fs": "memory", "prefix": folder()}
    with override_storage(default=plain, tenants=options_of("memory")):
        assert browser.upload(INBOX, "a.txt", TEXT, "text/plain")
        with serving(ONE):
            ticket = browser.ticket(INBOX)
        question = {"ticket": ticket, "name": "a.txt", "size": 3, "type": "text/plain"}
        assert browser.ask("start_upload", **question).status_code == 403
        with serving(ONE):
            assert browser.ask("start_upload", **question).status_code == 200


@pytest.mark.usefixtures("memory")
def test_kept_uploads_are_of_one_tenant() -> None:
    kept: Any
    with serving(ONE):
        kept = kept_uploads.keep(upload(), "default", "binding")
        text = kept_uploads.reference(kept, "scope", "binding")
        assert kept_uploads.recover(text, "scope", "binding").read() == b"uploaded"
    with serving(TWO), pytest.raises(BadSignature):
        kept_uploads.recover(text, "scope", "binding")
    assert listed(TWO) == []
