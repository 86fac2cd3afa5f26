"""Uploads beside what users and other scripts do to a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import LIGHT, contents, until
from tests.browser.test_direct import slow_line
from tests.browser.test_input import LIVE, labels, opened, save, saved
from tests.library.models import Paper, Shelf

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.usefixtures("site"),
    pytest.mark.parametrize("look", [LIGHT], ids=str),
]

UPLOADED = "Uploaded; will be saved when you submit"
ALL_UPLOADED = """[...document.querySelectorAll("[data-card]:not([data-removed])")].every(
  (card) => card.querySelector("[data-state]").textContent.startsWith("Uploaded"))"""
SENT = "[...new FormData(document.querySelector('form')).keys()]"


@pytest.fixture
def bins(tmp_path: Path) -> list[Path]:
    made = []
    for number in range(7):
        made.append(tmp_path / f"{number}.bin")
        made[-1].write_bytes(bytes([number]) * 300_000)
    return made


def remove(page: Page, name: str) -> None:
    page.get_by_role("button", name=f"Remove {name}").click()


class TestRemovedWhileItWaits:
    """Of four files, the last waits for its turn."""

    def test_while_a_submit_is_held(self, page: Page, bins: list[Path]) -> None:
        widget = opened(page, "/forms/direct shelf/")
        slow_line(page)
        widget.locator("[data-input]").set_input_files(bins[:4])
        save(page)
        remove(page, "3.bin")
        until(page, ALL_UPLOADED)
        until(page, "!document.querySelector('[data-drop]').inert")
        assert not Shelf.objects.exists()
        saved(page)
        assert [file.original_name for file in Shelf.objects.get().files] == [
            "0.bin",
            "1.bin",
            "2.bin",
        ]

    def test_the_next_file_has_its_turn(self, page: Page, bins: list[Path]) -> None:
        widget = opened(page, "/forms/direct shelf/")
        slow_line(page)
        widget.locator("[data-input]").set_input_files(bins[:6])
        for number in (3, 4, 5):
            remove(page, f"{number}.bin")
        widget.locator("[data-input]").set_input_files(bins[6])
        until(page, ALL_UPLOADED)
        assert labels(widget) == ["0.bin", "1.bin", "2.bin", "6.bin"]

    def test_the_page_can_be_left(self, page: Page, bins: list[Path]) -> None:
        dialogs: list[str] = []

        def accept(dialog: Any) -> None:
            dialogs.append(dialog.type)
            dialog.accept()

        page.on("dialog", accept)
        widget = opened(page, "/forms/direct shelf/")
        slow_line(page)
        widget.locator("[data-input]").set_input_files(bins[:4])
        remove(page, "3.bin")
        until(page, ALL_UPLOADED)
        saved(page)
        assert dialogs == []


class Endpoints:
    """Endpoints of uploads in three parts, which take note of what is asked."""

    def __init__(self, page: Page) -> None:
        self.log: list[str] = []
        self.hangs = True
        page.route("**/files/uploads/*", self._answer)
        page.route("**/files/part/**", self._put)

    def _answer(self, route: Any) -> None:
        verb = route.request.url.rsplit("/", 1)[-1]
        upload = route.request.post_data_json.get("upload")
        if verb == "start":
            upload = f"U{sum(line.startswith('start') for line in self.log)}"
        self.log.append(f"{verb} {upload}")
        parts = [
            {"number": number, "url": f"/files/part/{upload}/{number}", "size": 100_000}
            for number in (1, 2, 3)
        ]
        answers = {
            "start": {"upload": upload, "part_size": 100_000, "parts": parts},
            "status": {"finished": [], "parts": parts},
            "finish": {"receipt": f"receipt of {upload}"},
            "abort": {"aborted": True},
        }
        route.fulfill(body=json.dumps(answers[verb]))

    def _put(self, route: Any) -> None:
        if not self.hangs:
            route.fulfill(status=200, body="")

    @property
    def starts(self) -> int:
        return sum(line.startswith("start") for line in self.log)


class TestOneUploadForEachDestination:
    @pytest.fixture
    def endpoints(self, page: Page) -> Endpoints:
        page.on("dialog", lambda dialog: dialog.accept())
        return Endpoints(page)

    def begin(self, page: Page, path: Path) -> None:
        widget = opened(page, "/forms/choosy/")
        page.get_by_label("Storage").select_option("default")
        with page.expect_request("**/files/part/**"):
            widget.locator("[data-input]").set_input_files(path)

    def test_after_a_reload(self, page: Page, bins: list[Path], endpoints: Endpoints) -> None:
        self.begin(page, bins[0])
        page.reload()
        page.wait_for_selector(LIVE)
        endpoints.hangs = False
        page.get_by_label("Storage").select_option("second")
        page.locator("[data-input]").set_input_files(bins[0])
        page.get_by_text(UPLOADED).wait_for()
        assert endpoints.log == ["start U0", "start U1", "finish U1"]

    def test_while_it_is_uploaded(
        self, page: Page, bins: list[Path], endpoints: Endpoints
    ) -> None:
        self.begin(page, bins[0])
        endpoints.hangs = False
        with page.expect_response("**/abort"):
            page.get_by_label("Storage").select_option("second")
        page.get_by_text(UPLOADED).wait_for()
        assert endpoints.starts == 2
        assert "abort U0" in endpoints.log
        assert page.locator("[name=file-receipt]").input_value() == "receipt of U1"

    def test_the_same_file_twice(self, page: Page, bins: list[Path], endpoints: Endpoints) -> None:
        widget = opened(page, "/forms/direct shelf/")
        with page.expect_request("**/files/part/**"):
            widget.locator("[data-input]").set_input_files(bins[0])
        endpoints.hangs = False
        widget.locator("[data-input]").set_input_files(bins[0])
        page.get_by_text(UPLOADED).wait_for()
        assert endpoints.starts == 2

    def test_expired_urls_are_renewed_together(self, page: Page, bins: list[Path]) -> None:
        page.expected = ["403"]  # type: ignore[attr-defined]
        counts = {"status": 0, "refused": 0, "stored": 0}

        def answer(route: Any) -> None:
            verb = route.request.url.rsplit("/", 1)[-1]
            counts["status"] += verb == "status"
            age = "new" if verb == "status" else "old"
            parts = [
                {"number": number, "url": f"/files/part/{age}/{number}", "size": 25_000}
                for number in range(1, 13)
            ]
            plan = {"upload": "U", "part_size": 25_000, "parts": parts, "finished": []}
            route.fulfill(body=json.dumps({"receipt": "R"} if verb == "finish" else plan))

        def put(route: Any) -> None:
            is_old = "/old/" in route.request.url
            counts["refused" if is_old else "stored"] += 1
            route.fulfill(status=403 if is_old else 200, body="")

        page.route("**/files/uploads/*", answer)
        page.route("**/files/part/**", put)
        widget = opened(page, "/forms/direct/")
        widget.locator("[data-input]").set_input_files(bins[0])
        page.get_by_text(UPLOADED).wait_for()
        # once for each of those that were sent in parallel
        assert counts["stored"] == 12
        assert counts["refused"] == counts["status"] <= 3


def test_an_input_outside_of_its_form(page: Page, samples: Path) -> None:
    widget = opened(page, "/forms/outside/")
    widget.locator("[data-input]").set_input_files(samples / "a.txt")
    widget.get_by_text(UPLOADED).wait_for()
    save(page)
    page.get_by_text("Saved.").wait_for()
    assert Paper.objects.get().file.get_content() == b"This is a.txt."


@pytest.mark.parametrize("kind", ["paper", "direct"])
def test_chosen_before_the_script_is_there(page: Page, samples: Path, kind: str) -> None:
    waiting: list[Any] = []

    def wait(route: Any) -> None:
        if waiting:  # of the next page
            route.continue_()
        else:
            waiting.append(route)

    page.route("**/stored-object*.js", wait)
    page.goto(f"/forms/{kind}/", wait_until="commit")
    page.locator("[data-input]").set_input_files(samples / "a.txt")
    until(page, "document.querySelector('[data-input]').files.length")
    waiting[0].continue_()
    page.wait_for_selector(LIVE)
    assert labels(page.locator(LIVE)) == ["a.txt"]
    saved(page)
    assert Paper.objects.get().file.get_content() == b"This is a.txt."


class TestOtherScripts:
    def test_copy_an_input(self, page: Page, samples: Path) -> None:
        widget = opened(page, "/pages/plain/")
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        widget.get_by_text(UPLOADED).wait_for()
        page.evaluate(
            """{
              const input = document.querySelector("stored-object-input");
              input.replaceWith(input.cloneNode(true));
            }"""
        )
        page.wait_for_selector(f"{LIVE}:not(:has([data-card]))")
        assert "file-receipt" not in page.evaluate(SENT)

    def test_take_a_card_away(self, page: Page, samples: Path) -> None:
        widget = opened(page, "/pages/plain/")
        slow_line(page)
        widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
        until(page, "document.querySelector('progress').value > 0.1")
        page.evaluate("document.querySelector('[data-card]').remove()")
        page.evaluate(f"document.querySelector('{LIVE}').classList.remove('is-live')")
        widget = page.locator("stored-object-input")
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        save(page)
        page.get_by_text("Saved.").wait_for()
        assert Paper.objects.get().file.get_content() == b"This is a.txt."

    def test_set_the_control(self, page: Page, samples: Path) -> None:
        widget = opened(page, "/forms/choosy/")
        page.get_by_label("Storage").select_option("default")
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        page.get_by_text(UPLOADED).wait_for()
        page.evaluate("document.querySelector('[name=storage]').value = 'second'")
        saved(page)
        assert Paper.objects.get().file.backend == "second"

    def test_disable_the_button(self, page: Page, samples: Path) -> None:
        widget = opened(page, "/pages/plain/")
        page.evaluate(
            """document.querySelector("[name=save]").addEventListener("click", (event) => {
              setTimeout(() => { event.target.disabled = true; });
            })"""
        )
        slow_line(page)
        widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
        with page.expect_request(lambda r: r.method == "POST" and "/pages/" in r.url) as request:
            page.locator("[name=save]").click()
        assert 'name="save"' in (request.value.post_data_buffer or b"").decode("latin1")


def test_a_checkbox_that_is_not_checked(page: Page, samples: Path) -> None:
    widget = opened(page, "/forms/checkbox/")
    widget.locator("[data-input]").set_input_files(samples / "a.txt")
    widget.get_by_text("Will be uploaded when you submit").wait_for()
    saved(page)
    assert Paper.objects.get().file.backend == "default"


class TestReset:
    def test_the_order_is_that_of_the_cards(self, page: Page) -> None:
        row = Shelf.objects.create(files=contents("a.txt", "b.txt"))
        widget = opened(page, f"/forms/shelf/{row.pk}/")
        widget.get_by_role("button", name="Move up: b.txt").click()
        page.evaluate("document.querySelector('form').reset()")
        shown = labels(widget)
        saved(page)
        row.refresh_from_db()
        assert [file.original_name for file in row.files] == shown

    def test_that_the_page_prevents(self, page: Page, samples: Path) -> None:
        widget = opened(page, "/forms/paper/")
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        page.evaluate(
            """{
              const form = document.querySelector("form");
              form.addEventListener("reset", (event) => event.preventDefault());
              form.reset();
            }"""
        )
        page.wait_for_timeout(100)
        assert labels(widget) == ["a.txt"]


def test_a_form_without_a_token(page: Page, samples: Path) -> None:
    """The token comes from the cookie, as where it is sent in a header."""
    widget = opened(page, "/forms/direct/?without-token")
    widget.locator("[data-input]").set_input_files(samples / "a.txt")
    widget.get_by_text(UPLOADED).wait_for()


def test_a_page_that_is_too_old(page: Page, samples: Path) -> None:
    page.expected = ["410"]  # type: ignore[attr-defined]
    page.route("**/uploads/start", lambda route: route.fulfill(status=410, body="{}"))
    widget = opened(page, "/forms/direct/")
    widget.locator("[data-input]").set_input_files(samples / "a.txt")
    widget.get_by_text("this page is too old").wait_for()


def test_a_second_click_sends_nothing(page: Page, samples: Path) -> None:
    widget = opened(page, "/forms/direct/")
    slow_line(page)
    posts: list[str] = []
    page.on(
        "request", lambda r: posts.extend([r.url] * (r.method == "POST" and "/forms/" in r.url))
    )
    widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
    page.evaluate(
        """addEventListener("submit", () => {
          setTimeout(() => document.querySelector("[name=save]").click(), 20);
        }, { once: true })"""
    )
    save(page)
    page.get_by_text("Saved.").wait_for()
    assert (len(posts), Paper.objects.count()) == (1, 1)


def test_each_start_has_an_end(page: Page, bins: list[Path]) -> None:
    widget = opened(page, "/forms/choosy/")
    page.evaluate(
        """window.seen = [];
        for (const name of ["start", "end"]) {
          addEventListener(`stored-object:${name}`, () => seen.push(name));
        }"""
    )
    slow_line(page)
    page.get_by_label("Storage").select_option("default")
    widget.locator("[data-input]").set_input_files(bins[0])
    page.get_by_label("Storage").select_option("second")
    page.get_by_text(UPLOADED).wait_for()
    until(page, "seen.length === 4")
    assert sorted(page.evaluate("seen")) == ["end", "end", "start", "start"]
