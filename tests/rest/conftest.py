"""Storages of their own for each test of the API, and a client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from django_fsspec.testing import override_storage


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    with override_storage("default", "second"):
        yield


@pytest.fixture
def client() -> Any:
    return APIClient()
