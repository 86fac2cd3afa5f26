"""A site of two storages, and a browser of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.fixture
def two_storages(settings: Settings, tmp_path: Path, db: None) -> None:
    def storage(**options: Any) -> dict[str, Any]:
        return {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}

    settings.STORAGES = {
        "default": storage(fs="file", prefix=str(tmp_path / "media"), label="Local disk"),
        "s3": storage(fs="memory", prefix=tmp_path.name, label="S3"),
        "staticfiles": settings.STORAGES["staticfiles"],
    }


@pytest.fixture
def browser(two_storages: None) -> Client:
    return Client()
