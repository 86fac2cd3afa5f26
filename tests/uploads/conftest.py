"""A visitor, and storages that uploads go to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_fsspec.testing import override_storage
from tests.helpers.upload_client import Browser
from tests.uploads.parcels import place


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def memory() -> Iterator[None]:
    with override_storage("default"):
        yield


@pytest.fixture
def seaweed() -> Iterator[None]:
    with override_storage(default=place("s3 (SeaweedFS)")):
        yield
