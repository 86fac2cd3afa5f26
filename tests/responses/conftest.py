"""A storage of files to send."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.files.storage import storages
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage


@pytest.fixture
def media() -> Iterator[FSSpecStorage]:
    with override_storage("default", "media") as _:
        storage = storages["media"]
        assert isinstance(storage, FSSpecStorage)
        yield storage


@pytest.fixture
def no_database() -> Iterator[None]:
    """Do as Django's test client: a request closes no connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
