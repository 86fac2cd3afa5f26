"""docs/explanation/architecture.md agrees with the code: the picture, the files, the calls."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

import django_fsspec
from django_fsspec.testing import override_storage
from testproject.models import Document

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(django_fsspec.__file__).parent
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()


def section(title: str) -> str:
    """Return the text below a heading, up to the next one."""
    return re.split(r"^## ", PAGE.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def files_named(text: str) -> set[str]:
    return set(re.findall(r"`([\w/]+\.py)`", text))


def files_called(function: Callable[[], object]) -> set[str]:
    """Return the files of django_fsspec with a function that a call ran in this thread."""
    called: set[str] = set()

    def profile(frame: FrameType, event: str, argument: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(PACKAGE):
            called.add(str(file.relative_to(PACKAGE)))

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
    return called


@pytest.mark.slow
@pytest.mark.once
def test_the_picture_shows_the_imports_of_today() -> None:
    drawn = subprocess.run(
        [sys.executable, "scripts/architecture"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    committed = (ROOT / "docs" / "images" / "architecture.svg").read_text()
    assert drawn.stdout == committed, "Run `make architecture`."


def test_every_file_that_the_page_names_exists() -> None:
    assert {name for name in files_named(PAGE) if not (PACKAGE / name).exists()} == set()


def test_every_package_and_module_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`.+?) \|", section("Packages and modules"), re.MULTILINE)
    listed = sorted(name for row in rows for name in re.findall(r"`(\w+)`", row))
    units = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    units |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert listed == sorted(units)


def test_one_save_runs_the_files_that_the_page_lists(tmp_path: Path) -> None:
    steps = re.findall(
        r"^\d+\. `([\w/]+\.py)`", section("One storage.save(), file by file"), re.MULTILINE
    )
    with override_storage(default={"fs": "file", "prefix": str(tmp_path)}):
        default_storage.save("first.txt", ContentFile(b"1"))
        called = files_called(lambda: default_storage.save("second.txt", ContentFile(b"2")))
    assert called == set(steps)


@pytest.mark.django_db(transaction=True)
def test_one_row_save_runs_the_files_that_the_page_lists(tmp_path: Path) -> None:
    def insert() -> None:
        document.file = ContentFile(b"1", name="may.txt")
        document.save()

    def update() -> None:
        document.file = ContentFile(b"2", name="may.txt")
        document.save()

    document = Document(title="May")
    listed = files_named(section("One row save, file by file")) - {"objects/bulk.py"}
    with override_storage(default={"fs": "file", "prefix": str(tmp_path)}):
        assert listed <= files_called(insert) | files_called(update)
