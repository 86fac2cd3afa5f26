"""The packages and their models, installed while these tests run: others count queries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connections
from django.test import override_settings

ADDED = ["simple_history", "reversion", "tests.integrations.histories"]


@pytest.fixture(scope="package", autouse=True)
def installed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Install the packages, and make the tables of their models in both databases."""
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, *ADDED]):
        models = [
            model
            for label in ("reversion", "histories")
            for model in apps.get_app_config(label).get_models()
        ]
        with django_db_blocker.unblock():
            for alias in connections:
                with connections[alias].schema_editor() as editor:
                    for model in models:
                        editor.create_model(model)
        yield
        with django_db_blocker.unblock():
            for alias in connections:
                with connections[alias].schema_editor() as editor:
                    for model in reversed(models):
                        editor.delete_model(model)


@pytest.fixture
def models() -> Any:
    """The module of the models."""
    return apps.get_app_config("histories").models_module
