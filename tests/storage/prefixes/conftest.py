"""Storages of tenants, and a storage or two behind one alias."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import override_settings

from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.testing import override_storage
from tests.helpers.tenants import BOTH, OURS, options_of

KINDS = ["memory", "local", "s3", "cache"]


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest) -> Iterator[FSSpecStorage]:
    with override_storage(default=options_of(request.param)):
        yield get_storage("default")


@pytest.fixture
def memory() -> Iterator[FSSpecStorage]:
    with override_storage(default=options_of("memory")):
        yield get_storage("default")


@pytest.fixture(params=["memory", "s3", "read through"])
def alias(request: pytest.FixtureRequest) -> Iterator[str]:
    kind = "memory" if request.param == "read through" else request.param
    new, old = ({"BACKEND": OURS, "OPTIONS": options_of(kind)} for _ in range(2))
    both = {"BACKEND": BOTH, "OPTIONS": {"primary": "default", "fallback": "old"}}
    with override_settings(
        STORAGES={**settings.STORAGES, "default": new, "old": old, "both": both}
    ):
        yield "both" if request.param == "read through" else "default"
