"""What the tests of the lifecycle share: places, files, what is stored and what rows hold."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db.models.signals import ModelSignal

from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import _s3, folder
from tests.library.models import Paper


# modules take fixtures by assignment; of an import ruff would say that parameters redefine it
@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    options: dict[str, Any] = {"fs": "memory", "prefix": folder()}
    if request.param == "s3":
        options = _s3(servers.SeaweedS3)(folder())
    with override_storage("second", default=options):
        yield request.param


def text(data: str = "one", name: str = "a.txt") -> ContentFile[str]:
    return ContentFile(data, name=name)


def there(alias: str = "default") -> list[str]:
    """Return the content of all that is stored."""
    storage: Any = storages[alias]
    return sorted(storage.get_content(stat.name).decode() for stat in storage.walk())


def held(model: Any = Paper) -> list[str | None]:
    """Return the content of all that rows hold."""
    return [row.file and row.file.get_content().decode() for row in model.objects.order_by("pk")]


class Mishap(Exception):
    pass


@contextlib.contextmanager
def receiving(signal: ModelSignal, receiver: Callable[..., None], sender: Any) -> Iterator[None]:
    """Have `receiver` called after all who were there before it."""
    signal.connect(receiver, sender=sender)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)
