"""Content of every kind that a field accepts, each with bytes of its own."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile

from django_fsspec import FileObject

from .property_oracle import MemoryFile

ELSEWHERE = b"content of another storage"


class Contents:
    """Makes content for one run of the machine; ``close()`` closes what is open."""

    KINDS = (
        *("bytes", "text", "upload", "unsaved", "string", "path", "disk"),
        *("foreign", "foreign text", "generator", "iterable"),
    )

    def __init__(self) -> None:
        self._serial = itertools.count(1)
        self._resources = contextlib.ExitStack()
        self._folder: Path | None = None
        storages["second"].save("elsewhere.txt", ContentFile(ELSEWHERE))

    def close(self) -> None:
        self._resources.close()

    def make(self, kind: str) -> tuple[Any, MemoryFile]:
        """Return what to assign, and what memory is to hold then."""
        data = f"{kind} {next(self._serial)}".encode()
        name = f"{data.decode().replace(' ', '-')}.txt"
        value = getattr(self, f"_{kind.replace(' ', '_')}")(name, data)
        if kind.startswith("foreign"):
            data = ELSEWHERE
        return value, MemoryFile(data, once=kind == "generator")

    @staticmethod
    def _bytes(name: str, data: bytes) -> Any:
        return ContentFile(data, name)

    @staticmethod
    def _text(name: str, data: bytes) -> Any:
        return ContentFile(data.decode(), name)

    @staticmethod
    def _upload(name: str, data: bytes) -> Any:
        return SimpleUploadedFile(name, data)

    @staticmethod
    def _unsaved(name: str, data: bytes) -> Any:
        return FileObject("default", name, content=data)

    @staticmethod
    def _string(name: str, data: bytes) -> Any:
        return FileObject("default", name, content=data.decode())

    def _path(self, name: str, data: bytes) -> Any:
        return FileObject("default", name, content=self._on_disk(name, data))

    def _disk(self, name: str, data: bytes) -> Any:
        file = self._on_disk(name, data).open("rb")
        return File(self._resources.enter_context(file), name)

    def _on_disk(self, name: str, data: bytes) -> Path:
        if self._folder is None:
            self._folder = Path(self._resources.enter_context(tempfile.TemporaryDirectory()))
        path = self._folder / name
        path.write_bytes(data)
        return path

    def _foreign(self, name: str, data: bytes) -> Any:
        return self._resources.enter_context(storages["second"].open("elsewhere.txt"))

    def _foreign_text(self, name: str, data: bytes) -> Any:
        return self._resources.enter_context(storages["second"].open("elsewhere.txt", "r"))

    @staticmethod
    def _generator(name: str, data: bytes) -> Any:
        return FileObject("default", name, content=(bytes([byte]) for byte in data))

    @staticmethod
    def _iterable(name: str, data: bytes) -> Any:
        return FileObject("default", name, content=[data[:3], data[3:]])
