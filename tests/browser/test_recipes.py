"""Recipes of the cookbook in a browser: htmx and Turbo send the form, errors and all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.browser import pages
from tests.browser.conftest import LIGHT
from tests.browser.test_input import LIVE, labels, opened, save
from tests.helpers.recipes import recipes, serve

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from pytest_django import Settings

pytestmark = [
    pytest.mark.parametrize("look", [LIGHT], ids=str),
    pytest.mark.django_db(transaction=True, databases="__all__"),
]

#: name of the recipe -> its template, what loads its library, its view, its model
RECIPES = {
    "htmx": ("page", "htmx", "add_note", "Note"),
    "turbo": ("sketch_form", "turbo", "add_sketch", "Sketch"),
}


def done(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>All sketches</p>")


@pytest.fixture
def model(
    request: pytest.FixtureRequest, transactional_db: None, settings: Settings, tmp_path: Path
) -> Iterator[Any]:
    """Serve a recipe; give its model."""
    template, library, view, model = RECIPES[request.param]
    with recipes(settings, tmp_path) as run:
        modules = run(request.param)
        script = f"<script src='/script/{library}.js' defer></script>"
        file = tmp_path / "notes" / f"{template}.html"
        file.write_text(f"<head><title>t</title>{script}</head><body>{file.read_text()}")
        serve(
            settings,
            modules,
            path("add/", modules("notes.views")[view], name=view),
            path("script/<name>", pages.script),
            path("sketches/", done),
        )
        yield modules("notes.models")[model]


@pytest.mark.parametrize(
    ("model", "success"), [("htmx", "May"), ("turbo", "All sketches")], indirect=["model"]
)
def test_an_error_then_a_row(page: Page, samples: Path, model: Any, success: str) -> None:
    page.expected = ["422"]  # type: ignore[attr-defined]
    widget = opened(page, "/add/")
    widget.locator("[data-input]").set_input_files(samples / "a.txt")
    # as if the browser did not check
    page.evaluate("document.querySelector('form').noValidate = true")
    page.evaluate("window.stays = true")
    save(page)
    page.get_by_text("This field is required.").wait_for()
    page.wait_for_selector(LIVE)
    assert labels(page.locator(LIVE).first) == ["a.txt"]
    page.get_by_label("Title").fill("May")
    save(page)
    page.get_by_text(success).wait_for()
    # no navigation of the browser's own
    assert page.evaluate("window.stays")
    assert model.objects.get().file.original_name == "a.txt"
