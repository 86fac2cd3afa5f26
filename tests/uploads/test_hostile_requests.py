"""Hostile uploads: refused with the right status, logged without token, nothing stored."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.forms import modelform_factory
from django.test import Client, override_settings
from django.urls import reverse

from django_fsspec import uploads
from django_fsspec.core.content_types import UNKNOWN_TYPE
from django_fsspec.storage import FSSpecStorage, signing
from django_fsspec.storage.signing import Grant
from django_fsspec.testing import override_storage
from django_fsspec.uploads.tokens import Upload, UploadTicket
from tests import servers
from tests.helpers import backends
from tests.helpers.backends import scratch
from tests.helpers.curl import Answer, curl
from tests.helpers.hostile_types import MALFORMED
from tests.helpers.samples import GIF
from tests.helpers.served_names import SERVED
from tests.helpers.upload_client import Browser
from tests.helpers.utils import started
from tests.library.models import Parcel


@dataclass(frozen=True)
class Trick:
    """A way to misuse direct uploads: what `play` does ends with this status."""

    label: str
    status: int
    play: Callable[[Browser], Any]

    def __str__(self) -> str:
        return self.label


PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)
#: names of files that servers and browsers run
RUN = [*SERVED, "a.html", "a.svg", "a.xhtml", "a.php", "a.phtml", "a.js", "a.eps", "a.xml"]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


def field(name: str = "file") -> uploads.Destination:
    return uploads.Destination.of(Parcel._meta.get_field(name))  # type: ignore[arg-type]


def asking(**changes: Any) -> Callable[[Browser], Any]:
    """Return a question to ``start_upload`` with something wrong in it."""

    def play(browser: Browser) -> Any:
        right = {"ticket": browser.ticket(field()), "name": "a.png", "size": 58}
        question = {**right, "type": "image/png", **changes}
        return browser.ask(
            "start_upload", **{key: value for key, value in question.items() if value != "GONE"}
        )

    return play


def sending(data: bytes, **headers: str) -> Callable[[Browser], Any]:
    """Return a PUT of something else than was announced to our own endpoint."""

    def play(browser: Browser) -> Any:
        place = browser.start(field(), "a.png", len(PNG), "image/png").json()
        return browser.put(place, data, **headers)

    return play


def lying(name: str, kind: str, data: bytes, to: str = "file") -> Callable[[Browser], Any]:
    """Return an upload whose bytes are of another type than its name says."""

    def play(browser: Browser) -> Any:
        place = browser.start(field(to), name, len(data), kind).json()
        return browser.put(place, data)

    return play


def naming(field_name: str, name: str, kind: str) -> Callable[[Browser], Any]:
    """Return a question for a file with a name that its field does not accept."""
    return lambda browser: browser.start(field(field_name), name, 9, kind)


def finishing(name: str, data: bytes) -> Callable[[Browser], Any]:
    """Return the end of an upload for a picture."""

    def play(browser: Browser) -> Any:
        place = browser.start(field("picture"), name, len(data), "image/png").json()
        assert browser.put(place, data).status == 201
        return browser.ask("finish_upload", upload=place["upload"])

    return play


def raw(body: bytes, kind: str = "application/json") -> Callable[[Browser], Any]:
    def play(browser: Browser) -> Any:
        return browser.client.post(reverse("django_fsspec:start_upload"), body, content_type=kind)

    return play


def measured(length: str) -> Callable[[Browser], Any]:
    """Return a question with a ``Content-Length`` that is none."""

    def play(browser: Browser) -> Any:
        return browser.client.post(
            reverse("django_fsspec:start_upload"),
            b"{}",
            content_type="application/json",
            headers={"Content-Length": length},
        )

    return play


def token(kind: type[Any], **changes: Any) -> Callable[[Browser], str]:
    """Return a maker of tokens as we make them, with something changed."""

    def make(browser: Browser) -> str:
        given = {
            "destination": field(),
            "uploader": browser.as_visitor(uploads.current_uploader),
            "expires": int(time.time()) + 60,
        }
        if kind is Upload:
            given |= {"alias": "default", "name": "a.png", "original": "a.png"}
            given |= {"size": 58, "content_type": "image/png"}
        text: str = kind(**{**given, **changes}).signed()
        return text

    return make


def with_ticket(make: Callable[[Browser], str]) -> Callable[[Browser], Any]:
    def play(browser: Browser) -> Any:
        text = make(browser)
        return browser.ask("start_upload", ticket=text, name="a.png", size=1, type="image/png")

    return play


def with_upload(make: Callable[[Browser], str], view: str) -> Callable[[Browser], Any]:
    return lambda browser: browser.ask(view, upload=make(browser))


def without_csrf(view: str) -> Callable[[Browser], Any]:
    def play(browser: Browser) -> Any:
        strict = Browser(Client(enforce_csrf_checks=True))
        strict.client.cookies = browser.client.cookies
        question = {"upload": "x"} if view != "start_upload" else {"ticket": "x"}
        return strict.ask(view, **question)

    return play


def replayed(browser: Browser) -> Any:
    """Send the bytes of an upload a second time."""
    place = browser.start(field(), "a.png", len(PNG), "image/png").json()
    browser.put(place, PNG)
    answer = browser.put(place, PNG[:-1] + b"x")
    for name in list(stored_default()):
        storages["default"].delete(name)
    return answer


def signed(**changes: Any) -> str:
    """Return the token of a signed URL."""
    given = {"alias": "default", "expires": int(time.time()) + 60, "headers": {}, **changes}
    return signing.token(Grant(**given))


def stored_default() -> list[str]:
    storage = storages["default"]
    assert isinstance(storage, FSSpecStorage)
    return [stat.name for stat in storage.walk()]


PAST = {"expires": int(time.time()) - 1}
STRANGER = {"uploader": "user:1"}
LONG = "x" * 296 + ".png"

UPLOADS = [
    Trick("no CSRF token: start", 403, without_csrf("start_upload")),
    Trick("no CSRF token: status", 403, without_csrf("upload_status")),
    Trick("no CSRF token: finish", 403, without_csrf("finish_upload")),
    Trick("ticket forged", 403, asking(ticket="forged")),
    Trick("ticket that is no text", 400, asking(ticket=5)),
    Trick("ticket expired", 410, with_ticket(token(UploadTicket, **PAST))),
    Trick("ticket of somebody else", 403, with_ticket(token(UploadTicket, **STRANGER))),
    Trick("an upload for a ticket", 403, with_ticket(token(Upload))),
    Trick("a path from the client", 400, asking(path="/etc/passwd")),
    Trick("a backend from the client", 400, asking(backend="other")),
    Trick("an alias from the client", 400, asking(alias="other")),
    Trick("metadata from the client", 400, asking(metadata={"x": "y"})),
    Trick("a file name from the client", 400, asking(filename="x")),
    Trick("a name of 300 characters", 400, asking(name=LONG)),
    Trick("a name that turns round", 400, asking(name="a\u202egnp.exe")),
    Trick("a name with a slash", 400, asking(name="../../x.png")),
    Trick("a name with a backslash", 400, asking(name="..\\x.png")),
    Trick("a name with a NUL", 400, asking(name="a\x00.png")),
    Trick("a name with a line break", 400, asking(name="a\r\nX: y.png")),
    Trick("a name of dots", 400, asking(name="..")),
    Trick("an empty name", 400, asking(name="")),
    Trick("a name that is a number", 400, asking(name=5)),
    Trick("no name", 400, asking(name="GONE")),
    Trick("a size that is text", 400, asking(size="58")),
    Trick("a size below zero", 400, asking(size=-1)),
    Trick("a size that is true", 400, asking(size=True)),
    Trick("a size above what is allowed", 413, asking(size=40_000_001)),
    Trick("a type that is not allowed", 415, asking(name="a.html", type="text/html")),
    Trick("a type that the name denies", 415, asking(name="a.svg", type="image/png")),
    Trick("a type that is a list", 400, asking(type=["image/png"])),
    Trick("no JSON", 400, raw(b"{")),
    Trick("JSON that is a list", 400, raw(b"[]")),
    Trick("JSON nested 30,000 deep", 400, raw(b"[" * 30_000)),
    Trick("a form instead of JSON", 415, raw(b"ticket=x", "application/x-www-form-urlencoded")),
    Trick("a question of 100 kB", 413, raw(b'{"ticket": "' + b"x" * 100_000 + b'"}')),
    Trick("a question with a length of ²", 413, measured("²")),
    Trick("a question without a length", 413, measured("")),
    Trick("GET of a question", 405, lambda b: b.client.get(reverse("django_fsspec:start_upload"))),
    Trick("upload forged", 403, lambda b: b.ask("finish_upload", upload="forged")),
    Trick("upload expired", 410, with_upload(token(Upload, **PAST), "finish_upload")),
    Trick("upload of somebody else", 403, with_upload(token(Upload, **STRANGER), "finish_upload")),
    Trick("status of somebody else", 403, with_upload(token(Upload, **STRANGER), "upload_status")),
    Trick("a ticket for an upload", 403, with_upload(token(UploadTicket), "finish_upload")),
    Trick("finish of what never came", 404, with_upload(token(Upload), "finish_upload")),
    *(Trick(f"{name!r} for a picture", 415, naming("picture", name, "image/png")) for name in RUN),
    *(Trick(f"{name!r} as text", 415, naming("file", name, "text/plain")) for name in SERVED),
    *(Trick(f"{name!r} as PNG", 415, naming("file", name, "image/png")) for name in SERVED),
    *(
        Trick(f"a picture of the type {kind!r}", 415, naming("picture", "x", kind))
        for kind in [*MALFORMED, "text/html", "image/svg+xml", "application/postscript"]
    ),
    Trick(
        "a picture with HTML behind it", 415, lying("a.png", "image/png", GIF + HTML, "picture")
    ),
    *(
        Trick(f"{label} for a picture {name!r}", 415, lying(name, "image/png", data, "picture"))
        for name in ("a.png", "noname")
        for label, data in {
            "a program": b"MZ" + bytes(90),
            "a drawing that is a program": b"%!PS-Adobe-3.0 EPSF-3.0\n",
            "a page": HTML,
            "a document": b"%PDF-1.7\n",
            "an archive": b"PK\x03\x04" + bytes(90),
        }.items()
    ),
    Trick("a drawing with a script", 415, lying("a.png", "image/png", SVG, "picture")),
    Trick("a drawing with a script, without a name", 415, finishing("noname", SVG)),
    Trick("HTML named .png", 415, lying("a.png", "image/png", HTML)),
    Trick("an executable named .txt", 415, lying("a.txt", "text/plain", b"\x7fELF" + bytes(90))),
    Trick("more bytes than announced", 413, sending(PNG + b"x")),
    Trick("fewer bytes than announced", 400, sending(PNG[:-1])),
    Trick("another type than announced", 400, sending(PNG, **{"Content-Type": "text/html"})),
    Trick("a length that is no number", 411, sending(PNG, **{"Content-Length": "many"})),
    Trick("a length of ²", 411, sending(PNG, **{"Content-Length": "²"})),
    Trick("bytes sent a second time", 412, replayed),
]


@pytest.mark.django_db
@pytest.mark.parametrize("trick", UPLOADS, ids=str)
def test_a_hostile_upload_is_refused(trick: Trick, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with override_storage("default", "other"):
        answer = trick.play(Browser())
        status = answer.status if isinstance(answer, Answer) else answer.status_code
        assert status == trick.status
        assert stored_default() == []
    for record in caplog.records:
        assert "eyJ" not in record.getMessage()  # as tokens begin
        assert "/upload/" not in record.getMessage()
        assert record.levelno < logging.ERROR
    assert caplog.records, "nobody would know of it"


@pytest.mark.django_db
@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_type_is_told_to_nobody(kind: str) -> None:
    """Not to the client that asked, the storage, the row, or who downloads it."""
    with override_storage("default"):
        browser, data = Browser(), HTML
        place = browser.start(field("files"), "x", len(data), kind).json()
        assert place["headers"] == {"Content-Type": UNKNOWN_TYPE}
        assert browser.put(place, data, **{"Content-Type": "text/html"}).status == 400
        receipt = browser.upload(field("files"), "x", data, kind)
        form = browser.submitted(modelform_factory(Parcel, fields=["files"]), "files", receipt)
        form.save()
        file: Any = Parcel.objects.get().files[0]
        assert file.to_dict()["content_type"] == UNKNOWN_TYPE
        response = browser.client.get(file.url)
        assert response["Content-Type"] == UNKNOWN_TYPE
        assert response["Content-Disposition"].startswith("attachment")
        assert response["Content-Security-Policy"].startswith("sandbox")
        assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.django_db
@pytest.mark.parametrize("kind", MALFORMED)
def test_tokens_of_earlier_releases_tell_nobody_a_malformed_type(kind: str) -> None:
    with override_storage("default"):
        browser = Browser()
        old = signed(name="parcels/a", for_upload=True, size=3, headers={"content_type": kind})
        url = reverse("django_fsspec:upload", kwargs={"token": old})
        sent = {"Content-Type": UNKNOWN_TYPE} if kind else {}
        assert browser.client.generic("PUT", url, b"abc", headers=sent).status_code == 201
        upload = token(
            Upload, name="parcels/a", size=3, content_type=kind, destination=field("files")
        )
        answer = browser.ask("finish_upload", upload=upload(browser))
        form = browser.submitted(
            modelform_factory(Parcel, fields=["files"]), "files", answer.json()["receipt"]
        )
        assert form.save().files[0].content_type == UNKNOWN_TYPE
        read = signed(name="parcels/a", headers={"content_type": kind})
        response = browser.client.get(reverse("django_fsspec:file", kwargs={"token": read}))
        assert (response.status_code, response["Content-Type"]) == (200, UNKNOWN_TYPE)


# bodies without a length, over sockets


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def site(request: pytest.FixtureRequest) -> Iterator[servers.Site]:
    options = {"fs": "file", "prefix": str(scratch() / backends.folder())}
    configured = {
        "default": {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}
    }
    with started(servers.Site, configured, wsgi=request.param == "gunicorn") as made:
        made.folder = options["prefix"]  # type: ignore[attr-defined]
        yield made


@pytest.mark.parametrize(
    ("label", "sent", "status"),
    [
        ("as announced", PNG, 201),
        ("larger", PNG * 1000, 413),
        ("one byte larger", PNG + b"x", 413),
        ("smaller", PNG[:-1], 400),
        ("of another type", HTML.ljust(len(PNG)), 415),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_chunked_body_is_counted(
    site: servers.Site, label: str, sent: bytes, status: int
) -> None:
    name = f"{label.replace(' ', '-')}.png"
    allowed = {"name": name, "for_upload": True, "size": len(PNG), "types": ("image/png",)}
    with override_settings(SECRET_KEY=site.secret):
        url = f"{site.url}/files/upload/{signed(**allowed)}"
    answer = curl(url, "PUT", {"Transfer-Encoding": "chunked"}, body=sent)
    assert answer.status == status, answer.body
    path = Path(site.folder) / name  # type: ignore[attr-defined]
    assert path.exists() == (status == 201)
    assert "Traceback" not in site.log_tail(200)


def test_there_are_many() -> None:
    labels = [str(trick) for trick in UPLOADS]
    assert len(set(labels)) == len(labels) >= 60
