"""The pictures of the documents: taken of the pages as they are (`make screenshots`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile

from testproject import pictures
from tests.browser.conftest import DARK, DARK_PHONE, LIGHT, PHONE, Look
from tests.browser.test_input import LIVE
from tests.library.models import Paper, Photo, Shelf

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.usefixtures("site", "logged_in")


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    given = request.config.getoption("--screenshots")
    made = Path(given) if given else tmp_path / "shots"
    made.mkdir(exist_ok=True)
    return made


@pytest.fixture
def shelf(site: Path) -> Shelf:
    files = {
        "Dunes at noon.jpg": pictures.dunes(),
        "Emblem.png": pictures.emblem(),
        "Minutes of the meeting.pdf": pictures.poster(),
        "Bestandsliste, Größe & Lage.csv": b"a,b\n" * 5000,
    }
    for name, data in files.items():
        Paper.objects.create(title=name.partition(".")[0], file=ContentFile(data, name=name))
    Photo.objects.create(image=ContentFile(pictures.emblem(), name="emblem.png"))
    return Shelf.objects.create(files=[ContentFile(d, name=n) for n, d in files.items()])


def taken(page: Page, path: Path) -> None:
    page.wait_for_function("[...document.images].every((one) => one.complete)")
    page.screenshot(path=path, full_page=True)
    assert path.stat().st_size > 5000


NAMES = {LIGHT: "light", DARK: "dark", PHONE: "phone", DARK_PHONE: "dark-phone"}


@pytest.mark.parametrize("look", [LIGHT, DARK_PHONE], ids=str)
def test_the_widget(page: Page, look: Look, shelf: Shelf, samples: Path, folder: Path) -> None:
    page.goto(f"/admin/library/shelf/{shelf.pk}/change/")
    page.wait_for_selector(LIVE)
    page.locator(LIVE).first.locator("[data-input]").set_input_files(samples / "triangles.jpg")
    page.wait_for_selector("canvas")
    taken(page, folder / f"widget-{NAMES[look]}.png")


@pytest.mark.parametrize("look", [DARK, PHONE], ids=str)
def test_the_list(page: Page, look: Look, shelf: Shelf, folder: Path) -> None:
    page.goto("/admin/library/paper/")
    taken(page, folder / f"list-{NAMES[look]}.png")


@pytest.mark.parametrize("look", [LIGHT, DARK_PHONE], ids=str)
def test_the_overview(page: Page, look: Look, shelf: Shelf, folder: Path) -> None:
    page.goto("/admin/library/paper/storage/")
    taken(page, folder / f"storage-{NAMES[look]}.png")


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_an_upload_on_its_way(
    page: Page, look: Look, shelf: Shelf, samples: Path, folder: Path
) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    session.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": 200_000})
    paper = Paper.objects.get(title="Emblem")
    page.goto(f"/forms/paper/{paper.pk}/")
    page.wait_for_selector(LIVE)
    page.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
    page.get_by_role("button", name="Save").click()
    page.wait_for_function("document.querySelector('progress').value > 0.4")
    page.locator(".stored-object").screenshot(path=folder / "upload.png")
    page.get_by_role("button", name="Cancel").click()
