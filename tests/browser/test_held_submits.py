"""A submit is held until the uploads are done; then whoever sends the form sends it, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import LIGHT, until
from tests.browser.pages import PAGES
from tests.browser.test_direct import slow_line
from tests.browser.test_input import LIVE, labels, opened, save
from tests.library.models import Paper

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

pytestmark = [
    pytest.mark.usefixtures("site"),
    pytest.mark.parametrize("look", [LIGHT], ids=str),
]


@pytest.mark.parametrize("kind", PAGES)
def test_one_click_makes_one_row(page: Page, samples: Path, kind: str) -> None:
    widget = opened(page, f"/pages/{kind}/")
    slow_line(page)
    widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
    until(page, "document.querySelector('progress').value > 0.1")
    save(page)
    assert not Paper.objects.exists()
    page.get_by_text("Saved.").wait_for()
    file = Paper.objects.get().file
    assert (file.original_name, file.size) == ("half a megabyte.bin", 500_000)


@pytest.mark.parametrize("kind", PAGES)
def test_a_submit_after_the_upload(page: Page, samples: Path, kind: str) -> None:
    widget = opened(page, f"/pages/{kind}/")
    widget.locator("[data-input]").set_input_files(samples / "a.txt")
    widget.get_by_text("Uploaded; will be saved when you submit").wait_for()
    save(page)
    page.get_by_text("Saved.").wait_for()
    assert Paper.objects.get().file.get_content() == b"This is a.txt."


def _is_of_the_form(response: Response) -> bool:
    return response.request.method == "POST" and "/pages/" in response.url


@pytest.mark.parametrize("kind", ["nonce", "trusted types", "turbo"])
def test_the_next_page_works(page: Page, samples: Path, kind: str) -> None:
    for number in (1, 2):
        widget = opened(page, f"/pages/{kind}/") if number == 1 else page.locator(LIVE)
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        with page.expect_response(_is_of_the_form):
            save(page)
        page.wait_for_selector(f"{LIVE}:not(:has([data-card]))")
        if kind == "nonce":
            assert page.evaluate("document.documentElement.dataset.ran") == "yes"
    assert Paper.objects.count() == 2


def test_back_returns_to_the_form(page: Page, samples: Path) -> None:
    opened(page, "/forms/paper/")
    widget = opened(page, "/pages/plain/")
    widget.locator("[data-input]").set_input_files(samples / "a.txt")
    save(page)
    page.get_by_text("Saved.").wait_for()
    page.go_back()
    page.wait_for_url("**/pages/plain/")
    page.wait_for_selector(LIVE)
    assert page.evaluate("document.querySelector('[data-drop]').inert") is False


def test_a_file_that_is_sent_with_the_form_stays_as_it_is_shown(page: Page, samples: Path) -> None:
    widget = opened(page, "/forms/paper/")
    widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
    assert labels(widget) == ["half a megabyte.bin"]
    slow_line(page)
    # the debugger waits for the next page
    page.evaluate(
        """new MutationObserver(() => {
          const inert = (name) => document.querySelector(`[data-${name}]`).inert;
          sessionStorage.setItem("seen", [inert("remove"), inert("drop")]);
        }).observe(document.querySelector("[data-drop]"), { attributeFilter: ["inert"] })"""
    )
    save(page)
    page.get_by_text("Saved.").wait_for()
    assert page.evaluate("sessionStorage.getItem('seen')") == "true,true"
    assert Paper.objects.get().file.size == 500_000


def test_the_button_that_was_clicked_is_sent(page: Page, samples: Path) -> None:
    widget = opened(page, "/pages/fetch/")
    page.evaluate(
        """addEventListener("submit", (event) => {
          const sent = new FormData(event.target, event.submitter);
          document.documentElement.dataset.sent = [...sent.keys()];
        })"""
    )
    slow_line(page)
    widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
    save(page)
    page.get_by_text("Saved.").wait_for()
    sent = page.evaluate("document.documentElement.dataset.sent").split(",")
    assert {"save", "file-receipt", "word"} <= set(sent)


def test_events_of_an_upload(page: Page, samples: Path) -> None:
    widget = opened(page, "/pages/plain/")
    page.evaluate(
        """window.seen = [];
        for (const name of ["start", "progress", "error", "end"]) {
          const note = (event) => seen.push([name, event.detail.file.name]);
          addEventListener(`stored-object:${name}`, note);
        }"""
    )
    slow_line(page)
    widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
    widget.get_by_text("Uploaded; will be saved when you submit").wait_for()
    names = [name for name, _ in page.evaluate("seen")]
    assert (names[0], set(names[1:-1]), names[-1]) == ("start", {"progress"}, "end")
    assert {file for _, file in page.evaluate("seen")} == {"half a megabyte.bin"}


def test_an_error_that_the_page_shows_itself(page: Page, samples: Path) -> None:
    page.expected = ["413"]  # type: ignore[attr-defined]
    page.route("**/uploads/start", lambda route: route.fulfill(status=413, body="{}"))
    widget = opened(page, "/pages/plain/")
    page.evaluate("addEventListener('stored-object:error', (event) => event.preventDefault())")
    widget.locator("[data-input]").set_input_files(samples / "a.txt")
    widget.get_by_text("Not uploaded; submitting tries again").wait_for()
    assert widget.get_by_role("alert").inner_text() == ""
