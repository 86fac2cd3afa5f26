"""Rows with files, and a site with an admin of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from django_fsspec.testing import override_storage
from tests.admin.papers import paper
from tests.library.models import Paper

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.fixture
def site(settings: Settings) -> Iterator[None]:
    """The pages of the browser tests over two storages in memory."""
    settings.ROOT_URLCONF = "tests.browser.pages"
    with override_storage("default", "second"):
        yield


@pytest.fixture
def papers() -> list[Paper]:
    return Paper.objects.bulk_create(paper(number) for number in range(100))
