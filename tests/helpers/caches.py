"""Storages with caches in front of them, and what reads them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server

KINDS = ("filecache", "simplecache", "blockcache")
each_kind = pytest.mark.parametrize("kind", KINDS)

DATA = bytes(range(256)) * 100
#: bytes of a block: the data are some blocks
BLOCK = 8192


def cached(
    kind: str,
    at: str | Path | list[str] | None,
    *,
    fs: str = "memory",
    prefix: str | None = None,
    fs_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> FSSpecStorage:
    """Return a storage with a cache in the folder `at`, in the default one when None."""
    cache = options if at is None else {"cache_storage": at, **options}
    return FSSpecStorage(
        fs=f"{kind}::{fs}",
        prefix=folder() if prefix is None else prefix,
        fs_options={kind: cache, fs: dict(fs_options or {})},
        chunk_size=BLOCK,
        allow_overwrite=True,
    )


def below(storage: FSSpecStorage) -> FSSpecStorage:
    """Return a storage of the same files without the cache."""
    fs = storage.options.fs.partition("::")[2]
    return FSSpecStorage(
        fs=fs,
        prefix=storage.options.prefix,
        fs_options=storage.options.fs_options[fs],
        allow_overwrite=True,
    )


def _s3() -> dict[str, Any]:
    s3 = server(servers.SeaweedS3)
    return {"fs": "s3", "fs_options": s3.fs_options, "prefix": f"{s3.bucket}/{folder()}"}


def _sftp() -> dict[str, Any]:
    ssh = server(servers.OpenSSH)
    return {"fs": "sftp", "fs_options": ssh.fs_options, "prefix": f"{ssh.path}/{folder()}"}


#: arguments of `cached()` for filesystems that can be written to
TARGETS: dict[str, Callable[[], dict[str, Any]]] = {
    "memory": lambda: {"prefix": folder()},
    "s3": _s3,
    "sftp": _sftp,
}


def _stream(storage: FSSpecStorage, name: str) -> bytes:
    return b"".join(storage.stream(name))


def _opened(storage: FSSpecStorage, name: str) -> bytes:
    with storage.open(name) as file:
        content: bytes = file.read()
        return content


def _ranges(storage: FSSpecStorage, name: str) -> bytes:
    return storage.get_content(name, 0, 9000) + storage.get_content(name, 9000)


def _async_content(storage: FSSpecStorage, name: str) -> bytes:
    return asyncio.run(storage.aget_content(name))


def _async_stream(storage: FSSpecStorage, name: str) -> bytes:
    async def pieces() -> list[bytes]:
        return [piece async for piece in storage.astream(name)]

    return b"".join(asyncio.run(pieces()))


READS: dict[str, Callable[[FSSpecStorage, str], bytes]] = {
    "content": FSSpecStorage.get_content,
    "stream": _stream,
    "open": _opened,
    "ranges": _ranges,
    "async content": _async_content,
    "async stream": _async_stream,
}


def files_of(at: str | Path) -> list[Path]:
    """Return the files in a cache folder that hold bytes of a file: whole ones and blocks."""
    return [path for path in sorted(Path(at).rglob("*")) if is_content(path)]


def is_content(path: Path) -> bool:
    return path.is_file() and path.suffix != ".json"


def folders_of_files(at: str | Path) -> set[Path]:
    """Return the folders of versions."""
    return {Path(top) for top, _, names in os.walk(at) if "stat.json" in names}


def parts_in(at: str | Path) -> list[Path]:
    """Return what is in the folders of parts."""
    return [*Path(at).rglob(".parts/*")]
