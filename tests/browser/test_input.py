"""The widget in a browser, under a policy that allows nothing inline."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from testproject.pictures import dunes
from tests.browser.conftest import DARK_PHONE, LIGHT, contents, until
from tests.browser.pages import POLICY
from tests.library.models import Paper, Photo, Shelf

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page
    from pytest_django.live_server_helper import LiveServer

pytestmark = pytest.mark.usefixtures("site")

LIVE = ".stored-object.is-live"


def opened(page: Page, path: str) -> Locator:
    """Return the widget of a page, once its script is there."""
    page.goto(path)
    page.wait_for_selector(LIVE)
    return page.locator(LIVE).first


def labels(widget: Locator) -> list[str]:
    """Return the names of the files that are not removed."""
    cards = widget.locator("[data-card]:not([data-removed])")
    return [card.get_attribute("data-label") or "" for card in cards.all()]


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def saved(page: Page) -> None:
    # the page before may say so too
    page.evaluate("document.documentElement.dataset.before = ''")
    save(page)
    page.locator("html:not([data-before])").get_by_text("Saved.").wait_for()
    page.wait_for_selector(LIVE)


def drop(target: Locator, *names: str, data: str = "dropped") -> None:
    """Drop files, as a person does who drags them from a folder."""
    script = """([names, data]) => {
      const carried = new DataTransfer();
      for (const name of names) carried.items.add(new File([data], name, { type: "text/plain" }));
      return carried;
    }"""
    carried = target.page.evaluate_handle(script, [list(names), data])
    for event in ("dragenter", "dragover", "drop"):
        target.dispatch_event(event, {"dataTransfer": carried})


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_the_policy_is_in_force(page: Page) -> None:
    answer = page.goto("/forms/paper/")
    assert answer is not None
    assert answer.headers["content-security-policy"] == POLICY


class TestOne:
    def test_chosen_saved_shown_replaced_cleared(
        self, page: Page, samples: Path, sees: Callable[..., None], fits: Callable[[], None]
    ) -> None:
        widget = opened(page, "/forms/paper/")
        sees()
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        assert labels(widget) == ["a.txt"]
        assert "Will be uploaded when you submit" in widget.inner_text()
        sees()
        saved(page)
        card = page.locator('[data-card="stored"]')
        assert "a.txt" in card.inner_text()
        assert re.search(r"14\s+bytes", card.inner_text())
        assert "Text" in card.inner_text()
        assert "default" in card.inner_text()
        assert Paper.objects.get().file.get_content() == b"This is a.txt."
        sees()
        fits()
        widget = page.locator(LIVE)
        widget.locator("[data-input]").set_input_files(samples / "b.txt")
        assert widget.get_by_text("Will be replaced").is_visible()
        assert widget.get_by_role("button", name="a.txt").count() == 0
        saved(page)
        assert Paper.objects.get().file.original_name == "b.txt"
        page.get_by_role("button", name="Remove b.txt").click()
        saved(page)
        assert Paper.objects.get().file is None
        assert page.locator("[data-card]").count() == 0

    def test_open_and_download(self, page: Page) -> None:
        paper = Paper.objects.create(file=ContentFile(b"Hello there", name="Grüße 1.txt"))
        widget = opened(page, f"/forms/paper/{paper.pk}/")
        with page.expect_popup() as popup:
            widget.get_by_role("link", name="Open").click()
        assert popup.value.locator("body").inner_text() == "Hello there"
        with page.expect_download() as download:
            widget.get_by_role("link", name="Download").click()
        assert download.value.suggested_filename == "Grüße 1.txt"
        assert Path(download.value.path()).read_bytes() == b"Hello there"

    def test_a_thumbnail_or_an_icon(self, page: Page, samples: Path) -> None:
        photo = Photo.objects.create(image=ContentFile(dunes(), name="dunes.jpg"))
        widget = opened(page, f"/forms/photo/{photo.pk}/")
        shown = "document.querySelector('[data-thumbnail]').naturalWidth"
        until(page, f"{shown} > 0")
        assert page.evaluate(shown) == photo.image.width
        assert widget.locator("[data-card] [data-remove]").count() == 0
        widget.locator("[data-input]").set_input_files(samples / "emblem.png")
        page.wait_for_selector('[data-card="new"] canvas')
        paper = Paper.objects.create(file=ContentFile(b"1", name="a.zip"))
        widget = opened(page, f"/forms/paper/{paper.pk}/")
        assert widget.locator('[data-card="stored"] [data-icon="archive"]').is_visible()

    def test_a_picture_that_is_gone_leaves_its_icon(self, page: Page, site: Path) -> None:
        photo = Photo.objects.create(image=ContentFile(dunes(), name="dunes.jpg"))
        (site / photo.image.name).unlink()
        page.expected = ["404"]  # type: ignore[attr-defined]
        opened(page, f"/forms/photo/{photo.pk}/")
        until(page, "!document.querySelector('[data-thumbnail]')")
        assert page.locator('[data-card="stored"] [data-icon="image"]').is_visible()

    def test_dropped(self, page: Page) -> None:
        widget = opened(page, "/forms/paper/")
        drop(widget, "dropped.txt")
        assert labels(widget) == ["dropped.txt"]
        saved(page)
        assert Paper.objects.get().file.get_content() == b"dropped"

    def test_taken_out_before_it_is_sent(self, page: Page, samples: Path) -> None:
        widget = opened(page, "/forms/paper/")
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        widget.get_by_role("button", name="Remove a.txt").click()
        assert labels(widget) == []
        assert widget.get_by_text("Removed; will not be saved").is_visible()
        # the same control, and still at hand
        assert page.evaluate("document.activeElement.textContent.trim()") == "RemoveUndo a.txt"
        saved(page)
        assert Paper.objects.get().file is None

    def test_taken_out_and_put_back(
        self, page: Page, samples: Path, sees: Callable[..., None]
    ) -> None:
        row = Paper.objects.create(file=contents("a.txt")[0])
        widget = opened(page, f"/forms/paper/{row.pk}/")
        widget.get_by_role("button", name="Remove a.txt").click()
        assert labels(widget) == []
        sees()
        widget.locator("[data-input]").set_input_files(samples / "b.txt")
        # the new one replaces the old: to remove it is no question
        assert widget.get_by_role("button", name="a.txt").count() == 0
        for name in ("Remove b.txt", "Undo b.txt", "Remove b.txt"):
            widget.get_by_role("button", name=name).click()
        assert labels(widget) == ["a.txt"]
        saved(page)
        row.refresh_from_db()
        assert row.file.original_name == "a.txt"

    def test_kept_when_something_else_is_wrong(
        self, page: Page, samples: Path, sees: Callable[..., None]
    ) -> None:
        widget = opened(page, "/forms/paper/")
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        page.get_by_label("Word").fill("wrong")
        save(page)
        page.get_by_text("That is not the right word.").wait_for()
        page.wait_for_selector(LIVE)
        assert labels(page.locator(LIVE)) == ["a.txt"]
        assert page.locator('[data-card="uploaded"]').is_visible()
        sees()
        page.get_by_label("Word").fill("right")
        saved(page)
        assert Paper.objects.get().file.get_content() == b"This is a.txt."


class TestRefusedBeforeItIsSent:
    @pytest.mark.parametrize("look", [LIGHT], ids=str)
    def test_with_a_reason(self, page: Page, samples: Path) -> None:
        sent: list[str] = []

        def note(request: Any) -> None:
            sent.append(request.method)

        page.on("request", note)
        for kind, name, said in (
            ("photo", "large.jpg", "at most 97.7\xa0KB are allowed"),
            ("photo", "a.txt", "not of an allowed type (images)"),
            ("paper", "empty.txt", "is empty"),
            ("paper", "\u202egnp.txt", "characters that are not allowed"),
        ):
            widget = opened(page, f"/forms/{kind}/")
            widget.locator("[data-input]").set_input_files(samples / name)
            alert = widget.get_by_role("alert").inner_text()
            assert said in alert
            assert "\u202e" not in alert
            assert labels(widget) == []
        assert "POST" not in sent

    @pytest.mark.parametrize("look", [LIGHT], ids=str)
    def test_a_name_of_300_characters(self, page: Page) -> None:
        widget = opened(page, "/forms/paper/")
        drop(widget, "n" * 300 + ".txt")
        assert "longer than 255 characters" in widget.get_by_role("alert").inner_text()
        assert labels(widget) == []

    @pytest.mark.parametrize("look", [DARK_PHONE], ids=str)
    def test_the_good_ones_stay(
        self, page: Page, samples: Path, sees: Callable[..., None], fits: Callable[[], None]
    ) -> None:
        widget = opened(page, "/forms/shelf/")
        names = ["a.txt", "empty.txt", "n" * 250 + ".txt"]
        widget.locator("[data-input]").set_input_files([samples / name for name in names])
        assert labels(widget) == ["a.txt", names[2]]
        assert "is empty" in widget.get_by_role("alert").inner_text()
        sees()
        fits()


@pytest.mark.parametrize("look", [LIGHT], ids=str)
class TestRefusedByTheServer:
    def test_what_only_bytes_tell(self, page: Page, samples: Path, site: Path) -> None:
        widget = opened(page, "/forms/photo/")
        widget.locator("[data-input]").set_input_files(samples / "lies.jpg")
        save(page)
        page.get_by_text("its content is text/html").wait_for()
        assert page.locator(".errorlist li").count() == 1
        assert not Photo.objects.exists()
        assert not [path for path in site.rglob("*") if path.is_file()]

    def test_a_name_of_which_no_path_can_be_made(self, page: Page, samples: Path) -> None:
        widget = opened(page, "/forms/paper/")
        widget.locator("[data-input]").set_input_files(samples / "%%%")
        save(page)
        page.get_by_text("can't be stored under this name").wait_for()

    def test_markup_is_text(self, page: Page, samples: Path) -> None:
        widget = opened(page, "/forms/paper/")
        name = "<script>alert(1)<script>.txt"
        widget.locator("[data-input]").set_input_files(samples / name)
        assert labels(widget) == [name]
        saved(page)
        assert labels(page.locator(LIVE)) == [name]
        assert page.locator("main script").count() == 0


class TestSeveral:
    @pytest.fixture
    def shelf(self, site: Path) -> Shelf:
        return Shelf.objects.create(files=contents("a.txt", "b.txt", "c.txt"))

    @staticmethod
    def names(shelf: Shelf) -> list[str]:
        shelf.refresh_from_db()
        return [file.original_name for file in shelf.files]

    def test_moved_by_keyboard(
        self, page: Page, shelf: Shelf, sees: Callable[..., None], fits: Callable[[], None]
    ) -> None:
        widget = opened(page, f"/forms/shelf/{shelf.pk}/")
        sees()
        fits()
        down = widget.get_by_role("button", name="Move down: a.txt")
        down.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Space")
        assert labels(widget) == ["b.txt", "c.txt", "a.txt"]
        assert "a.txt is now number 3 of 3." in widget.get_by_role("status").inner_text()
        assert down.get_attribute("aria-disabled") == "true"
        assert page.evaluate("document.activeElement.dataset.move") == "1"
        saved(page)
        assert self.names(shelf) == ["b.txt", "c.txt", "a.txt"]

    def test_moved_by_dragging(self, page: Page, shelf: Shelf) -> None:
        widget = opened(page, f"/forms/shelf/{shelf.pk}/")
        cards = widget.locator("[data-card]")
        cards.nth(2).drag_to(
            cards.nth(0), source_position={"x": 20, "y": 40}, target_position={"x": 20, "y": 3}
        )
        assert labels(widget) == ["c.txt", "a.txt", "b.txt"]
        saved(page)
        assert self.names(shelf) == ["c.txt", "a.txt", "b.txt"]

    def test_new_ones_between_and_some_taken_out(
        self, page: Page, shelf: Shelf, samples: Path
    ) -> None:
        widget = opened(page, f"/forms/shelf/{shelf.pk}/")
        drop(widget, "x.txt", "y.txt", data="1")
        assert widget.get_by_text("1 byte", exact=True).count() == 2
        widget.locator("[data-input]").set_input_files(samples / "emblem.png")
        drop(widget, "z.txt")
        assert labels(widget)[3:] == ["x.txt", "y.txt", "emblem.png", "z.txt"]
        up = widget.get_by_role("button", name="Move up: y.txt")
        for _ in range(4):
            up.click()
        widget.get_by_role("button", name="Remove x.txt").click()
        for name in ("Remove b.txt", "Remove c.txt", "Undo c.txt"):
            widget.get_by_role("button", name=name).click()
        saved(page)
        assert self.names(shelf) == ["y.txt", "a.txt", "c.txt", "emblem.png", "z.txt"]

    def test_kept_when_something_else_is_wrong(
        self, page: Page, shelf: Shelf, sees: Callable[..., None]
    ) -> None:
        widget = opened(page, f"/forms/shelf/{shelf.pk}/")
        drop(widget, "x.txt", "y.txt")
        widget.get_by_role("button", name="Remove b.txt").click()
        page.get_by_label("Word").fill("wrong")
        save(page)
        page.get_by_text("That is not the right word.").wait_for()
        page.wait_for_selector(LIVE)
        widget = page.locator(LIVE)
        assert labels(widget) == ["a.txt", "c.txt", "x.txt", "y.txt"]
        assert widget.get_by_role("button", name="Undo b.txt").is_visible()
        widget.get_by_role("button", name="Remove x.txt").click()
        widget.get_by_role("button", name="Move up: y.txt").click()
        sees()
        page.get_by_label("Word").fill("right")
        saved(page)
        assert self.names(shelf) == ["a.txt", "c.txt", "y.txt"]


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_two_files_for_one_input(page: Page) -> None:
    widget = opened(page, "/forms/paper/")
    drop(widget, "a.txt", "b.txt")
    assert labels(widget) == ["b.txt"]
    alert = widget.get_by_role("alert").inner_text()
    assert alert == "Only one file fits here: “b.txt” was taken."


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_pasted(page: Page) -> None:
    widget = opened(page, "/forms/paper/")
    widget.evaluate(
        """(input) => {
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File(["pasted"], "pasted.txt", { type: "text/plain" }));
          const paste = new ClipboardEvent("paste", { clipboardData, bubbles: true });
          input.querySelector("[data-input]").dispatchEvent(paste);
        }"""
    )
    assert labels(widget) == ["pasted.txt"]
    saved(page)
    assert Paper.objects.get().file.get_content() == b"pasted"


def test_from_right_to_left(
    page: Page, site: Path, sees: Callable[..., None], fits: Callable[[], None]
) -> None:
    names = ("a.txt", "ملف.txt")
    shelf = Shelf.objects.create(files=contents(*names))
    widget = opened(page, f"/forms/shelf/{shelf.pk}/?rtl&language=ar")
    tile = widget.locator(".stored-object-tile").first.bounding_box()
    name = widget.locator(".stored-object-name").first.bounding_box()
    assert tile is not None
    assert name is not None
    assert tile["x"] > name["x"]
    fits()
    sees()


class TestWithoutScript:
    @pytest.fixture
    def page(self, chromium: Browser, live_server: LiveServer) -> Any:
        context = chromium.new_context(base_url=live_server.url, java_script_enabled=False)
        yield context.new_page()
        context.close()

    def test_one(self, page: Page, samples: Path) -> None:
        page.goto("/forms/paper/")
        page.locator("input[type=file]").set_input_files(samples / "a.txt")
        page.get_by_label("Word").fill("wrong")
        save(page)
        page.get_by_text("Uploaded; will be saved when you submit").wait_for()
        page.get_by_label("Word").fill("right")
        save(page)
        page.get_by_text("Saved.").wait_for()
        assert Paper.objects.get().file.get_content() == b"This is a.txt."
        page.get_by_label("Clear").check()
        save(page)
        page.get_by_text("Saved.").wait_for()
        assert Paper.objects.get().file is None

    def test_several(self, page: Page, samples: Path) -> None:
        shelf = Shelf.objects.create(files=contents("a.txt", "b.txt", "c.txt"))
        page.goto(f"/forms/shelf/{shelf.pk}/")
        assert not page.get_by_role("button", name="Move up").first.is_visible()
        page.get_by_label("Position a.txt").fill("9")
        page.get_by_label("Remove b.txt").check()
        page.locator("input[type=file]").set_input_files(samples / "emblem.png")
        save(page)
        page.get_by_text("Saved.").wait_for()
        shelf.refresh_from_db()
        names = [file.original_name for file in shelf.files]
        assert names == ["c.txt", "a.txt", "emblem.png"]


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_a_form_shown_by_its_own_bytes_is_not_asked_of_a_storage(page: Page, site: Path) -> None:
    shelf = Shelf.objects.create(files=contents(*(f"{number}.txt" for number in range(30))))
    asked: list[str] = []

    def note(request: Any) -> None:
        asked.extend([request.url] * ("/files/" in request.url))

    page.on("request", note)
    opened(page, f"/forms/shelf/{shelf.pk}/")
    assert asked == []
    assert storages["default"].exists(shelf.files[0].name)
