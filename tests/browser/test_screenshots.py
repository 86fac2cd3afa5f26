"""The pictures of the documents: taken of the pages as they are (`make screenshots`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testproject.models import Album, Document
from tests.browser import test_themes as themes
from tests.browser.conftest import DARK, DARK_PHONE, LIGHT, PHONE, Look, until
from tests.browser.test_input import LIVE

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from pytest_django import Settings

pytestmark = [pytest.mark.usefixtures("demo", "logged_in"), pytest.mark.soak]


def taken(page: Page, path: Path) -> None:
    until(page, "[...document.images].every((one) => one.complete)")
    page.screenshot(path=path, full_page=True)
    assert path.stat().st_size > 5000


NAMES = {LIGHT: "light", DARK: "dark", PHONE: "phone", DARK_PHONE: "dark-phone"}


@pytest.mark.parametrize("look", [LIGHT, DARK_PHONE], ids=str)
def test_the_widget(page: Page, look: Look, samples: Path, folder: Path) -> None:
    album = Album.objects.get(title="Patterns")
    page.goto(f"/admin/testproject/album/{album.pk}/change/")
    page.wait_for_selector(LIVE)
    page.locator("[data-input]").set_input_files(samples / "dunes.jpg")
    page.wait_for_selector("canvas")
    taken(page, folder / f"widget-{NAMES[look]}.png")


@pytest.mark.parametrize("look", [DARK], ids=str)
def test_the_list(page: Page, look: Look, folder: Path) -> None:
    page.goto("/admin/testproject/document/")
    taken(page, folder / f"list-{NAMES[look]}.png")


@pytest.mark.parametrize("look", [LIGHT, DARK_PHONE], ids=str)
def test_the_storage_page(page: Page, look: Look, folder: Path) -> None:
    page.goto("/admin/testproject/document/storage/")
    taken(page, folder / f"storage-{NAMES[look]}.png")


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_metadata(page: Page, look: Look, folder: Path) -> None:
    document = Document.objects.get(title="Emblem")
    page.goto(f"/admin/testproject/document/{document.pk}/change/")
    page.get_by_text("File details").click()
    taken(page, folder / "metadata.png")


@pytest.mark.parametrize("look", [DARK_PHONE], ids=str)
def test_an_album_of_the_demo(page: Page, look: Look, folder: Path) -> None:
    album = Album.objects.get(title="Patterns")
    page.goto(f"/albums/{album.pk}/")
    page.wait_for_selector(LIVE)
    taken(page, folder / f"album-{NAMES[look]}.png")


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_documents_of_the_demo(page: Page, look: Look, folder: Path) -> None:
    page.goto("/documents/")
    page.wait_for_selector(LIVE)
    taken(page, folder / f"documents-{NAMES[look]}.png")


@pytest.mark.parametrize(
    ("theme", "look"),
    [("unfold", DARK), ("grappelli", LIGHT), ("jazzmin", DARK), ("crispy", LIGHT)],
    ids=str,
)
def test_the_input_in_a_theme(
    page: Page, settings: Settings, theme: str, look: Look, samples: Path, folder: Path
) -> None:
    themes.wear(settings, theme)
    page.expected = list(themes.THEIRS)  # type: ignore[attr-defined]
    row = themes.shelf()
    admin = f"/admin/library/shelf/{row.pk}/change/"
    page.goto(f"/shelf/{look.theme}/{row.pk}/" if theme == "crispy" else admin)
    page.wait_for_selector(LIVE)
    page.locator("[data-input]").first.set_input_files(samples / "emblem.png")
    page.wait_for_selector("canvas")
    path = folder / f"theme-{theme}.png"
    page.screenshot(path=path, clip={"x": 0, "y": 0, "width": 1100, "height": 560})
    assert path.stat().st_size > 5000
