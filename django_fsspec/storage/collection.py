"""A run of ``collectstatic``: one listing of what is there, and uploads side by side."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

from django.core.files.base import ContentFile, File
from django.utils import timezone

from django_fsspec.core.stat import Stat
from django_fsspec.signals import muted

if TYPE_CHECKING:
    from .fsspec_storage import FSSpecStorage

#: uploads under way at once
WORKERS = 32
#: bytes: a larger file is sent from where it is, while the command waits
LARGE = 1024 * 1024

_MD5 = re.compile(r"[0-9a-f]{32}")


class StaticCollection:
    """The files of a storage while they are collected.

    Answers from one listing, made when it is first asked (1 request per 1000 files). A file whose
    size and checksum are those in the listing is not sent; the others are sent by threads. What
    is deleted is deleted by ``finish()``, unless it was saved again: a site that is served
    meanwhile misses no file.

    `save` stores one file under exactly its name, from several threads at once.
    """

    def __init__(self, storage: FSSpecStorage, save: Callable[[str, Any], object]) -> None:
        self._storage = storage
        self._save = save
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="collectstatic")
        self._slots = BoundedSemaphore(WORKERS)
        self._uploads: dict[str, Future[None]] = {}
        self._error: Exception | None = None
        self._deleted: set[str] = set()
        self._kept: dict[str, bytes] = {}
        #: names of files that were saved, and are there already with the same content
        self.unchanged: set[str] = set()
        #: whether files are sent that are there with the same content, as after --clear
        self.sends_all = False
        #: the storage and the name that a file was collected from
        self.sources: Mapping[str, tuple[Any, str]] = {}
        #: tells whether a file may be saved under another name yet, so that it is sent last
        self.is_preliminary: Callable[[str], bool] = lambda name: False
        #: tells whether a name follows from the content, so that who has it has the content
        self.follows: Callable[[str, bytes], bool] = lambda name, content: False
        #: the names of variants that a file may have
        self.variants: Callable[[str], Iterable[str]] = lambda name: ()
        #: called after each upload
        self.on_upload: Callable[[], object] = lambda: None

    @cached_property
    def _listed(self) -> dict[str, Stat]:
        return {stat.name: stat for stat in self._storage.walk()}

    @cached_property
    def _files(self) -> dict[str, Stat | None]:
        """What is there, of this run None."""
        return dict(self._listed)

    @cached_property
    def _folders(self) -> set[str]:
        return {folder for name in self._listed for folder in _folders_of(name)}

    # asking

    def exists(self, name: str) -> bool:
        """Return whether there is a file or a directory."""
        return not name or name in self._files or name.rstrip("/") in self._folders

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of directories and files in `path`."""
        folder = f"{path.rstrip('/')}/" if path else ""
        below = [name.removeprefix(folder) for name in self._files if name.startswith(folder)]
        directories = {name.partition("/")[0] for name in below if "/" in name}
        return sorted(directories), sorted(name for name in below if "/" not in name)

    def is_listed(self, name: str) -> bool:
        """Return whether there was a file before this run."""
        return name in self._listed

    def stat(self, name: str) -> Stat:
        """Return what the listing says, of a file of this run that it is new.

        Raises ``FileNotFoundError``.
        """
        if name not in self._files:
            raise FileNotFoundError(name)
        return self._files[name] or Stat(name=name, last_modified=timezone.now())

    def open(self, name: str) -> File[Any] | None:
        """Open a file where it was collected from; return None for another that is stored."""
        if name in self._kept:
            return ContentFile(self._kept[name], name)
        if name in self.sources:
            source, path = self.sources[name]
            return source.open(path)  # type: ignore[no-any-return]
        if name in self._uploads:
            self._uploads[name].result()
        return None

    # changing

    def delete(self, name: str) -> None:
        """Leave out a file, to be deleted at the end."""
        self._files.pop(name, None)
        self._kept.pop(name, None)
        self._deleted.add(name)

    def keep(self, name: str) -> None:
        """Do not delete a file at the end."""
        self._deleted.discard(name)

    def save(self, name: str, content: File[Any]) -> None:
        """Store a file, unless it is there with the same content.

        Waits while ``WORKERS`` uploads are under way. Raises what an upload before it raised.
        """
        if self._error is not None:
            raise self._error
        self._deleted.discard(name)
        self._folders.update(_folders_of(name))
        data = _small(content)
        if self._is_stored(name, content if data is None else data):
            self._files[name] = self._listed[name]
            self.unchanged.add(name)
            return
        self._files[name] = None
        if data is None:
            self._save(name, content)
            self.on_upload()
        elif self.is_preliminary(name):
            self._kept[name] = data
        else:
            self._send(name, data)

    def upload(self) -> None:
        """Send what was kept, and wait for all uploads. Raises what one of them raised."""
        for name, data in self._kept.items():
            self._send(name, data)
        self._kept.clear()
        for upload in self._uploads.values():
            upload.result()

    def finish(self) -> None:
        """Send the rest, then delete: 1 request per 1000 files.

        Raises ``StorageError`` for files that could not be deleted, and what ``upload()`` raises.
        """
        self.upload()
        doomed = self._deleted | {v for name in self._deleted for v in self.variants(name)}
        if listed := sorted(doomed & self._listed.keys()):
            with muted():  # nor do the uploads send a signal
                self._storage.delete_many(listed)

    def close(self) -> None:
        """Start no further uploads, and wait for those under way."""
        self._pool.shutdown(cancel_futures=True)

    def _is_stored(self, name: str, content: bytes | File[Any]) -> bool:
        stat = self._listed.get(name)
        if stat is None or self.sends_all or name in self._uploads:
            return False
        if isinstance(content, bytes) and self.follows(name, content):
            return True
        size = len(content) if isinstance(content, bytes) else content.size
        return stat.size == size and _has_checksum(stat, content)

    def _send(self, name: str, data: bytes) -> None:
        if earlier := self._uploads.get(name):
            earlier.result()
        self._slots.acquire()
        self._uploads[name] = self._pool.submit(self._upload, name, data)

    def _upload(self, name: str, data: bytes) -> None:
        try:
            self._save(name, ContentFile(data, name))
        except Exception as error:
            self._error = error
            raise
        finally:
            self._slots.release()
        self.on_upload()


def _folders_of(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def _small(content: File[Any]) -> bytes | None:
    """Return the content of a file that is not large."""
    try:
        if content.size > LARGE:
            return None
    except (AttributeError, OSError, NotImplementedError):
        return None
    chunks = content.chunks()
    return b"".join(chunk.encode() if isinstance(chunk, str) else chunk for chunk in chunks)


def _has_checksum(stat: Stat, content: bytes | File[Any]) -> bool:
    """Return whether a file has the checksum of a listing; False where the listing has none."""
    algorithm, _, digest = (stat.checksum or "").partition(":")
    if stat.etag and _MD5.fullmatch(stat.etag):
        # of S3, for an object that was sent in one request and is not encrypted by a key of KMS
        algorithm, digest = "md5", stat.etag
    if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
        return False
    own = hashlib.new(algorithm, usedforsecurity=False)
    for chunk in [content] if isinstance(content, bytes) else content.chunks():
        own.update(chunk)
    return own.hexdigest() == digest
