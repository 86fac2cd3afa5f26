"""What the documents say is held against the code."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from django_fsspec.options import OBJECT_OPTIONS
from django_fsspec.storage import FSSpecStorage
from tests import table, test_conformance
from tests.backends import BACKENDS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_table_covers_every_behaviour() -> None:
    behaviours = {
        name
        for name, member in inspect.getmembers(test_conformance, inspect.isfunction)
        if name.startswith("test_")
    }
    listed = [name for names in table.COLUMNS.values() for name in names]
    assert sorted(listed) == sorted(behaviours)


def test_the_readme_has_a_row_for_every_backend() -> None:
    made = README.split(table.BEGIN)[1].split(table.END)[0]
    rows = re.findall(r"^\| ([^|]+?) \|", made, re.MULTILINE)
    assert rows == ["backend", *(backend.name for backend in BACKENDS)]
    assert "✗" not in made


def test_every_option_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "reference" / "options.md").read_text()
    for name, parameter in inspect.signature(FSSpecStorage.__init__).parameters.items():
        if name in ("self", "unknown"):
            continue
        assert f"| `{name}` |" in text, name
        if isinstance(parameter.default, bool | str | int) and parameter.default != "":
            row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
            assert f"`{parameter.default!r}`".replace("'", '"') in row.replace("'", '"'), row
    for name in OBJECT_OPTIONS:
        assert f"`{name}`" in text, name


def test_every_relative_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
