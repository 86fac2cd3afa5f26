"""The Python examples of a document, run block after block as the modules that they name."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from django_fsspec import adapters

ROOT = Path(__file__).resolve().parents[2]

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\w+(?:/\w+)*)\.py")

#: gives the namespace of a module by its name, which examples can then import
Modules = Callable[[str], dict[str, Any]]


def label(page: Path) -> str:
    """Return the path of a page in the repository."""
    return str(page.relative_to(ROOT))


@contextlib.contextmanager
def modules() -> Iterator[Modules]:
    """Give modules for a while; adapters that examples register are gone afterwards."""
    registered = dict(adapters._table)
    with pytest.MonkeyPatch.context() as patch:

        def namespace(name: str) -> dict[str, Any]:
            parts = name.split(".")
            for count in range(1, len(parts) + 1):
                dotted = ".".join(parts[:count])
                if dotted not in sys.modules:
                    made = ModuleType(dotted)
                    made.__path__ = []
                    patch.setitem(sys.modules, dotted, made)
            return vars(sys.modules[name])

        yield namespace
    adapters._table.clear()
    adapters._table.update(registered)


def run(page: Path, namespaces: Modules, **common: Any) -> Iterator[dict[str, Any]]:
    """Run each block, in the order of the page; yield the namespace of its module.

    `common` are names that blocks find in every module.
    """
    # packages import the module of a model
    namespaces("testproject.example")
    for code in _BLOCK.findall(page.read_text()):
        named = _FILE.match(code)
        module = named[1].replace("/", ".") if named else "example"
        namespace = namespaces(module)
        for key, value in common.items():
            namespace.setdefault(key, value)
        # models ask which app they are of
        namespace["__name__"] = "testproject.example"
        # as a reader's module has it, not with the future of this one
        shown = compile(code, f"{label(page)}: {code[:40]!r}", "exec", dont_inherit=True)
        exec(shown, namespace)
        yield namespace
