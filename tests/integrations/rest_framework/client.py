"""What clients of the API send, and what is stored of it."""

from __future__ import annotations

from typing import Any

from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile

DESCRIPTION = {"filename": "secret.txt", "backend": "second", "metadata": {"a": 1}}


def upload(data: str | bytes = "one", name: str = "May.txt") -> SimpleUploadedFile:
    content = data.encode() if isinstance(data, str) else data
    return SimpleUploadedFile(name, content, "application/x-lie")


def there() -> list[str]:
    """Return the content of all that is stored."""
    storage: Any = storages["default"]
    return sorted(storage.get_content(stat.name).decode() for stat in storage.walk())


def self_made(model: Any, name: str) -> str:
    return f"/{name}/{model.objects.create().pk}/"


def refusal(serializer: Any) -> Any:
    assert not serializer.is_valid()
    return serializer.errors
