"""What type checkers know: mypy with the plugin of django-stubs and without, without django-stubs,
and pyright, over the project beside this file.

In it a comment tells the type that ``reveal_type()`` reveals, or that a line is refused.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.paths import documents

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROJECT = HERE / "project"
PYRIGHT = ROOT / "node_modules" / "pyright" / "index.js"

MYPY = """
[mypy]
strict = true
[mypy-fsspec.*,tqdm.*]
ignore_missing_imports = true
"""
CONFIGURATIONS = {
    # where functions have no annotations, as the documents show them
    "documents": """
[mypy]
check_untyped_defs = true
ignore_missing_imports = true
# pages define a name anew, and fields of Django need the plugin or annotations
disable_error_code = no-redef, var-annotated
# other packages are large
follow_imports = skip
[mypy-django_fsspec.*]
follow_imports = normal
""",
    "plugin": """
[mypy]
strict = true
plugins = mypy_django_plugin.main
[mypy.plugins.django-stubs]
django_settings_module = tests.typing.project.settings
[mypy-fsspec.*,tqdm.*]
ignore_missing_imports = true
""",
    "no plugin": MYPY,
    # as where django-stubs is not installed: Django itself has no types
    "no stubs": f"""{MYPY}
[mypy-django.*]
follow_imports = skip
follow_imports_for_stubs = true
[mypy-tests.*]
disallow_subclassing_any = false
""",
}

#: (file, line) -> what was revealed there; (file, line) of errors
Told = tuple[dict[tuple[str, int], str], dict[tuple[str, int], str]]

pytestmark = [pytest.mark.slow, pytest.mark.once, pytest.mark.timeout(300)]


def short(type_: str) -> str:
    """Return a type without the modules that its names are of."""
    return re.sub(r"\b(?:\w+\.)+", "", type_)


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    # 1 tells of errors, of which there must be some
    assert done.returncode == 1, done.stdout
    return done.stdout


def mypy(configuration: str, folder: Path, project: Path = PROJECT) -> Told:
    config = folder / "mypy.ini"
    config.write_text(CONFIGURATIONS[configuration])
    command = [sys.executable, "-m", "mypy", "--no-error-summary"]
    output = run(*command, "--config-file", config, "--cache-dir", folder / "cache", project)
    revealed, errors = {}, {}
    for name, line, kind, text in re.findall(
        r"^.*?(\w+\.py):(\d+): (\w+): (.*)$", output, re.MULTILINE
    ):
        if type_ := re.fullmatch(r'Revealed type is "(.*)"', text):
            revealed[name, int(line)] = short(type_[1])
        elif kind == "error":
            errors[name, int(line)] = text
    return revealed, errors


def pyright() -> Told:
    # its configuration names folders beside itself only
    if not PYRIGHT.exists() and not os.environ.get("CI"):
        pytest.skip("pyright is not installed: run scripts/bootstrap test")
    output = run("node", PYRIGHT, "--outputjson", "--pythonpath", sys.executable, "-p", HERE)
    revealed, errors = {}, {}
    for message in json.loads(output)["generalDiagnostics"]:
        place = Path(message["file"]).name, message["range"]["start"]["line"] + 1
        if type_ := re.fullmatch(r'Type of ".*" is "(.*)"', message["message"]):
            revealed[place] = short(type_[1])
        elif message["severity"] == "error":
            errors[place] = message["message"]
    return revealed, errors


def marked(pattern: str, names: set[str]) -> Iterator[tuple[tuple[str, int], str]]:
    """Yield the lines of files of the project whose comment matches, and the comment."""
    for path in sorted(PROJECT.glob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if path.name in names and (comment := re.search(pattern, line)):
                yield (path.name, number), comment[1]


def compare(told: Told, names: set[str], *, stubs: bool = True) -> None:
    revealed, errors = ({k: v for k, v in part.items() if k[0] in names} for part in told)
    expected = {
        place: type_.removesuffix(WITH_STUBS) if stubs or WITH_STUBS not in type_ else "Any"
        for place, type_ in marked(r"reveal_type\(.*\)  # (.*)", names)
    }
    wrong = {place: type_ for place, type_ in expected.items() if revealed.get(place) != type_}
    assert {place: revealed.get(place) for place in wrong} == wrong
    assert revealed.keys() == expected.keys()
    marks = marked(r"  # (refused.*)", names)
    refused = {place for place, mark in marks if stubs or WITH_STUBS not in mark}
    assert {place: text for place, text in errors.items() if place not in refused} == {}
    assert refused - errors.keys() == set()
    assert len(refused) >= 10


#: in a comment: Any, or not refused, where Django has no types
WITH_STUBS = " with stubs"
ALL = {path.name for path in PROJECT.glob("*.py")}
#: what is known without the plugin
WITHOUT_PLUGIN = ALL - {"queries.py"}


def test_mypy_with_the_plugin(tmp_path: Path) -> None:
    compare(mypy("plugin", tmp_path), ALL)


def test_mypy_without_the_plugin(tmp_path: Path) -> None:
    compare(mypy("no plugin", tmp_path), WITHOUT_PLUGIN)


def test_mypy_without_django_stubs(tmp_path: Path) -> None:
    compare(mypy("no stubs", tmp_path), WITHOUT_PLUGIN, stubs=False)


def test_pyright() -> None:
    compare(pyright(), WITHOUT_PLUGIN)


#: what pages presume, and what is wrong with them in the eyes of mypy
PREAMBLE = "from typing import Any; BASE_DIR: Any; STORAGES: Any; INSTALLED_APPS: Any\n"
DYNAMIC = [
    # only the plugin knows the model of users
    'Item "AbstractBaseUser" of ',
    # the type of a receipt is computed
    "Invalid type comment or annotation",
    # two modules of one page
    "List item ",
    # what examples do to be run by tests
    'Argument 1 to "ready" ',
    'Argument 2 to "ReportForm" ',
    'Argument 1 to "list" has incompatible type "dict[str, Any] | None"',
    'Value of type "dict[str, Any] | None" is not indexable',
]


def test_what_documents_tell_to_write(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for page in documents():
        name = "_".join(page.relative_to(ROOT).with_suffix("").parts).replace("-", "_")
        blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
        (pages / f"{name}.py").write_text(PREAMBLE + "\n".join(blocks))
    errors = mypy("documents", tmp_path, pages)[1]
    unexpected = {
        place: text
        for place, text in errors.items()
        if not any(text.startswith(known) for known in DYNAMIC)
    }
    assert unexpected == {}, "see get_storage() in docs/reference/storage.md"
