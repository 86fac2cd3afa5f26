"""The tutorial, typed from an empty directory: files, commands, and what the pages show."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tests.browser.conftest import LIGHT, ROOT, Look

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.once, pytest.mark.timeout(300)]

TUTORIAL = ROOT / "docs" / "tutorial.md"
_STEP = re.compile(r"^## (\d)\. .+?$\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```([\w+]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:#|<!--) ([\w/.]+)(, at the end)?")
#: the environment is that of the tests: these would need a network
INSTALLED = [
    "python -m venv .venv && . .venv/bin/activate",
    "pip install -e '../django-fsspec-storage[s3]' 'moto[server]'",
    ". .venv/bin/activate",
]
DOCTEST = """
import doctest
example = doctest.DocTestParser().get_doctest(text.replace("…", "..."), {}, "tutorial", None, 0)
failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed
raise SystemExit(failed)
"""
SERVERS = ("python manage.py runserver", "moto_server ")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Typist:
    """Types what the tutorial says into files and a shell, on ports that are free."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site, self.s3 = free_port(), free_port()
        text = TUTORIAL.read_text().replace(":8000", f":{self.site}")
        text = text.replace(":5005", f":{self.s3}").replace("-p 5005", f"-p {self.s3}")
        self.steps = {int(number): step for number, step in _STEP.findall(text)}
        self.seconds: dict[int, float] = {}
        self.servers: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        # the project has settings of its own
        del self.environment["DJANGO_SETTINGS_MODULE"]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.site}/"

    def type(self, number: int) -> str:
        """Do a step; return what its commands printed."""
        start = time.monotonic()
        printed = ""
        for language, code in _BLOCK.findall(self.steps[number]):
            if language == "sh":
                printed += self.enter(code)
            elif language == "text":
                assert_printed(code, printed)
            elif language == "pycon":
                self.run("python", "manage.py", "shell", "-c", f"text = {code!r}\n{DOCTEST}")
            else:
                self.write(code)
        self.restart()
        self.seconds[number] = time.monotonic() - start
        return printed

    def enter(self, code: str) -> str:
        lines = [line for line in code.splitlines() if line not in INSTALLED]
        if lines[0].startswith(SERVERS):
            assert len(lines) == 1
            self.start(lines[0])
            return ""
        if lines[0] == "mkdir archive && cd archive":
            self.folder /= "archive"
            self.folder.mkdir()
            del lines[0]
        return self.run("sh", "-e", "-c", "\n".join(lines))

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}"
        return done.stdout

    def write(self, code: str) -> None:
        first, _, rest = code.partition("\n")
        named = _FILE.match(first)
        assert named is not None, f"Which file is this?\n{code}"
        path = self.folder / named[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.read_text()}\n{rest}" if named[2] else rest)

    def start(self, line: str) -> None:
        """Start a server, and wait until it answers."""
        port = self.s3 if line.startswith("moto") else self.site
        options = "" if line.startswith("moto") else f" --noreload {port}"
        self.servers[line] = subprocess.Popen(
            f"exec {line}{options}",
            shell=True,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        pytest.fail(f"{line} does not answer")

    def restart(self) -> None:
        """Restart the site, as `runserver` does for a reader after each change."""
        line = SERVERS[0]
        if line in self.servers:
            self.stop(line)
            self.start(line)

    def stop(self, line: str) -> None:
        server = self.servers.pop(line)
        server.terminate()
        server.wait(10)


def assert_printed(wanted: str, printed: str) -> None:
    """Compare what was printed with the tutorial: "…" is anything, times and space differ."""
    pattern = re.escape(" ".join(wanted.split()))
    pattern = re.sub(r"\d+\\\.\d\\ (ms|s)\b", r"[\\d.]+\\ \1", pattern).replace("…", ".*")
    assert re.search(pattern, " ".join(printed.split())), f"{wanted}\n---\n{printed}"


@pytest.fixture
def typist(tmp_path: Path) -> Iterator[Typist]:
    made = Typist(tmp_path)
    yield made
    for line in list(made.servers):
        made.stop(line)


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_every_step(page: Page, look: Look, typist: Typist, tmp_path: Path) -> None:
    site = typist.address
    for number in (1, 2, 3, 4):
        typist.type(number)

    page.goto(f"{site}admin/documents/document/add/")
    page.fill("[name=username]", "ada")
    page.fill("[name=password]", "correct-horse")
    page.click("[type=submit]")
    save(page, "[name=_save]", "First", tmp_path)
    row = page.locator("#result_list tbody tr").inner_text()
    assert re.search(r"First.*5.bytes.*default", row, re.DOTALL), row
    assert len(list((typist.folder / "media" / "documents").rglob("*.txt"))) == 1

    typist.type(5)
    page.goto(f"{site}add/")
    save(page, "form > button", "Second", tmp_path)
    assert listed(page) == [("First", "default"), ("Second", "default")]
    assert downloads(page) == {"First.txt": b"First", "Second.txt": b"Second"}
    assert "/admin/login/" in urlopen(f"{site}1/download/").url

    typist.type(6)
    page.goto(f"{site}add/")
    save(page, "form > button", "Third", tmp_path)
    assert listed(page) == [("First", "default"), ("Second", "default"), ("Third", "s3")]
    assert len(downloads(page)) == 3

    printed = typist.type(7)
    page.goto(site)
    assert listed(page) == [("First", "s3"), ("Second", "s3"), ("Third", "s3")]
    assert downloads(page)["First.txt"] == b"First"
    assert "orphans: 2" in printed

    typist.type(8)
    assert sorted(typist.steps) == sorted(typist.seconds)
    print("\ntutorial, seconds a step:", {n: round(s, 1) for n, s in typist.seconds.items()})


def save(page: Page, button: str, title: str, folder: Path) -> None:
    file = folder / f"{title}.txt"
    file.write_text(title)
    page.fill("[name=title]", title)
    page.set_input_files("[name=file]", file)
    page.click(button)
    page.wait_for_url(lambda url: not url.endswith("/add/"))


def listed(page: Page) -> list[tuple[str, str]]:
    """Return the titles of the list, and the storage of each."""
    found = page.locator("li").all_inner_texts()
    return sorted((line.split()[0], line.split()[-1]) for line in found)


def downloads(page: Page) -> dict[str, bytes]:
    """Click all titles; return the names and contents of what is downloaded."""
    files = {}
    for link in page.locator("li a").all():
        with page.expect_download() as started:
            link.click()
        files[started.value.suggested_filename] = Path(started.value.path()).read_bytes()
    return files
