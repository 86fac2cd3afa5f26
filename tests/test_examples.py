"""The examples in docstrings run.

An example is the indented block of Python after a line ``Example::``. It may use every name of its
module, as a doctest may, and the names that ``offered()`` returns. In the docstring of a command
it holds lines ``python manage.py …`` instead.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django import forms
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import models
from django.test import RequestFactory
from django.test.utils import isolate_apps
from django.urls import path

import django_fsspec
from django_fsspec.testing import override_storage
from testproject.models import Document

PACKAGE = Path(django_fsspec.__file__).parent
_EXAMPLE = re.compile(r"^Example::\n\n((?:(?: +.*)?\n)+)", re.MULTILINE)
_COMMAND = "python manage.py "


class Example(NamedTuple):
    """The code of one docstring, and the module that its names are looked up in."""

    module: str
    owner: str
    code: str

    def __str__(self) -> str:
        return f"{self.module}:{self.owner}"


def examples_of(module: str, source: str) -> Iterator[Example]:
    """Yield the examples in the docstrings of a module's source."""

    def of_node(node: ast.AST, owner: str) -> Iterator[Example]:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            blocks = _EXAMPLE.findall((ast.get_docstring(node) or "") + "\n")
            if blocks:
                yield Example(module, owner, "\n".join(map(textwrap.dedent, blocks)))
        for child in ast.iter_child_nodes(node):
            name = getattr(child, "name", None)
            yield from of_node(child, f"{owner}.{name}".lstrip(".") if name else owner)

    yield from of_node(ast.parse(source), "")


def examples_of_package() -> Iterator[Example]:
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield from examples_of(module, file.read_text())


def offered() -> dict[str, Any]:
    """Return the names that every example may use; ``document`` is a saved row."""
    document = Document(title="May", file=ContentFile(b"all is well", name="may.txt"))
    document.save()
    return {
        "__name__": "testproject.example",  # models ask which app they are of
        "ContentFile": ContentFile,
        "default_storage": default_storage,
        "Document": Document,
        "document": document,
        "forms": forms,
        "models": models,
        "path": path,
        "request": RequestFactory().get("/"),
    }


def run(example: Example) -> None:
    """Run an example, and its command lines one by one."""
    names = {**vars(importlib.import_module(example.module)), **offered()}
    if example.code.startswith(_COMMAND):
        for line in example.code.splitlines():
            if line:
                assert line.startswith(_COMMAND), line
                words = shlex.split(line.removeprefix(_COMMAND), comments=True)
                call_command(*[re.sub(r"^app\b", "testproject", word) for word in words])
        return
    compiled = compile(
        example.code, str(example), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(compiled, names))
    else:
        exec(compiled, names)


SHOWN_BY_AN_EXAMPLE = [
    "fields.stored_object:StoredObjectField",
    "forms.fields:MultipleStoredObjectFormField",
    "forms.fields:StoredObjectFormField",
    "management.commands.check_storages:Command",
    "management.commands.migrate_files:Command",
    "management.commands.refresh_files:Command",
    "management.commands.sweep_files:Command",
    "objects.file_object:FileObject",
    "storage.fsspec_storage:FSSpecStorage",
    "views:StoredObjectDownloadView",
]


@pytest.mark.slow
@pytest.mark.once
def test_public_classes_have_an_example() -> None:
    owners = {str(example).removeprefix("django_fsspec.") for example in examples_of_package()}
    assert set(SHOWN_BY_AN_EXAMPLE) - owners == set()


@pytest.mark.once
@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("example", list(examples_of_package()), ids=str)
def test_every_example_in_a_docstring_runs(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BUNNY_KEY", "CLOUDFLARE_SECRET"):
        monkeypatch.setenv(name, "secret")
    aliases = ("default", "s3", "archive", "staticfiles")
    with override_storage(*aliases), isolate_apps("testproject"):
        run(example)


class TestTheRunner:
    """It finds every example, and an example that fails makes its test fail."""

    def test_blocks_of_classes_and_methods_are_found(self) -> None:
        source = '''
class Box:
    """A box.

    Example::

        one = 1

        two = 2

    More words.

    Example::

        assert one + 1 == two
    """

    def open(self) -> None:
        """Open it.

        Example::

            Box().open()
        """
'''
        first, second = examples_of("json", source)
        assert (first.owner, second.owner) == ("Box", "Box.open")
        assert first.code == "one = 1\n\ntwo = 2\n\n\nassert one + 1 == two\n"
        assert second.code == "Box().open()\n"

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(
        "code",
        [
            "assert loads('1') == 2",
            "import asyncio\nawait asyncio.sleep(0)\nassert document.title == 'June'",
            "python manage.py migrate_files --from default --to nowhere app.Document.file",
        ],
    )
    def test_a_failure_is_seen(self, code: str) -> None:
        with override_storage("default", "s3"), pytest.raises((AssertionError, CommandError)):
            run(Example("json", "Box", code))

    @pytest.mark.django_db(transaction=True)
    def test_commands_find_the_row(self, capsys: pytest.CaptureFixture[str]) -> None:
        with override_storage("default", "s3"):
            command = "migrate_files --from default --to s3 --no-progress app.Document.file  # all"
            run(Example("json", "Box", f"python manage.py {command}\n"))
            assert Document.objects.get().file.backend == "s3"
