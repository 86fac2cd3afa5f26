"""The admin in a browser: the widget without configuration, lists, filters, the overview."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile

from testproject.pictures import dunes, emblem
from tests.browser.conftest import LIGHT, contents, until
from tests.browser.test_input import LIVE, drop, labels
from tests.browser.test_themes import looks
from tests.library.models import Paper, Photo, Shelf

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.usefixtures("site", "logged_in")


@pytest.fixture
def papers(site: Path) -> list[Paper]:
    files = {
        "dunes.jpg": dunes(),
        "emblem.png": emblem(),
        "notes.txt": b"notes",
        "data.bin": bytes(200_000),
    }
    return [Paper.objects.create(title=n, file=ContentFile(d, name=n)) for n, d in files.items()]


def save(page: Page) -> None:
    page.get_by_role("button", name="Save and continue editing").click()
    page.locator(".messagelist .success").wait_for()
    page.wait_for_selector(LIVE)


def test_a_plain_admin_has_the_widget_with_inlines(
    page: Page, samples: Path, sees: Callable[..., None], fits: Callable[[], None]
) -> None:
    page.goto("/admin/library/shelf/add/")
    page.wait_for_selector(LIVE)
    widget = page.locator(LIVE).first
    assert "stored-object-admin" in (widget.get_attribute("class") or "")
    drop(widget, "x.txt", "y.txt")
    widget.get_by_role("button", name="Move up: y.txt").click()
    page.get_by_role("button", name="Add another Box").click()
    inlines = page.locator("#box_set-group .stored-object.is-live")
    assert inlines.count() == 2
    inlines.nth(1).locator("[data-input]").set_input_files(samples / "a.txt")
    sees(".stored-object")
    fits()
    looks(page)
    page.locator("#id_box_set-0-file").set_input_files(samples / "b.txt")
    save(page)
    shelf = Shelf.objects.get()
    assert [file.original_name for file in shelf.files] == ["y.txt", "x.txt"]
    boxes = sorted(box.file.original_name for box in shelf.box_set.all())
    assert boxes == ["a.txt", "b.txt"]
    # nothing was chosen anew, so nothing has changed
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".messagelist .success").wait_for()
    shelf.refresh_from_db()
    assert [file.original_name for file in shelf.files] == ["y.txt", "x.txt"]


def test_kept_when_an_inline_is_wrong(page: Page, samples: Path) -> None:
    page.goto("/admin/library/shelf/add/")
    page.wait_for_selector(LIVE)
    drop(page.locator(LIVE).first, "x.txt")
    page.locator("#id_box_set-0-file").set_input_files(samples / "%%%")
    page.get_by_role("button", name="Save and continue editing").click()
    page.locator(".errornote").wait_for()
    page.wait_for_selector(LIVE)
    assert labels(page.locator(LIVE).first) == ["x.txt"]
    page.locator("#id_box_set-0-file").set_input_files(samples / "a.txt")
    save(page)
    assert [file.original_name for file in Shelf.objects.get().files] == ["x.txt"]


def test_a_list_with_previews(page: Page, papers: list[Paper], sees: Callable[..., None]) -> None:
    page.goto("/admin/library/paper/")
    assert page.locator("#result_list tbody tr").count() == 4
    assert page.locator(".stored-object-preview img").count() == 2
    until(
        page,
        "[...document.querySelectorAll('.stored-object-preview img')].every((i) => i.complete)",
    )
    sees("#result_list .stored-object-preview")


def test_filters(page: Page, papers: list[Paper]) -> None:
    for name, left in (
        ("PNG image", ["emblem.png"]),
        ("100 KB to 1 MB", ["data.bin"]),
    ):
        page.goto("/admin/library/paper/")
        page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
        page.locator("#changelist-filter").get_by_role("link", name=name).click()
        page.wait_for_url(re.compile(r"\?"))
        shown = page.locator("#result_list tbody th").all_inner_texts()
        assert shown == left


def test_what_is_known_of_a_file(
    page: Page, papers: list[Paper], sees: Callable[..., None], fits: Callable[[], None]
) -> None:
    page.goto(f"/admin/library/paper/{papers[0].pk}/change/")
    page.wait_for_selector(LIVE)
    summary = page.get_by_text("File details")
    summary.click()
    shown = page.locator(".stored-object-metadata").inner_text()
    assert papers[0].file.name in shown
    assert papers[0].file.checksum in shown
    assert "dunes.jpg" in shown
    sees(".stored-object", ".stored-object-metadata")
    fits()


def test_the_overview(
    page: Page, papers: list[Paper], sees: Callable[..., None], fits: Callable[[], None]
) -> None:
    Photo.objects.create(image=ContentFile(emblem(), name="e.png"))
    Shelf.objects.create(files=contents("a.txt", "b.txt"))
    page.goto("/admin/library/paper/")
    page.locator(".object-tools").get_by_role("link", name="Storage").click()
    page.get_by_role("heading", name="By storage").wait_for()
    total = sum(paper.file.size for paper in papers) + len(emblem()) + 2 * 14
    bar = page.locator("[data-bar=default]")
    assert bar.get_attribute("data-bytes") == str(total)
    assert bar.get_attribute("data-files") == "7"
    png = page.locator("[data-type='image/png']")
    assert png.get_attribute("data-bytes") == str(2 * len(emblem()))
    widths = page.eval_on_selector_all(
        "[data-bar] rect", "all => all.map((r) => +r.getAttribute('width'))"
    )
    assert sum(widths) == pytest.approx(1000, abs=0.1)
    sees(".stored-object-overview")
    fits()


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_the_dark_theme_of_the_admin_itself(
    page: Page, papers: list[Paper], sees: Callable[..., None]
) -> None:
    page.goto("/admin/library/paper/storage/")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.goto(f"/admin/library/paper/{papers[0].pk}/change/")
    page.wait_for_selector(LIVE)
    assert page.locator("html").get_attribute("data-theme") == "dark"
    sees(".stored-object")
    page.goto("/admin/library/paper/storage/")
    sees(".stored-object-overview")
