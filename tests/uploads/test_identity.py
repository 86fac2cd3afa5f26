"""Direct uploads: whose they are, what is checked, what is swept."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import reverse

from django_fsspec import uploads
from django_fsspec.audit.sweep import Sweep
from django_fsspec.middleware import COOKIE, UploadsMiddleware
from tests.helpers.upload_client import Browser
from tests.library.models import Parcel
from tests.uploads.parcels import TEXT, ParcelForm, destination, names

pytestmark = pytest.mark.django_db


def test_uploads_belong_to_users(memory: None) -> None:
    users = [User.objects.create(username=name) for name in ("ann", "ben")]
    clients = [Client(), Client()]
    for client, user in zip(clients, users, strict=True):
        client.force_login(user)
    ticket = uploads.tokens.UploadTicket(
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
    (cookie,) = response.cookies.values()
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", True)
    assert cookie.value not in response.content.decode()
    quiet: Any = UploadsMiddleware(lambda request: HttpResponse())(RequestFactory().get("/"))
    assert not quiet.cookies


def test_no_other_host_and_no_http_can_set_the_cookie(memory: None) -> None:
    """Browsers take a ``__Host-`` cookie from the host itself alone, over HTTPS (RFC 6265bis)."""

    def served(cookies: dict[str, str]) -> tuple[str, Any]:
        request = RequestFactory().get("/", secure=True)
        request.COOKIES.update(cookies)
        uploaders: list[str] = []

        def view(request: HttpRequest) -> HttpResponse:
            uploaders.append(uploads.current_uploader())
            return HttpResponse()

        response: Any = UploadsMiddleware(view)(request)
        return uploaders[0], response.cookies

    uploader, cookies = served({})
    (name,) = cookies
    assert name == f"__Host-{COOKIE}"
    assert (cookies[name]["path"], cookies[name]["domain"]) == ("/", "")
    assert cookies[name]["secure"]
    assert served({name: cookies[name].value}) == (uploader, {})
    # one that a subdomain, or a page over HTTP, has set
    planted = {COOKIE: "x" * 43}
    assert served({name: cookies[name].value, **planted}) == (uploader, {})
    again, cookies = served(planted)
    assert list(cookies) == [name]
    assert again != served({name: "x" * 43})[0]


def test_without_the_middleware_it_says_so(memory: None) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"add 'django_fsspec\.middleware"):
        uploads.ticket(destination())


def test_checks() -> None:
    field: Any = Parcel._meta.get_field("file")
    assert field.check() == []
    with override_settings(MIDDLEWARE=[]):
        assert [found.id for found in field.check()] == ["django_fsspec.E020"]
    with override_settings(ROOT_URLCONF="tests.helpers.no_urls"):
        assert "django_fsspec.E021" in [found.id for found in field.check()]


def test_migrations_do_not_know() -> None:
    field: Any = Parcel._meta.get_field("file")
    assert set(field.deconstruct()[3]) == {"backend", "upload_to", "null", "blank"}


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_abandoned_uploads_are_swept(memory: None, browser: Browser) -> None:
    kept = browser.upload(destination(), "kept.txt", TEXT, "text/plain")
    browser.submitted(ParcelForm, "file", kept).save()
    browser.upload(destination(), "left.txt", TEXT, "text/plain")
    found = list(Sweep(["default"], delete=True, min_age=timedelta(0)).run())
    assert [orphan.name.startswith("parcels/left_") for orphan in found] == [True]
    (left,) = names()
    assert left.startswith("parcels/kept_")
