"""The animations of the documents: an upload and a migration as they run (`make screenshots`)."""

from __future__ import annotations

import io
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.utils.html import escape
from PIL import Image

from testproject.models import Document
from tests.browser.conftest import DARK, LIGHT, Look
from tests.browser.test_input import LIVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = [pytest.mark.usefixtures("demo", "logged_in"), pytest.mark.soak]

#: seconds between two frames at least, and of the last one
STEP, LAST = 0.1, 2.5


class Film:
    """Screenshots of a page, each shown as long as it took until the next one."""

    def __init__(self, page: Page, box: tuple[int, int]) -> None:
        self._page, self._box = page, box
        self._frames: list[tuple[float, Image.Image]] = []
        self._held = 0.0

    def take(self) -> None:
        """Take one frame."""
        width, height = self._box
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        began = time.monotonic() + self._held
        shot = self._page.screenshot(clip=clip)  # type: ignore[arg-type]
        self._frames.append((began, Image.open(io.BytesIO(shot)).convert("RGB")))

    def roll(self, goes_on: Callable[[], bool]) -> None:
        """Take frames as long as something goes on."""
        while goes_on():
            self.take()
            self._page.wait_for_timeout(STEP * 1000)
        self.take()

    def hold(self, seconds: float) -> None:
        """Show the last frame for so long."""
        self._held += seconds

    def save(self, path: Path) -> None:
        """Write an animated WebP that runs for ever."""
        times = [taken for taken, _ in self._frames]
        ends = [*times[1:], times[-1] + LAST]
        shown = [round((end - began) * 1000) for began, end in zip(times, ends, strict=True)]
        first, *rest = [image for _, image in self._frames]
        first.save(path, save_all=True, append_images=rest, duration=shown, loop=0, quality=80)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=str)
def test_an_upload(page: Page, look: Look, samples: Path, folder: Path) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    session.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": 150_000})
    page.set_viewport_size({"width": 760, "height": 560})
    page.goto("/documents/")
    page.wait_for_selector(LIVE)
    film = Film(page, (760, 560))
    film.take()
    film.hold(1)
    page.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
    page.get_by_role("button", name="Upload").click()
    film.roll(lambda: not page.get_by_text("Stored half").count())
    page.wait_for_selector(LIVE)
    film.take()
    film.save(folder / f"upload-{look.theme}.webp")
    assert Document.objects.latest("pk").file.original_name == "half a megabyte.bin"


TERMINAL = """
<style>
  body { margin: 0; background: %s }
  pre { margin: 0; padding: 16px; font: 14px/1.45 monospace; color: %s }
</style>
<pre></pre>
"""
COLOURS = {"light": ("#f6f8fa", "#1f2328"), "dark": ("#0d1117", "#e6edf3")}


class Terminal(io.StringIO):
    """What a terminal shows of a progress bar: it returns to the start of a line, or goes up."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self._lines = [f"$ {command}", ""]
        self._row = 1
        self._lock = threading.Lock()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            for part in re.findall(r"\x1b\[A|\r|\n|[^\x1b\r\n]+", text):
                self._put(part)
        return len(text)

    def _put(self, part: str) -> None:
        if part == "\x1b[A":
            self._row -= 1
        elif part == "\n":
            self._row += 1
            self._lines += [""] * (self._row + 1 - len(self._lines))
        elif part == "\r":
            self._lines[self._row] = ""
        else:
            self._lines[self._row] += part

    def shown(self) -> str:
        with self._lock:
            return "\n".join(self._lines)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=str)
def test_a_migration(
    page: Page, look: Look, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "86")
    Document.objects.bulk_create(
        [
            Document(title=f"Scan {number}", file=ContentFile(bytes(20_000), name=f"{number}.bin"))
            for number in range(6000)
        ]
    )
    terminal = Terminal(
        "python manage.py migrate_files --from default --to s3 testproject.Document"
    )
    monkeypatch.setattr("sys.stderr", terminal)
    page.set_viewport_size({"width": 760, "height": 270})
    page.set_content(TERMINAL % COLOURS[look.theme])

    def migrate() -> None:
        options = {"source": "default", "target": "s3", "workers": 2}
        call_command("migrate_files", "testproject.Document", **options, stdout=terminal)

    thread = threading.Thread(target=migrate)
    film = Film(page, (760, 270))
    show = "text => { document.querySelector('pre').innerHTML = text }"

    def runs() -> bool:
        is_alive = thread.is_alive()
        page.evaluate(show, escape(terminal.shown()))
        return is_alive

    runs()
    film.take()
    film.hold(1)
    thread.start()
    film.roll(runs)
    film.save(folder / f"migrate-files-{look.theme}.webp")
    assert "failed                           0" in terminal.shown()
