"""Recipes of the cookbook, run as a reader would run them: with tables, URLs and templates."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from django.apps import apps
from django.apps.registry import Apps
from django.contrib import admin
from django.db import connections, models
from django.urls import include, path

from django_fsspec.testing import override_storage
from tests.helpers import doc_pages
from tests.helpers.doc_pages import ROOT, Modules

if TYPE_CHECKING:
    from pytest_django import Settings

COOKBOOK = ROOT / "docs" / "cookbook"
_TEMPLATE = re.compile(
    r"^```html\+django\n<!-- ([\w/.]+).*? -->\n(.*?)^```$", re.MULTILINE | re.DOTALL
)

#: runs the code of a page; gives the modules that its blocks name
Recipe = Callable[[str], Modules]


@contextlib.contextmanager
def recipes(settings: Settings, directory: Path) -> Iterator[Recipe]:
    """Give what runs the Python of a page; its models have tables, its templates are found.

    Files are in memory, templates in `directory`. It needs a test with transactions of its own.
    """
    registry = apps.all_models["testproject"]
    before = dict(registry)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(directory)]}]
    made: list[type[models.Model]] = []

    def run(name: str) -> Modules:
        page = COOKBOOK / f"{name}.md"
        for _ in doc_pages.run(page, modules, STORAGES={}, BASE_DIR=directory):
            pass
        for file, text in _TEMPLATE.findall(page.read_text()):
            (directory / file).parent.mkdir(exist_ok=True)
            (directory / file).write_text(text)
        new = [model for key, model in registry.items() if key not in before]
        # that of a ManyToManyField is made with its model
        made.extend(model for model in new if not model._meta.auto_created)
        for alias in settings.DATABASES:
            _change(alias, "create_model", made)
        return modules

    with (
        override_storage("default", "backup", "frankfurt"),
        doc_pages.modules() as modules,
        patch.dict(admin.site._registry),
    ):
        try:
            yield run
        finally:
            for alias in settings.DATABASES:
                _change(alias, "delete_model", made[::-1])
            registry.clear()
            registry.update(before)
            for model in made:
                # as models of isolate_apps(): what lives on is no model of the project
                model._meta.apps = Apps()
            apps.clear_cache()


def _change(alias: str, change: str, changed: list[type[models.Model]]) -> None:
    with connections[alias].schema_editor() as editor:
        for model in changed:
            getattr(editor, change)(model)


def serve(settings: Settings, modules: Modules, *urlpatterns: Any) -> None:
    """Serve the URLs of a recipe, those of the admin and of django_fsspec."""
    own = [path("admin/", admin.site.urls), path("files/", include("django_fsspec.urls"))]
    modules("recipe_urls")["urlpatterns"] = [*urlpatterns, *own]
    settings.ROOT_URLCONF = "recipe_urls"
