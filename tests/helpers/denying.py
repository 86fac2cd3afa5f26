"""A storage of another package that says of no file that it exists, so that saves overwrite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage


class Denying(Storage):
    """Nothing is known of its class; it keeps its files on the disk."""

    def __init__(self, location: str) -> None:
        self._disk: Any = FileSystemStorage(location, allow_overwrite=True)

    def exists(self, name: str) -> bool:
        return False

    def _save(self, name: str, content: File[Any]) -> str:
        return str(self._disk._save(name, content))

    def _open(self, name: str, mode: str = "rb") -> Any:
        return self._disk._open(name, mode)

    def size(self, name: str) -> int:
        return int(self._disk.size(name))

    def delete(self, name: str) -> None:
        self._disk.delete(name)


class DenyingDisk(FileSystemStorage):
    """Django's own storage, which overwrites in the way that was usual before Django 5.1."""

    def exists(self, name: str) -> bool:
        return False

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        self.delete(name)
        return name


KINDS = [Denying, DenyingDisk]


def alias(kind: type[Storage], place: Path) -> dict[str, Any]:
    """Return the entry of STORAGES."""
    return {"BACKEND": f"{__name__}.{kind.__name__}", "OPTIONS": {"location": str(place)}}
