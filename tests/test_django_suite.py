"""How ``scripts/django-suite`` compares two runs of Django's tests, and what its page lists."""

from __future__ import annotations

import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def suite() -> Any:
    path = str(ROOT / "scripts" / "django-suite")
    spec = spec_from_loader("django_suite", SourceFileLoader("django_suite", path))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PASSED, FAILED, SKIPPED = (
    ("passed", ""),
    ("failed", "Traceback\nValueError: no\n"),
    ("skipped", ""),
)


@pytest.mark.parametrize(
    ("ours", "pattern", "unlisted", "stale"),
    [
        ({"a.A.x": PASSED, "a.A.y": PASSED}, None, [], []),
        ({"a.A.x": FAILED, "a.A.y": PASSED}, None, ["a.A.x"], []),
        ({"a.A.x": SKIPPED, "a.A.y": PASSED}, None, ["a.A.x"], []),
        ({"a.A.y": PASSED}, None, ["a.A.x"], []),
        ({"a.A.x": FAILED, "a.A.y": PASSED}, "a.A.x", [], []),
        ({"a.A.x": FAILED, "a.A.y": FAILED}, "a.A.x", ["a.A.y"], []),
        ({"a.A.x": FAILED, "a.A.y": FAILED}, "a.A.*", [], []),
        ({"a.A.x": FAILED, "a.A.y": PASSED}, "a.A.*", [], ["a.A.*"]),
        ({"a.A.x": PASSED, "a.A.y": PASSED}, "a.A.x", [], ["a.A.x"]),
        ({"a.A.x": PASSED, "a.A.y": PASSED}, "a.A.removed", [], ["a.A.removed"]),
        ({"a.A.x": PASSED, "a.A.y": PASSED}, "a.A.broken", [], []),
    ],
)
def test_two_runs_are_compared(
    suite: Any, ours: dict[str, Any], pattern: str | None, unlisted: list[str], stale: list[str]
) -> None:
    broken = {"a.A.broken": FAILED, "a.A.skipped": SKIPPED}
    control = {"a.A.x": PASSED, "a.A.y": PASSED, **broken}
    text = f"| `{pattern}` | 5.2, 6.1 | A reason. |\n| `a.A.x` | 4.2 | Of another release. |"
    listed = suite.read_page(text if pattern else "")
    comparison = suite.compare(control, {**ours, **broken}, listed, "6.1")
    assert (comparison.passed, comparison.unlisted, comparison.stale) == (2, unlisted, stale)


def test_the_page_is_read_whole(suite: Any) -> None:
    text = suite.PAGE.read_text()
    tables = re.findall(r"^\| tests \|.+\n\|[-|]+\|\n((?:\|.+\n)+)", text, re.MULTILINE)
    assert len(tables) == 2
    rows = suite.read_page(text)
    assert len(rows) == sum(table.count("\n") for table in tables)
    assert {row.pattern.partition(".")[0] for row in rows} <= set(suite.FOLDERS)
    assert {release for row in rows for release in row.releases} == {"5.2", "6.1"}
