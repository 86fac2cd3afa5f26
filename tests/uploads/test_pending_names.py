"""Direct uploads: what is not finished lies under no name and no type that anything would run."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.core.files.storage import storages
from django.urls import reverse

from django_fsspec.core.content_types import UNKNOWN_TYPE
from django_fsspec.testing import override_storage
from tests.helpers.backends import backends_named, folder
from tests.helpers.samples import GIF
from tests.helpers.served_names import SERVED
from tests.helpers.upload_client import Browser
from tests.library.models import Parcel
from tests.uploads.parcels import ParcelForm, destination, names, picture, place

pytestmark = pytest.mark.django_db

HTML = b"<!doctype html><script>alert(1)</script>"
ANY = "files"  # a field that takes any type
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PAGES = [
    *("a.html", "a.HTM", "a.svg", "a.xhtml", "a.xml", "a.js", "a.css", "a.php", "a.phtml", "a.sh"),
    *("a.py", "a.jar", "a.swf", "a.mht", "a.rss", "a.wasm", "a.exe", "a.php.png", "a.phar.jpg"),
    *("noname", "a.unknown", "a.1", "a.php5.gif"),
]


def test_what_may_run_lies_under_a_neutral_name(memory: None, browser: Browser) -> None:
    for name in [*PAGES, *SERVED]:
        started = browser.start(destination(ANY), name, len(HTML), "text/html").json()
        assert started["headers"]["Content-Type"] == UNKNOWN_TYPE, name
        assert browser.put(started, HTML, **{"Content-Type": "text/html"}).status == 400
        assert browser.put(started, HTML).status == 201
        (lying,) = names()
        last = lying.rpartition("/")[2]
        assert (last.count("."), last[-4:]) == (1, ".bin"), name
        receipt = browser.ask("finish_upload", upload=started["upload"]).json()["receipt"]
        (kept,) = names()
        assert kept != lying
        (file,) = browser.submitted(ParcelForm, ANY, receipt).cleaned_data[ANY]
        assert (file.name, file.original_name, file.get_content()) == (kept, name, HTML)
        storages["default"].delete(kept)


@pytest.mark.parametrize("name", ["a.cer", "a.cdx", "a.lua", "a.asa", "a.pl"])
def test_a_name_that_some_servers_run_is_neutral_whatever_its_type(
    memory: None, name: str, browser: Browser
) -> None:
    started = browser.start(destination(ANY), name, 5, "text/plain").json()
    assert started["headers"]["Content-Type"] == UNKNOWN_TYPE
    assert browser.put(started, b"plain").status == 201
    (lying,) = names()
    assert lying.endswith(".bin")


def test_what_nothing_runs_is_stored_in_its_place(memory: None, browser: Browser) -> None:
    for name in ("a.png", "a.mp4", "a.pdf", "a.zip", "a.docx", "a.csv", "a.bin", "a.2024.tar.gz"):
        started = browser.start(destination(ANY), name, 4, "x/y").json()
        assert browser.put(started, b"text").status == 201
        before = names()
        assert before[0].endswith(name[1:])
        assert browser.ask("finish_upload", upload=started["upload"]).status_code == 200
        assert names() == before
        storages["default"].delete(before[0])


@pytest.mark.parametrize(
    "backend", backends_named("s3 (SeaweedFS)", "azure (azurite)", "local"), ids=str
)
def test_a_service_is_told_its_type_at_the_end(backend: Any, browser: Browser) -> None:
    with override_storage(default=backend.options(folder())):
        storage: Any = storages["default"]
        started = browser.start(destination(ANY), "a.svg", len(SVG), "image/svg+xml").json()
        assert browser.put(started, SVG).status < 300
        (lying,) = names()
        assert storage.stat(lying).content_type in (UNKNOWN_TYPE, None)
        for _ in range(2):  # an answer may be lost
            receipt = browser.ask("finish_upload", upload=started["upload"]).json()["receipt"]
            (kept,) = names()
            assert kept.endswith(".svg")
        assert storage.stat(kept).content_type in ("image/svg+xml", None)
        form = browser.submitted(ParcelForm, ANY, receipt)
        assert form.errors == {}
        file: Any = form.save().files[0]
        assert (file.content_type, file.size) == ("image/svg+xml", len(SVG))
        assert file.get_content() == SVG


def test_a_large_page_keeps_its_neutral_name(browser: Browser) -> None:
    """Nobody waits for a copy of it, and no bucket shows it."""
    with override_storage(default={"fs": "memory", "prefix": folder(), "chunk_size": 10}):
        receipt = browser.upload(destination(ANY), "a.html", HTML, "text/html")
        file: Any = browser.submitted(ParcelForm, ANY, receipt).save().files[0]
        assert file.name.endswith(".bin")
        assert (file.original_name, file.content_type) == ("a.html", "text/html")
        assert names() == [file.name]


def test_what_is_refused_at_the_end_is_gone(browser: Browser) -> None:
    with override_storage(default=place("s3 (SeaweedFS)")):
        # a page where text is expected
        data = b"%PDF-1.7 no page"
        field: Any = Parcel._meta.get_field("file")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(field, "content_types", ("text/html",))
            started = browser.start(destination(), "a.html", len(data), "text/html").json()
            assert browser.put(started, data).status == 200
            assert browser.ask("finish_upload", upload=started["upload"]).status_code == 415
            assert names() == []


def test_a_page_passes_our_view_by_its_own_name(memory: None, browser: Browser) -> None:
    field: Any = Parcel._meta.get_field("file")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(field, "content_types", ("text/html", "text/csv"))
        for name, kind, data in (
            ("a.html", "text/html", HTML),
            ("a.csv", "text/csv", b"a,b\n1,2"),
        ):
            assert browser.upload(destination(), name, data, kind)
        started = browser.start(destination(), "b.html", len(GIF), "text/html").json()
        assert browser.put(started, GIF).status == 415


@pytest.mark.parametrize("name", ["a.png", "noname"])
def test_our_view_looks_at_pictures(memory: None, name: str, browser: Browser) -> None:
    for data in (HTML, SVG if name == "a.png" else HTML, b"%PDF-1.7", b"MZ" + bytes(90)):
        started = browser.start(destination("picture"), name, len(data), "image/png").json()
        assert browser.put(started, data).status == 415, data
    assert names() == []
    assert browser.upload(destination("picture"), name, picture(), "image/png")


def test_what_our_view_packs_is_finished(browser: Browser) -> None:
    text = b"a line\n" * 100
    with override_storage(default={**place("s3 (SeaweedFS)"), "gzip": True}):
        for name in ("a.txt", "a.html"):
            receipt = browser.upload(destination(ANY), name, text, "text/plain")
            form = browser.submitted(ParcelForm, ANY, receipt)
            assert form.errors == {}
            assert form.save().files[0].get_content() == text


def test_parts_at_our_view_lie_under_a_neutral_name_too(memory: None, browser: Browser) -> None:
    """By tus a small file comes in parts, and its end is asked for twice."""
    fields = {"ticket": browser.ticket(destination(ANY)), "filename": "a.html", "filetype": "x/y"}
    metadata = ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items()
    )
    version = {"Tus-Resumable": "1.0.0"}
    created = browser.client.post(
        reverse("django_fsspec:tus_uploads"),
        headers={**version, "Upload-Length": str(len(HTML)), "Upload-Metadata": metadata},
    )
    url = created["Location"]
    sent = browser.client.patch(
        url, HTML, "application/offset+octet-stream", headers={**version, "Upload-Offset": "0"}
    )
    asked = browser.client.head(url, headers=version)
    assert (sent.status_code, asked.status_code) == (204, 200)
    (name,) = names()
    assert name.endswith(".html")
    form = browser.submitted(ParcelForm, ANY, asked["Upload-Receipt"])
    assert form.save().files[0].get_content() == HTML
