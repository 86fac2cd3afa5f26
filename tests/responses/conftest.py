"""A storage of files to send."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.files.storage import storages

from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage


@pytest.fixture
def media() -> Iterator[FSSpecStorage]:
    with override_storage("default", "media") as _:
        storage = storages["media"]
        assert isinstance(storage, FSSpecStorage)
        yield storage
