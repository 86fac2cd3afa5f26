"""The demo in a browser: documents and albums on the disk and on S3, films, the overview."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings

from testproject import films, seed
from testproject.models import Album, Document
from testproject.servers import DemoS3
from tests.browser.conftest import DARK, DARK_PHONE, LIGHT, PHONE, local, until
from tests.browser.test_input import LIVE
from tests.helpers.utils import started
from tests.soak import grounds

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from pytest_django import Settings


@pytest.fixture(scope="module")
def seaweed() -> Iterator[DemoS3]:
    with started(DemoS3) as server:
        yield server


@pytest.fixture
def demo(settings: Settings, tmp_path: Path, transactional_db: None, seaweed: DemoS3) -> None:
    options = grounds.s3_options(seaweed, grounds.folder("demo"))
    s3 = {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}
    settings.STORAGES = {
        "default": local(tmp_path / "media"),
        "s3": s3,
        "staticfiles": django_settings.STORAGES["staticfiles"],
    }


@pytest.fixture
def seeded(demo: None) -> None:
    seed.seed_rows()


pytestmark = pytest.mark.usefixtures("demo")


def stored(page: Page, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.locator(".flash").wait_for()
    page.wait_for_selector(LIVE)


@pytest.mark.parametrize("look", [LIGHT], ids=str)
@pytest.mark.parametrize("alias", ["default", "s3"])
def test_a_document(page: Page, samples: Path, alias: str, seaweed: DemoS3) -> None:
    sent: list[str] = []
    page.on("request", lambda one: sent.extend([one.url] * (one.method == "PUT")))
    page.goto("/documents/")
    page.wait_for_selector(LIVE)
    page.get_by_label("New files go to").select_option(alias)
    page.locator("[data-input]").set_input_files(samples / "emblem.png")
    stored(page, "Upload")
    document = Document.objects.get()
    assert (document.title, document.file.backend) == ("emblem.png", alias)
    assert page.locator("[data-item=document]").count() == 1
    page.get_by_role("link", name="Replace emblem.png").click()
    page.wait_for_selector(LIVE)
    page.locator("[data-input]").set_input_files(samples / "dunes.jpg")
    stored(page, "Save")
    document.refresh_from_db()
    assert (document.file.original_name, document.file.backend) == ("dunes.jpg", alias)
    until(page, "document.querySelector('img.seen').naturalWidth > 0")
    # past the form, and to S3 past this site
    assert [url.startswith(seaweed.url) for url in sent] == [alias == "s3"] * 2


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_an_album(page: Page, samples: Path) -> None:
    page.goto("/albums/")
    page.wait_for_selector(LIVE)
    pictures = [samples / "dunes.jpg", samples / "emblem.png"]
    page.locator("[data-input]").set_input_files(pictures)
    page.get_by_label("Title").fill("Two")
    page.get_by_label("New files go to").select_option("s3")
    page.get_by_role("button", name="Create album").click()
    page.get_by_text("with 2 photos").wait_for()
    until(page, "[...document.querySelectorAll('.gallery img')].every((one) => one.naturalWidth)")
    page.wait_for_selector(LIVE)
    page.get_by_role("button", name="Move down: dunes.jpg").click()
    page.locator("[data-input]").set_input_files(samples / "triangles.jpg")
    page.get_by_role("button", name="Remove dunes.jpg").click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved the album.").wait_for()
    photos = Album.objects.get().photos
    assert [photo.original_name for photo in photos] == ["emblem.png", "triangles.jpg"]
    assert page.locator("[data-item=photo]").count() == 2


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("look", [LIGHT], ids=str)
@pytest.mark.parametrize("title", ["Waves, a film", "Waves, from a bucket"])
def test_a_film_is_played_from_where_one_likes(page: Page, title: str) -> None:
    answers: list[int] = []

    def note(response: Any) -> None:
        answers.extend([response.status] * (response.request.resource_type == "media"))

    page.on("response", note)
    page.goto(f"/documents/{Document.objects.get(title=title).pk}/")
    until(page, "document.querySelector('video').readyState >= 2")
    told = page.evaluate(
        "(({ duration, videoWidth }) => [duration, videoWidth])(document.querySelector('video'))"
    )
    assert told == [pytest.approx(films.SECONDS, abs=0.3), films.WIDTH]
    reached = """async () => {
      const video = document.querySelector("video");
      video.currentTime = 15;
      await new Promise((done) => video.addEventListener("seeked", done, { once: true }));
      return [video.currentTime, video.seekable.end(0)];
    }"""
    assert page.evaluate(reached) == [15, pytest.approx(films.SECONDS, abs=0.3)]
    assert 206 in answers


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_search_by_what_is_known_of_files(page: Page) -> None:
    page.goto("/documents/")
    for words, found in (("moon", 1), ("image/", 3), ("waves", 2), ("none", 0)):
        page.get_by_label("Search").fill(words)
        page.get_by_role("button", name="Search").click()
        page.wait_for_url(f"**q={words.replace('/', '%2F')}")
        assert page.locator("[data-item=document]").count() == found, words


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    "look",
    [
        LIGHT,
        DARK_PHONE,
        pytest.param(DARK, marks=pytest.mark.soak),
        pytest.param(PHONE, marks=pytest.mark.soak),
    ],
    ids=str,
)
def test_every_page_is_fit_to_be_seen(
    page: Page, sees: Callable[..., None], fits: Callable[[], None]
) -> None:
    document, album = Document.objects.get(title="Waves, a film"), Album.objects.first()
    assert album is not None
    paths = ("/", "/documents/", f"/documents/{document.pk}/", "/albums/", f"/albums/{album.pk}/")
    for path in (*paths, "/overview/"):
        page.goto(path)
        sees()
        fits()
