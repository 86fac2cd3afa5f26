"""Any Django storage, with what ``FSSpecStorage`` has beyond Django's API."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from django.core.files.base import File
from django.core.files.storage import Storage

from django_fsspec.core.content_types import guess_type
from django_fsspec.core.source import ContentFailed, Source
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported

from .fsspec_storage import FSSpecStorage

_PIECE = 256 * 1024
#: content up to this many bytes stays in memory
_SMALL = 2_621_440


def reach(storage: Storage) -> FSSpecStorage | Plain:
    """Return `storage` with our methods: itself when it has them."""
    return storage if isinstance(storage, FSSpecStorage) else Plain(storage)


class Plain:
    """Our methods over a storage that has Django's alone. Async callers reach it by a thread."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.open = storage.open
        self.exists = storage.exists
        self.delete = storage.delete

    def store(
        self,
        name: str,
        content: Any,
        *,
        max_length: int | None = None,
        content_type: str | None = None,
        checksum: bool | str = True,
        exact: bool = False,
    ) -> Stat:
        """Save `content` and return what is known of it."""
        if exact and self._storage.exists(name):
            raise FileExistsError(errno.EEXIST, "File exists", name)
        algorithm = "sha256" if checksum is True else checksum
        source = Source(content, limit=_SMALL, checksum=algorithm or None)
        with tempfile.SpooledTemporaryFile(max_size=_SMALL) as spool:
            try:
                source.load()
                for chunk in source.chunks(_PIECE):
                    spool.write(chunk)
            except ContentFailed as error:
                raise error.__cause__ or error from None
            finally:
                source.close()
            spool.seek(0)
            file: File[bytes] = File(spool, name)
            stored = self._storage.save(name, file, max_length=max_length)
        if exact and stored != name:
            self._storage.delete(stored)
            raise FileExistsError(errno.EEXIST, "File exists", name)
        return Stat(
            name=stored,
            size=source.size,
            checksum=source.checksum,
            content_type=content_type or guess_type(name, content),
            last_modified=self._modified_if_told(stored),
        )

    def _modified_if_told(self, name: str) -> datetime | None:
        # the file is stored: a storage that does not answer now must not make it a failure
        with contextlib.suppress(OSError):
            return self._modified(name)
        return None

    def _modified(self, name: str) -> datetime | None:
        try:
            return self._storage.get_modified_time(name).astimezone()
        except NotImplementedError:
            return None

    def stat(self, name: str) -> Stat:
        """Return what the storage tells about a file."""
        return Stat(name=name, size=self._storage.size(name), last_modified=self._modified(name))

    def get_content(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return the file's bytes from `start` to `end`."""
        with self._storage.open(name) as file:
            if (start or 0) >= 0 and (end or 0) >= 0:
                file.seek(start or 0)
                return bytes(file.read(-1 if end is None else max(0, end - (start or 0))))
            return bytes(file.read()[start:end])

    def stream(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> Iterator[bytes]:
        """Yield the file's bytes from `start` to `end` in pieces."""
        with self._storage.open(name) as file:
            first, last, _ = slice(start, end).indices(file.size)
            file.seek(first)
            while first < last and (piece := file.read(min(_PIECE, last - first))):
                first += len(piece)
                yield piece

    async def astream(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See stream()."""
        pieces = self.stream(name, start, end)
        try:
            while (piece := await asyncio.to_thread(next, pieces, b"")) != b"":
                yield piece
        finally:
            pieces.close()  # type: ignore[attr-defined]

    def digest(self, name: str, algorithm: str = "sha256") -> tuple[int, str]:
        """Read a file and return its size and ``"<algorithm>:<hex>"``."""
        found, size = hashlib.new(algorithm), 0
        for piece in self.stream(name):
            found.update(piece)
            size += len(piece)
        return size, f"{algorithm}:{found.hexdigest()}"

    def sign(
        self,
        name: str,
        expires_in: int | None = None,
        for_upload: bool = False,
        **headers: Any,
    ) -> str:
        """Return the storage's own URL, which says nothing of time, method or headers."""
        if expires_in is not None or for_upload or headers:
            raise NotSupported(f"{type(self._storage).__name__} can't sign URLs.")
        return self._storage.url(name)
