"""Recipes of the cookbook, and their visitors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.helpers.recipes import Recipe, recipes, serve

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.fixture
def recipe(transactional_db: None, settings: Settings, tmp_path: Path) -> Iterator[Recipe]:
    """Run the Python of a page."""
    with recipes(settings, tmp_path) as run:
        yield run


@pytest.fixture
def site(settings: Settings) -> Callable[..., None]:
    """Serve the URLs of a recipe."""
    return functools.partial(serve, settings)


def logged_in(name: str, **rights: bool) -> Client:
    """Return the browser of a new user."""
    client = Client()
    client.force_login(User.objects.create(username=name, **rights))
    return client
