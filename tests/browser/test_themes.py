"""The input in the admin themes and forms of other packages."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings

from tests.browser.conftest import DARK_PHONE, LIGHT, Look, contents
from tests.browser.test_input import LIVE, drop, labels
from tests.library.models import Box, Paper, Shelf

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from pytest_django import Settings

pytestmark = pytest.mark.usefixtures("site", "logged_in")
APPS = {
    # its other configuration replaces the admin site of Django, for good
    "unfold": ["unfold.apps.BasicAppConfig"],
    "grappelli": ["grappelli"],
    "jazzmin": ["jazzmin"],
    "crispy": ["crispy_forms", "crispy_bootstrap5"],
}
#: errors that the themes cause: fonts from elsewhere, a script for file inputs of their own
THEIRS = ("ERR_NAME_NOT_RESOLVED", "ERR_INTERNET_DISCONNECTED", "(reading 'setAttribute')")
JS = (Path(__file__).parent / "themes/looks.js").read_text()


def looks(page: Page) -> None:
    """Nothing of the input sticks out or is cut, and no edge has a contrast below 3."""
    assert page.evaluate(f"(() => {{ {JS}; return [...cut(), ...faint()]; }})()") == []


def wear(settings: Settings, theme: str) -> None:
    """Serve the pages of a theme."""
    settings.INSTALLED_APPS = [*APPS[theme], *django_settings.INSTALLED_APPS]
    settings.MIDDLEWARE = [m for m in settings.MIDDLEWARE if "StrictPolicy" not in m]
    settings.ROOT_URLCONF = f"tests.browser.themes.{theme}_pages"
    settings.JAZZMIN_UI_TWEAKS = {"theme": "flatly", "default_theme_mode": "auto"}
    settings.CRISPY_ALLOWED_TEMPLATE_PACKS = settings.CRISPY_TEMPLATE_PACK = "bootstrap5"


def shelf() -> Shelf:
    shelf = Shelf.objects.create(files=contents("a.txt", "a long name of a file.txt"))
    Box.objects.create(shelf=shelf, file=contents("box.txt")[0])
    return shelf


def shot(page: Page, name: str) -> None:
    if "SHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SHOTS"]) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(
    ("theme", "look"),
    [
        ("unfold", DARK_PHONE),
        ("grappelli", LIGHT),
        ("jazzmin", DARK_PHONE),
        pytest.param("unfold", LIGHT, marks=pytest.mark.soak),
        pytest.param("grappelli", DARK_PHONE, marks=pytest.mark.soak),
        pytest.param("jazzmin", LIGHT, marks=pytest.mark.soak),
    ],
    ids=str,
)
def test_an_admin(
    page: Page,
    settings: Settings,
    theme: str,
    sees: Callable[..., None],
    look: Look,
    samples: Path,
) -> None:
    wear(settings, theme)
    page.expected = list(THEIRS)  # type: ignore[attr-defined]
    row = shelf()
    page.goto(f"/admin/library/shelf/{row.pk}/change/")
    page.wait_for_selector(LIVE)
    widget = page.locator(LIVE).first
    widget.locator("[data-input]").set_input_files(samples / "emblem.png")
    widget.get_by_role("button", name="Remove a.txt").click()
    shot(page, f"{theme}-{look}-form")
    sees(".stored-object")
    looks(page)
    assert labels(widget)[1:] == ["emblem.png"]
    page.get_by_role("button", name="Save and continue editing").click()
    page.locator('[data-label="emblem.png"][data-card="stored"]').wait_for()
    row.refresh_from_db()
    assert len(row.files) == 2
    Paper.objects.create(title="t", file=row.files[0])
    page.goto("/admin/library/paper/")
    shot(page, f"{theme}-{look}-list")
    sees(".stored-object-preview")
    page.goto("/admin/library/paper/storage/")
    shot(page, f"{theme}-{look}-storage")
    sees(".stored-object-overview")


@pytest.mark.parametrize(
    "look", [DARK_PHONE, pytest.param(LIGHT, marks=pytest.mark.soak)], ids=str
)
def test_a_form_in_bootstrap(
    page: Page, settings: Settings, sees: Callable[..., None], fits: Callable[[], None], look: Look
) -> None:
    wear(settings, "crispy")
    row = shelf()
    page.goto(f"/shelf/{look.theme}/{row.pk}/")
    page.wait_for_selector(LIVE)
    drop(page.locator(LIVE), "x.txt")
    page.get_by_label("Word").fill("wrong")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("That is not the right word.").wait_for()
    page.wait_for_selector(LIVE)
    assert labels(page.locator(LIVE)) == ["a.txt", "a long name of a file.txt", "x.txt"]
    shot(page, f"crispy-{look}")
    sees()
    fits()
    looks(page)
    page.get_by_role("button", name="Remove a.txt").click()
    page.get_by_label("Word").fill("right")
    page.get_by_role("button", name="Save").click()
    page.locator('[data-label="x.txt"][data-card="stored"]').wait_for()
    row.refresh_from_db()
    assert [file.original_name for file in row.files] == ["a long name of a file.txt", "x.txt"]
