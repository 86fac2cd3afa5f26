"""Blocks of the documents that are no Python: commands take their options, nginx reads its own.

Each Python block is run by ``tests/test_docs.py``, in the order of its page.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class

from tests.servers.certificates import self_signed
from tests.servers.nginx import nginx_command
from tests.servers.ports import HOST, closed_port

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
_BLOCK = re.compile(r"^```([\w+]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.once


def blocks(language: str) -> list[tuple[str, str]]:
    """Return each block of a language, with the page it is on."""
    return [
        (str(page.relative_to(ROOT)), text)
        for page in PAGES
        for name, text in _BLOCK.findall(page.read_text())
        if name == language
    ]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the arguments of each ``manage.py`` that a page has, and the page."""
    for page, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            _, found, rest = line.partition("manage.py ")
            # what a shell would do with the output
            rest = re.split(r" [|>;&]|\d>", rest)[0]
            if found:
                yield page, shlex.split(rest, comments=True)


def test_every_command_takes_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    ours = [(page, words) for page, words in commands() if words[0] in get_commands()]
    assert len(ours) > 50
    wrong = [f"{page}: {' '.join(words)}" for page, words in ours if not is_parsed(*words)]
    assert wrong == [], capsys.readouterr().err


def is_parsed(name: str, *arguments: str) -> bool:
    """Return whether a command takes the arguments."""
    if name == "shell":  # what is given to it is Python
        return True
    owner = get_commands()[name]
    command: Any = load_command_class(owner, name) if isinstance(owner, str) else owner
    parser: argparse.ArgumentParser = command.create_parser("manage.py", name)
    try:
        parser.parse_args(arguments)
    except SystemExit as ended:
        return not ended.code
    except Exception as refused:  # a CommandError of the parser
        print(refused)
        return False
    return True


def test_every_command_that_a_page_names_exists() -> None:
    # of the page itself, and of packages that run tasks
    others = {"backup_files", "db_worker", "rqworker"}
    unknown = {words[0] for _, words in commands()} - set(get_commands()) - others
    assert unknown == set()


@pytest.mark.parametrize(("page", "text"), blocks("nginx"))
def test_nginx_reads_its_blocks(page: str, text: str, tmp_path: Path) -> None:
    own = str(self_signed(tmp_path))
    text = re.sub(r"/etc/ssl/[\w.]+", own, text).replace("443", f"{HOST}:{closed_port()}")
    if "server {" not in text:
        text = f"server {{ listen {HOST}:{closed_port()}; {text} }}"
    program, *arguments = nginx_command(tmp_path, text)
    command = [program, "-t", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "test is successful" in done.stderr, f"{page}: {done.stderr}"


@pytest.mark.parametrize(("page", "text"), blocks("json"))
def test_json_is_json(page: str, text: str) -> None:
    json.loads(text.replace("…", ""))


def test_no_python_hides_from_its_test() -> None:
    """A block that is called otherwise than ``python`` is not run by ``tests/test_docs.py``."""
    others = {
        "docs/backends/ftp.md",  # a line of a dict
        "docs/coming-from/django-storages.md",  # the storage of a project that moves
        "docs/cookbook/admin-themes.md",  # of a package that is not installed everywhere
        "docs/how-to/libraries.md",  # Sentry, which stays in the process
        "docs/how-to/rest-and-schemas.md",  # a client of a site that is not there
    }
    found = [page for name in ("py", "python3", "Python") for page, _ in blocks(name)]
    assert sorted(found) == sorted(others)
    # indented blocks would not be found
    assert [page for page in PAGES if re.search(r"(?m)^ +```python", page.read_text())] == []
