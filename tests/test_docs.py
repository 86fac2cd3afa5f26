"""What the documents say is held against the code."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.contrib import admin
from django.core import checks
from django.core.files.base import File
from django.db.models import Model
from django.test.utils import isolate_apps, override_settings
from django.utils.module_loading import import_string

from django_fsspec import FileObject
from django_fsspec.adapters.azure.adapter import AzureAdapter
from django_fsspec.adapters.base import Adapter, Dialect
from django_fsspec.adapters.gcs.adapter import GCSAdapter
from django_fsspec.adapters.s3.adapter import S3Adapter
from django_fsspec.staticfiles import FSSpecManifestStaticStorage
from django_fsspec.storage import FSSpecStorage
from django_fsspec.storage.configured_storage import ConfiguredStorage
from django_fsspec.storage.options import OBJECT_OPTIONS
from django_fsspec.testing import override_storage
from tests.helpers import backend_table, doc_pages
from tests.helpers.backends import BACKENDS
from tests.helpers.cdn import PEM
from tests.helpers.doc_pages import ROOT, label
from tests.promises import paths
from tests.storage import test_conformance


def test_the_table_covers_every_behaviour() -> None:
    behaviours = {
        name
        for name, member in inspect.getmembers(test_conformance, inspect.isfunction)
        if name.startswith("test_")
    }
    listed = [name for names in backend_table.COLUMNS.values() for name in names]
    assert sorted(listed) == sorted(behaviours)


def test_the_table_has_a_row_for_every_backend() -> None:
    made = backend_table.PAGE.read_text().split(backend_table.BEGIN)[1].split(backend_table.END)[0]
    rows = re.findall(r"^\| ([^|]+?) \|", made, re.MULTILINE)
    assert rows == ["filesystem", *(backend.name for backend in BACKENDS)]
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
    for page in PAGES:
        text = page.read_text()
        # not what a template fills in
        pictures = re.findall(r'(?:src|srcset)="([^":{]+)"', text)
        for target in [*pictures, *re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)]:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
_LISTED = re.compile(r"^- `(django_fsspec\.[\w.]+)`", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_python_example_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block in the order of the page; settings are checked, files are kept in memory."""
    (tmp_path / "cloudfront.pem").write_text(PEM)
    # else constructing the storage reads the manifest from a bucket that is not there
    monkeypatch.setattr(FSSpecManifestStaticStorage, "read_manifest", lambda self: None)
    # models of the examples have no tables
    monkeypatch.setattr(Model, "save", lambda self: None)
    common = {"BASE_DIR": tmp_path, "INSTALLED_APPS": [*settings.INSTALLED_APPS], "STORAGES": {}}
    with (
        override_storage("default", "s3"),
        isolate_apps("testproject"),
        # examples register models, once for each page
        patch.dict(admin.site._registry),
        doc_pages.modules() as modules,
    ):
        for namespace in doc_pages.run(page, modules, **common):
            with override_settings(STORAGES={**settings.STORAGES, **namespace["STORAGES"]}):
                for alias, config in namespace["STORAGES"].items():
                    if "django_fsspec" in config["BACKEND"]:
                        check_settings(alias, config, label(page))


def check_settings(alias: str, config: dict[str, Any], page: str) -> None:
    storage = import_string(config["BACKEND"])(**config.get("OPTIONS", {}))
    found = [message for message in storage.check() if message.is_serious(checks.ERROR)]
    assert found == [], f"{page}: {alias}"


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {
        (index.parent / target).resolve()
        for target in re.findall(r"\]\(([^)#:]+)\)", index.read_text())
    }
    decisions = ROOT / "docs" / "decisions"
    api = ROOT / "docs" / "reference" / "api"
    assert api / "README.md" in linked
    # for contributors: linked from the page on architecture
    assert not any(decisions in page.parents for page in linked)
    guides = {page for page in PAGES if page.parent not in (ROOT, decisions, api)}
    assert guides - {index} <= linked


