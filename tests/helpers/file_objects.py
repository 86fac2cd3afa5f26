"""What the tests of FileObject share: an alias of each kind of storage, content of each kind."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import File
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import _local, _memory, _s3, folder

DATA = bytes(range(256)) * 40
SHA = "sha256:" + hashlib.sha256(DATA).hexdigest()
NINE = [
    "filename",
    "content_type",
    "size",
    "last_modified",
    "checksum",
    "etag",
    "version_id",
    "metadata",
    "backend",
]


def _foreign(backend: str, **options: Any) -> dict[str, Any]:
    return {"BACKEND": f"django.core.files.storage.{backend}", "OPTIONS": options}


# modules take it by assignment; of an import ruff would say that nothing uses it
@pytest.fixture(autouse=True)
def aliases(tmp_path: Path) -> Iterator[None]:
    """One alias a kind; "near" is another folder on the disk of "local"."""
    root = folder()
    ours = {
        "local": _local(root),
        "near": _local(f"{root}-near"),
        "memory": _memory(root),
        "s3": _s3(servers.SeaweedS3)(root),
        "s3-near": _s3(servers.SeaweedS3)(f"{root}-near"),
    }
    theirs = {
        "disk": _foreign("FileSystemStorage", location=str(tmp_path / "disk"), base_url="/d/"),
        "ram": _foreign("InMemoryStorage", base_url="/r/"),
    }
    with override_storage(**ours), override_settings(STORAGES={**settings.STORAGES, **theirs}):
        yield


OURS = ["local", "memory", "s3"]
ALL = [*OURS, "disk", "ram"]


def stored(alias: str = "memory", name: str = "docs/a.txt", content: Any = DATA) -> FileObject:
    return FileObject(alias, name, content=content).save()


class Slow:
    """Content with chunks() alone."""

    def chunks(self) -> Iterator[bytes]:
        yield DATA[:100]
        yield DATA[100:]


async def items() -> AsyncIterator[bytes]:
    for start in range(0, len(DATA), 1000):
        await asyncio.sleep(0)
        yield DATA[start : start + 1000]


def contents(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "source.bin"
    path.write_bytes(DATA)
    temporary = TemporaryUploadedFile("up.bin", "application/x-up", len(DATA), None)
    temporary.write(DATA)
    return {
        "bytes": DATA,
        "bytearray": bytearray(DATA),
        "memoryview": memoryview(DATA),
        "file": open(path, "rb"),
        "memory": io.BytesIO(DATA),
        "upload": SimpleUploadedFile("up.bin", DATA),
        "temporary upload": temporary,
        "Django file": File(io.BytesIO(DATA)),
        "path": path,
        "list": [DATA[:5], DATA[5:]],
        "generator": (DATA[i : i + 7] for i in range(0, len(DATA), 7)),
        "chunks": Slow(),
    }


def broken() -> Iterator[bytes]:
    yield b"some"
    raise KeyError("from the content")
