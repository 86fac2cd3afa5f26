"""The site of the documents: Sphinx, furo, MyST. `make docs` builds it into build/docs.

The pages are plain Markdown, so that GitHub shows them as they are. What only Sphinx can do is
added while a page is read: the navigation from the lists of index.md, the API reference from the
lists of names in reference/api/, the entries of the decisions, and the changelog.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

sys.path.insert(0, str(ROOT))
os.environ["DJANGO_SETTINGS_MODULE"] = "docs_settings"
sys.path.insert(0, str(DOCS / "_ext"))

import django  # noqa: E402
from sphinx.util.inspect import stringify_signature  # noqa: E402

django.setup()

import django_fsspec  # noqa: E402

project = "django-fsspec-storage"
author = "django-fsspec-storage contributors"
copyright = author  # noqa: A001
version = release = django_fsspec.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_ext"]

# anchors as on GitHub, for every level of heading
myst_heading_anchors = 6
# `single backticks` in docstrings are names, not titles of books.
default_role = "code"

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 68
add_module_names = False

# The prompt of a shell or of Python is not copied, and neither is what the command prints.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_search_scorer = str(DOCS / "_ext" / "search.js")
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {
        "color-brand-primary": "#0c5c3d",
        "color-brand-content": "#0c6b47",
        "color-api-name": "#0c5c3d",
        "color-api-pre-name": "#5a6b63",
    },
    "dark_css_variables": {
        "color-brand-primary": "#6fd3a8",
        "color-brand-content": "#6fd3a8",
        "color-api-name": "#6fd3a8",
        "color-api-pre-name": "#a3b5ac",
    },
}
# of accessible-pygments: their contrast is high enough for everybody
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_anchors = False
# addresses of the examples
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1)"]

# --- what is added to the Markdown ------------------------------------------------------------

_SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"^- \[(.+?)\]\(([^)#:]+)\.md\)", re.MULTILINE)
_NAME = re.compile(r"^- `(django_fsspec\.[\w.]+)`.*$\n?", re.MULTILINE)
_GUIDE = re.compile(r"\bdocs/([\w/-]+)\.md\b")

#: documents for contributors and for the record: not among the results of the users' search
NOT_SEARCHED = ("decisions/", "changelog")
#: page that was moved -> where its content is now; the old address leads there
MOVED = {
    "how-to/s3": "backends/s3",
    "how-to/gcs": "backends/gcs",
    "how-to/azure": "backends/azure",
    "how-to/sftp-ftp-webdav": "backends/sftp",
    "how-to/http-github-dropbox-archives": "backends/http",
    "how-to/caches-and-chains": "backends/caches-and-chains",
}
#: class -> the bases whose members are left out; of other classes, only their own are shown
INHERITED = {"FSSpecStorage": "Storage", "FileObject": "object", "BlockingAdapter": "object"}
#: an argument of a fixture that nobody passes
SIGNATURES = {"s3_storage": "()"}
#: overloads that autodoc can't show
OVERLOADED = {"django_fsspec.core.flows.call": "(function, *args, **kwargs)"}
#: members of these are for Django to call
WITHOUT_MEMBERS = re.compile(
    r"\.(fields|forms|widgets|admin|validators|operations|middleware|rest_framework|apps)\."
)


def toctree(entries: list[str], **options: str) -> str:
    """Return the lines that put pages into the navigation."""
    lines = ["", "```{toctree}", *(f":{name}: {value}" for name, value in options.items())]
    return "\n".join([*lines, "", *entries, "```", ""])


def navigation(index: str) -> Iterator[str]:
    """Yield a toctree for each section of the index that lists pages."""
    for caption, text in _SECTION.findall(index):
        entries = [f"{title} <{page}>" for title, page in _ENTRY.findall(text)]
        if entries:
            yield toctree(entries, hidden="", caption=caption)


def directive(name: re.Match[str]) -> str:
    """Return what documents the object of a dotted path."""
    path = name[1]
    kind = kind_of(path)
    short = path.rpartition(".")[2]
    lines = [f".. {kind}:: {path}{SIGNATURES.get(short, '')}"]
    if kind == "autoclass" and not WITHOUT_MEMBERS.search(path):
        lines.append("   :members:")
    if short in INHERITED:
        lines.append(f"   :inherited-members: {INHERITED[short]}")
    if kind == "autodata":
        lines.append("   :no-value:")
    if path in OVERLOADED:
        text = textwrap.indent(inspect.getdoc(value_of(path)) or "", "   ")
        lines = [
            f".. py:function:: {short}{OVERLOADED[path]}",
            f"   :module: {path[: -len(short) - 1]}",
        ]
        lines += ["", text]
    return "\n".join(["", "```{eval-rst}", *lines, "```", ""])


def value_of(path: str) -> Any:
    """Return what a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def kind_of(path: str) -> str:
    """Return the directive of autodoc for what a dotted path names."""
    value = value_of(path)
    if not isinstance(value, type):
        return "autofunction" if callable(value) else "autodata"
    return "autoexception" if issubclass(value, BaseException) else "autoclass"


def complete(app: Any, page: str, source: list[str]) -> None:
    """Add to the source of a page what GitHub does not show."""
    if page == "index":
        source[0] += "".join(navigation(source[0]))
    elif page == "changelog":
        source[0] = (ROOT / "CHANGELOG.md").read_text().replace("](docs/", "](")
    elif page == "reference/api/README":
        source[0] += toctree([name for _, name in _ENTRY.findall(source[0])], hidden="")
    elif page == "explanation/architecture":
        source[0] += toctree(["/decisions/README"], hidden="")
    elif page == "decisions/README":
        source[0] += toctree(["[0-9]*"], glob="")
    elif page.startswith("reference/api/"):
        source[0] = _NAME.sub(directive, source[0])
    if page.startswith(NOT_SEARCHED):
        source[0] = f"---\nnosearch: true\n---\n{source[0]}"


def redirect(app: Any, error: Exception | None) -> None:
    """Write a page at each old address, which leads to the new one with its anchor."""
    if error is not None or app.builder.name != "html":
        return
    for old, new in MOVED.items():
        target = f"../{new}.html"
        page = Path(app.outdir) / f"{old}.html"
        page.write_text(
            f'<!doctype html><title>Moved</title><link rel="canonical" href="{target}">'
            f'<meta http-equiv="refresh" content="1; url={target}">'
            f'<script>location.replace("{target}" + location.hash)</script>'
            f'<p>This page is now <a href="{target}">here</a>.</p>\n'
        )


def show_init(
    app: Any, what: str, name: str, value: Any, options: Any, signature: str, returned: str
) -> tuple[str, str] | None:
    """Show the arguments of __init__(), where a __new__() that hands them on hides them."""
    if what != "class" or "*args" not in (signature or ""):
        return None
    makers = (vars(base).get("__init__") for base in value.__mro__)
    maker = next(filter(inspect.isfunction, makers), value.__new__)
    found = inspect.signature(maker)
    shown = [one for one in list(found.parameters.values())[1:] if one.name != "unknown"]
    return stringify_signature(found.replace(parameters=shown), show_return_annotation=False), ""


def link_guides(
    app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Make links of the documents that docstrings name."""
    lines[:] = [_GUIDE.sub(r":doc:`/\1`", line) for line in lines]


def setup(app: Any) -> None:
    """Connect to the events of Sphinx."""
    app.connect("source-read", complete)
    app.connect("build-finished", redirect)
    app.connect("autodoc-process-docstring", link_guides)
    app.connect("autodoc-process-signature", show_init)