def test_every_public_name_is_in_the_api_reference() -> None:
    """The site shows the docstring of each name in these lists."""
    pages = ROOT.glob("docs/reference/api/*.md")
    listed = {name for page in pages for name in _LISTED.findall(page.read_text())}
    shown = [import_string(name) for name in listed]
    public = [import_string(name) for name in paths.PUBLIC]
    missing = [
        name
        for name, value in zip(paths.PUBLIC, public, strict=True)
        if value not in shown
        and not name.startswith(("django_fsspec.apps.", "django_fsspec.urls."))
    ]
    assert missing == []


#: modules whose `__all__` is for users; what of it is for migrations and for this package alone
FACES = [
    *("django_fsspec", "django_fsspec.admin", "django_fsspec.exceptions", "django_fsspec.fields"),
    *("django_fsspec.forms", "django_fsspec.operations", "django_fsspec.responses"),
    *("django_fsspec.signals", "django_fsspec.storage", "django_fsspec.uploads"),
    *("django_fsspec.validators", "django_fsspec.widgets"),
]
OWN = {"__version__", "Rules", "storage_of"}


def test_every_name_of_a_face_is_in_the_api_reference() -> None:
    pages = ROOT.glob("docs/reference/api/*.md")
    listed = {name for page in pages for name in _LISTED.findall(page.read_text())}
    shown = {id(import_string(name)) for name in listed}
    faces = [import_module(name) for name in FACES]
    public = [(face.__name__, name) for face in faces for name in getattr(face, "__all__", ())]
    assert len(public) > 40
    missing = [
        f"{face}.{name}"
        for face, name in public
        if name not in OWN and id(import_string(f"{face}.{name}")) not in shown
    ]
    assert missing == []


#: how a package is called that a page calls otherwise
_DISTRIBUTIONS = {"strawberry-django": "strawberry-graphql-django", "sentry": "sentry-sdk"}


def test_libraries_are_named_with_the_releases_that_tests_run_with() -> None:
    pins = (ROOT / "requirements" / "test.txt").read_text()
    text = (ROOT / "docs" / "how-to" / "libraries.md").read_text()
    rows = re.findall(r"^\| \[([^]]+)\]\([^)]+\) \| ([^|]+) \|", text, re.MULTILINE)
    assert len(rows) >= 14
    for names, releases in rows:
        told = re.findall(r"\d+\.\d+", releases)
        for name, release in zip(names.lower().split(", "), told, strict=True):
            distribution = _DISTRIBUTIONS.get(name, name.replace("_", "-"))
            assert f"\n{distribution}=={release}." in pins, f"{distribution} {release}"


def test_every_anchor_is_a_heading() -> None:
    def anchors(page: Path) -> set[str]:
        headings = re.findall(r"^#+ (.+)$", page.read_text().lower(), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}

    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
            there = page if not target else page.parent / target
            assert anchor in anchors(there), f"{label(page)}: {target}#{anchor}"


def test_every_test_that_a_page_names_exists() -> None:
    named = {
        name for page in PAGES for name in re.findall(r"`(tests/[\w/]+\.py)`", page.read_text())
    }
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_check_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "checks.md").read_text()
    numbers: set[str] = set()
    for source in (ROOT / "django_fsspec").glob("**/*.py"):
        numbers |= set(re.findall(r"django_fsspec\.([EW]\d{3})", source.read_text()))
    assert numbers == set(re.findall(r"^\| `django_fsspec\.([EW]\d{3})` \|", text, re.MULTILINE))


def test_every_method_is_documented_with_its_twin() -> None:
    text = (ROOT / "docs" / "reference" / "storage.md").read_text()
    members = {**vars(ConfiguredStorage), **vars(FSSpecStorage)}
    for name, member in members.items():
        if not name.startswith("_") and inspect.isfunction(member) and name != "check":
            assert re.search(rf"`{name}[`(]", text), name


