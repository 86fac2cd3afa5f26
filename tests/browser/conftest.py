"""A real browser, a live server, and the eyes of axe."""

from __future__ import annotations

import json
import os
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.test.signals import setting_changed

from testproject import seed
from testproject.pictures import dunes, emblem, triangles

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page
    from pytest_django import Settings
    from pytest_django.live_server_helper import LiveServer

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Look(NamedTuple):
    """How a page is looked at."""

    theme: str
    width: int

    def __str__(self) -> str:
        return f"{self.theme}-{self.width}"


LIGHT, DARK, PHONE = Look("light", 1100), Look("dark", 1100), Look("light", 390)
DARK_PHONE = Look("dark", 390)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have what judges by the eye look twice, the rest once; `make soak` has all looks of all."""
    names = metafunc.fixturenames
    marks = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    given = [name for mark in marks for name in ([mark] if isinstance(mark, str) else mark)]
    if "look" not in names or "look" in given:
        return
    # the first two are both themes and both widths
    looks = [LIGHT, DARK_PHONE, DARK, PHONE]
    chosen = zlib.crc32(metafunc.function.__qualname__.encode()) % len(looks)
    judges = not {"sees", "fits"}.isdisjoint(names)
    chosen = -1 if judges else chosen
    params = [
        pytest.param(
            look, marks=[] if number == chosen or (judges and number < 2) else pytest.mark.soak
        )
        for number, look in enumerate(looks)
    ]
    metafunc.parametrize("look", params, ids=str)


@pytest.fixture(scope="session")
def chromium(live_server: LiveServer) -> Iterator[Browser]:
    # the shell has no browser around the page, which takes more than half of the time
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is missing: apt-get install chromium-headless-shell")
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    # playwright's sync API runs a loop in the test's thread; no coroutine of ours is in it
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def live_server(live_server: LiveServer) -> Iterator[LiveServer]:
    """The live server with the middleware of the test: it loads it but once by itself."""
    handlers: list[Any] = [live_server.thread.httpd.get_app()]
    while hasattr(handlers[-1], "application"):
        handlers.append(handlers[-1].application)

    def load(*, setting: str, **_: Any) -> None:
        if setting == "MIDDLEWARE":
            # without a MEDIA_URL the one for media answers all
            for handler in handlers:
                handler.load_middleware()

    setting_changed.connect(load)
    yield live_server
    setting_changed.disconnect(load)
    # they close the connection of the tests, which stops being theirs with the server
    _wait_for_requests()


def _wait_for_requests() -> None:
    for thread in threading.enumerate():
        if thread.name.endswith("(process_request_thread)"):
            thread.join(5)


@pytest.fixture
def context(chromium: Browser, look: Look, live_server: LiveServer) -> Iterator[BrowserContext]:
    made = chromium.new_context(
        base_url=live_server.url,
        color_scheme="dark" if look.theme == "dark" else "light",
        viewport={"width": look.width, "height": 800},
        reduced_motion="reduce",
    )
    made.set_default_timeout(10_000)

    def none(route: Any) -> None:
        route.fulfill(status=204)

    made.route("**/favicon.ico", none)
    yield made
    made.close()


def until(page: Page, expression: str) -> None:
    """Wait until JavaScript says yes, asked by the debugger: policies forbid `eval()`."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"It never came to this: {expression}")


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which nothing may go wrong unseen."""
    made = context.new_page()
    troubles: list[str] = []

    def broke(error: Any) -> None:
        troubles.append(str(error))

    def said(message: Any) -> None:
        # what the debugger runs (axe) has no address, and the page's policy is not for it
        ours = bool(message.location["url"]) or not message.text.startswith(
            "Applying inline style"
        )
        troubles.extend([message.text] * (message.type == "error" and ours))

    made.on("pageerror", broke)
    made.on("console", said)
    made.expected = []  # type: ignore[attr-defined]
    yield made
    expected = made.expected  # type: ignore[attr-defined]
    left = [one for one in troubles if not any(text in one for text in expected)]
    assert left == []


@pytest.fixture
def site(settings: Settings, tmp_path: Path, transactional_db: None) -> Iterator[Path]:
    """The strict site, its files on the disk; return where they lie."""
    settings.ROOT_URLCONF = "tests.browser.pages"
    settings.MIDDLEWARE = [
        "tests.browser.pages.StrictPolicy",
        *django_settings.MIDDLEWARE,
        "django_fsspec.middleware.UploadsMiddleware",
    ]
    settings.STORAGES = {
        "default": local(tmp_path / "files"),
        "second": local(tmp_path / "second"),
        "staticfiles": django_settings.STORAGES["staticfiles"],
    }
    yield tmp_path / "files"
    # what a page asked for last must not read tables that are being emptied
    _wait_for_requests()


@pytest.fixture
def demo(settings: Settings, tmp_path: Path, transactional_db: None) -> None:
    """The demo with its samples, two folders for its storages."""
    settings.STORAGES = {
        "default": local(tmp_path / "media", label="Local disk"),
        "s3": local(tmp_path / "bucket", label="S3"),
        "staticfiles": django_settings.STORAGES["staticfiles"],
    }
    seed.seed_rows()


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    given = request.config.getoption("--screenshots")
    made = Path(given) if given else tmp_path / "shots"
    made.mkdir(exist_ok=True)
    return made


def local(folder: Path, **more: str) -> dict[str, Any]:
    options = {"fs": "file", "prefix": str(folder), **more}
    return {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}


@pytest.fixture
def logged_in(context: BrowserContext, live_server: LiveServer, admin_client: Any) -> None:
    """Gives the browser the session of an admin."""
    name = django_settings.SESSION_COOKIE_NAME
    value = admin_client.cookies[name].value
    context.add_cookies([{"name": name, "value": value, "url": live_server.url}])


@pytest.fixture
def sees(page: Page) -> Callable[..., None]:
    """Have axe look at the page, as it is now."""
    source = (ROOT / "node_modules/axe-core/axe.min.js").read_text()

    def look_at(*selectors: str) -> None:
        # by the debugger, not as a script of the page: its policy would refuse it
        page.evaluate(source)
        include = json.dumps(list(selectors)) if selectors else "document"
        found = page.evaluate(f"axe.run({include}, {{resultTypes: ['violations']}})")
        said = [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]
        assert said == []

    return look_at


@pytest.fixture
def fits(page: Page) -> Callable[[], None]:
    """Nothing sticks out of the page."""

    def check() -> None:
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"The page is {wide} pixels too wide."

    return check


PICTURES = {"dunes.jpg": dunes, "emblem.png": emblem, "triangles.jpg": triangles}


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files to choose from."""
    folder = tmp_path_factory.mktemp("samples")
    for name, made in PICTURES.items():
        (folder / name).write_bytes(made())
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).write_text(f"This is {name}.")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "large.jpg").write_bytes(dunes() + bytes(150_000))
    (folder / "\u202egnp.txt").write_bytes(b"1")
    (folder / "<script>alert(1)<script>.txt").write_bytes(b"1")
    (folder / "%%%").write_bytes(b"1")
    (folder / ("n" * 250 + ".txt")).write_bytes(b"1")
    (folder / "half a megabyte.bin").write_bytes(bytes(500_000))
    (folder / "lies.jpg").write_bytes(b"<!doctype html><script>alert(1)</script>")
    return folder


def contents(*names: str) -> list[ContentFile[Any]]:
    return [ContentFile(f"This is {name}.".encode(), name=name) for name in names]
