"""Storages of their own for each test of a widget."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.middleware.csrf import get_token
from django.test import RequestFactory

from django_fsspec.testing import override_storage


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    with override_storage("default", "second"):
        yield


@pytest.fixture
def token() -> str:
    return get_token(RequestFactory().get("/"))