def test_every_member_of_a_file_object_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "file-object.md").read_text()
    for kind in FileObject.__mro__[: FileObject.__mro__.index(File)]:
        for name in vars(kind):
            if not name.startswith("_") and name not in ("mode", "file"):
                assert re.search(rf"`{name}[`(]", text), name


@pytest.mark.parametrize(
    ("backend", "adapter"), [("S3", S3Adapter), ("GCS", GCSAdapter), ("Azure", AzureAdapter)]
)
def test_object_options_are_documented_as_sent(backend: str, adapter: type[Adapter]) -> None:
    text = (ROOT / "docs" / "reference" / "options.md").read_text()
    table_rows = [line.strip("| ").split(" | ") for line in text.splitlines()]
    head = next(row for row in table_rows if row[:2] == ["name", "S3"])
    cells = {row[0]: row[head.index(backend)] for row in table_rows if len(row) == len(head)}
    for name in set(OBJECT_OPTIONS) - {"extra"}:
        native = adapter.dialect.headers.get(name)
        assert cells[f"`{name}`"] == (f"`{native}`" if native else "no"), name


def test_the_dialect_is_documented() -> None:
    text = (ROOT / "docs" / "how-to" / "your-own-filesystem.md").read_text()
    for field in fields(Dialect):
        assert f"`{field.name}`" in text, field.name


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_no_page_names_the_machine_it_was_written_on(page: Path) -> None:
    text = page.read_text()
    assert f"{ROOT}/" not in text
    assert f"{Path.home()}/" not in text


class TestDjangoStorages:
    """The tables of docs/coming-from/django-storages.md have all settings of the installed one."""

    @pytest.mark.parametrize(
        ("title", "backend"),
        [
            ("S3", "s3.S3Storage"),
            ("Google Cloud Storage", "gcloud.GoogleCloudStorage"),
            ("Azure", "azure_storage.AzureStorage"),
            ("SFTP", "sftpstorage.SFTPStorage"),
            ("Dropbox", "dropbox.DropboxStorage"),
        ],
    )
    def test_every_setting_has_a_row(self, title: str, backend: str) -> None:
        names = [re.findall(r"`(\w+)`", row[0]) for row in rows_below(title)]
        # the name of the option stands below those of the settings
        documented = {option: set(settings) for *settings, option in names}
        source = inspect.getsource(
            import_string(f"storages.backends.{backend}").get_default_settings
        )
        assert documented == settings_read(source)

    @pytest.mark.parametrize(
        ("title", "protocol"),
        [("S3", "s3"), ("Google Cloud Storage", "gcs"), ("Azure", "abfs"), ("SFTP", "sftp")],
    )
    def test_ours_exist(self, title: str, protocol: str) -> None:
        ours = " ".join(row[1] for row in rows_below(title))
        keys = set(re.findall(r'`fs_options\["(\w+)"\]', ours))
        values = {key: {} if key.endswith("_kwargs") else "x" for key in keys}
        storage = FSSpecStorage(fs=protocol, prefix="b", fs_options=values)
        assert [m for m in storage.check() if m.is_serious(checks.ERROR)] == []
        options = set(re.findall(r"`([a-z_]+)`", ours)) - {
            "fs_options",
            "target_principal",
            "token",
        }
        assert options <= set(inspect.signature(FSSpecStorage.__init__).parameters)
        assert set(re.findall(r'`object_options\["(\w+)"\]', ours)) <= set(OBJECT_OPTIONS)


def rows_below(title: str) -> list[list[str]]:
    """Return the cells of the table of one backend of django-storages."""
    text = (ROOT / "docs" / "coming-from" / "django-storages.md").read_text()
    section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def settings_read(source: str) -> dict[str, set[str]]:
    """Return the options of a backend of django-storages, and the settings each falls back to."""
    defaults = next(
        node for node in ast.walk(ast.parse(textwrap.dedent(source))) if isinstance(node, ast.Dict)
    )
    return {
        ast.literal_eval(key): set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", ast.unparse(value)))
        for key, value in zip(defaults.keys, defaults.values, strict=True)
        if key is not None
    }
