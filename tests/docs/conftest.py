"""Recipes of the cookbook, run as a reader would run them: with tables, URLs and templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from django.apps import apps
from django.apps.registry import Apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connections, models
from django.test import Client
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


@pytest.fixture
def storages_of_recipes() -> Iterator[None]:
    """Aliases in memory."""
    with override_storage("default", "backup", "frankfurt"):
        yield


@pytest.fixture
def recipe(
    transactional_db: None, storages_of_recipes: None, settings: Settings, tmp_path: Path
) -> Iterator[Recipe]:
    """Run the Python of a page; its models have tables, its templates are found."""
    registry = apps.all_models["testproject"]
    before = dict(registry)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
    made: list[type[models.Model]] = []
    with doc_pages.modules() as modules, patch.dict(admin.site._registry):

        def run(name: str) -> Modules:
            page = COOKBOOK / f"{name}.md"
            for _ in doc_pages.run(page, modules, STORAGES={}):
                pass
            for file, text in _TEMPLATE.findall(page.read_text()):
                (tmp_path / file).parent.mkdir(exist_ok=True)
                (tmp_path / file).write_text(text)
            made.extend(model for key, model in registry.items() if key not in before)
            for alias in settings.DATABASES:
                _change(alias, "create_model", made)
            return modules

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


@pytest.fixture
def site(settings: Settings) -> Callable[..., None]:
    """Serve the URLs of a recipe, and those of django_fsspec."""

    def serve(modules: Modules, *urlpatterns: Any) -> None:
        namespace = modules("recipe_urls")
        own = path("files/", include("django_fsspec.urls"))
        namespace["urlpatterns"] = [*urlpatterns, path("admin/", admin.site.urls), own]
        settings.ROOT_URLCONF = "recipe_urls"

    return serve


def logged_in(name: str, **rights: bool) -> Client:
    """Return the browser of a new user."""
    client = Client()
    client.force_login(User.objects.create(username=name, **rights))
    return client
