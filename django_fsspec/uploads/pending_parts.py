"""Uploads in parts to our own views: until they are joined, parts are files of the storage.

There every process finds them. Their folder and names are ours, and the extension is one that web
servers neither run nor show.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import secrets
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.urls import reverse

from django_fsspec.core.content_types import UNKNOWN_TYPE
from django_fsspec.core.flows import call
from django_fsspec.core.source import Source
from django_fsspec.rows import slots
from django_fsspec.rows.claims import FOLDER
from django_fsspec.signals import muted

from .refusals import UploadRefused, other_bytes
from .tokens import HOUR, Upload

if TYPE_CHECKING:
    from django_fsspec.storage.fsspec_storage import FSSpecStorage

#: seconds after which parts are deleted; their tokens expire long before
MAX_AGE = 24 * HOUR
#: parts of one upload: clients choose their sizes
MAX_PARTS = 10_000
#: parts that a client is told of, each with its URL; to services, too
MAX_URLS = 1000
#: bytes that a request holds in memory at most, unless `chunk_size` is more
MAX_PART = 64 * 1024 * 1024
#: instead of an offset: the upload was deleted
_DELETED = "deleted"
_NAME = re.compile(
    rf"{re.escape(FOLDER)}/[0-9a-f]{{2}}/([0-9a-f]{{32}})-(\d{{15}}|{_DELETED})\.bin"
)
#: what a client sends with each part
HEADERS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


class PendingParts:
    """The parts of one upload, each named by its offset in bytes.

    Of requests that add a part at the same offset all but one are refused, where the storage
    creates files atomically. They are in one of 256 folders: each request lists one, and nobody
    fills all. Parts older than a day are deleted by the next request that lists their folder,
    whosever they are, and by ``sweep_files``.
    """

    def __init__(self, storage: FSSpecStorage, upload: Upload) -> None:
        self._storage, self._upload = storage, upload

    @property
    def piece_size(self) -> int:
        """How many bytes of a request are stored at a time, and held in memory."""
        chunk_size: int = self._storage.options.chunk_size
        # half of the parts are for connections that break
        return max(chunk_size, -(-self._upload.size // (MAX_PARTS // 2)))

    def begun(self, part_size: int = 0) -> Upload:
        """Return the upload with a new id of its parts. No request.

        Raises ``UploadRefused`` (413) where ``MAX_PARTS`` parts would be too large for the memory.
        """
        if self.piece_size > max(self._storage.options.chunk_size, MAX_PART):
            slots.free(self._upload.slot)
            raise UploadRefused(413, f"{self._upload.size} bytes are too many for this site.")
        parts_id = secrets.token_hex(16)
        self._upload = dataclasses.replace(self._upload, parts_id=parts_id, part_size=part_size)
        return self._upload

    def start(self) -> dict[str, Any]:
        """Return what ``uploads.start()`` tells the client. No request. Raises as ``begun()``."""
        size = max(self._storage.options.chunk_size, -(-self._upload.size // MAX_URLS))
        upload = self.begun(size)
        return {
            "method": "PATCH",
            "url": None,
            "headers": HEADERS,
            "upload": upload.signed(),
            "part_size": upload.part_size,
            "parts": self._missing(0),
            "parallel": 1,
        }

    def _missing(self, offset: int) -> list[dict[str, Any]]:
        """Return what to send from `offset` on: the rest of a part, then whole ones."""
        url = reverse("django_fsspec:tus_upload", kwargs={"token": self._upload.signed()})
        return [
            {
                "number": part.number,
                "url": url,
                "offset": part.offset,
                "size": part.size,
                "headers": {**HEADERS, "Upload-Offset": str(part.offset)},
            }
            for part in self._upload.parts(offset)
        ]

    def status(self) -> dict[str, Any]:
        """Return what ``uploads.status()`` does: 1 request, 2 before the first part is there."""
        offset = self.offset()
        return {"finished": self._upload.sent(offset), "parts": self._missing(offset)}

    def offset(self) -> int:
        """Return how many bytes arrived, all where the file is stored already.

        1 request, 2 before the first part is there. Raises ``UploadRefused`` (410) where the
        upload was deleted.
        """
        return sum(size for _, size in self._arrived()) or self._stored_size()

    def check_offset(self, offset: int) -> None:
        """Refuse a part that does not begin where the last one ended. Requests as ``offset()``.

        Raises ``UploadRefused``: 409, 410 where the upload was deleted, or 413 where there are
        ``MAX_PARTS`` parts.
        """
        arrived = self._arrived()
        reached = sum(size for _, size in arrived) or self._stored_size()
        if offset != reached:
            raise UploadRefused(409, f"The offset is {reached}, not {offset}.")
        if len(arrived) >= MAX_PARTS:
            message = f"The upload has {MAX_PARTS} parts. Begin it anew, with larger ones."
            raise UploadRefused(413, message)

    def _stored_size(self) -> int:
        flows = self._storage.flows
        for name in filter(None, (self._upload.name, self._upload.final_name)):
            with contextlib.suppress(FileNotFoundError):
                return flows.run(flows.size(name)) or 0
        return 0

    def _arrived(self) -> list[tuple[str, int]]:
        """Return names and sizes of the parts that follow each other from the beginning on.

        Raises ``UploadRefused`` (410) where the upload was deleted.
        """
        sizes, is_deleted = self._listed()
        if is_deleted:
            raise UploadRefused(410, "The upload was deleted.")
        arrived, offset = [], 0
        while part := sizes.pop(offset, None):
            arrived.append(part)
            offset += part[1]
        return arrived

    def _listed(self) -> tuple[dict[int, tuple[str, int]], bool]:
        """Return names and sizes of all parts by offset, and whether the upload was deleted."""
        sizes: dict[int, tuple[str, int]] = {}
        is_deleted = False
        old: list[str] = []
        for stat in self._storage.walk(f"{FOLDER}/{self._upload.parts_id[:2]}"):
            match = _NAME.fullmatch(stat.name)
            if match and match[1] == self._upload.parts_id and match[2] == _DELETED:
                is_deleted = True
            elif match and match[1] == self._upload.parts_id:
                sizes[int(match[2])] = (stat.name, stat.size or 0)
            elif match and stat.last_modified:
                age = time.time() - stat.last_modified.timestamp()
                old += [stat.name] if age > MAX_AGE else []
        with contextlib.suppress(OSError):
            self._delete(old[:MAX_PARTS])
        return sizes, is_deleted

    def add(self, offset: int, data: bytes) -> None:
        """Store a part: 1 request. Raises ``UploadRefused`` (409) where one is there."""
        try:
            self._create(self._name(offset), data)
        except FileExistsError:
            raise UploadRefused(409, "Another request has sent these bytes.") from None

    def _create(self, name: str, data: bytes) -> None:
        flows = self._storage.flows
        path, source = flows.path(name), Source(data, limit=len(data))
        source.load()
        creating = call(flows.adapter.create, path, source, {"content_type": UNKNOWN_TYPE})
        flows.run(creating, "save", name)

    def _name(self, offset: int | None) -> str:
        """Return the name of the part at `offset`; None is that of the note of a deletion."""
        parts_id = self._upload.parts_id
        ending = _DELETED if offset is None else f"{offset:015}"
        return f"{FOLDER}/{parts_id[:2]}/{parts_id}-{ending}.bin"

    def _delete(self, names: list[str]) -> None:
        # parts are no files to anybody else
        with muted():
            self._storage.delete_many(names)

    def drop(self, offsets: list[int]) -> None:
        """Delete the parts at `offsets`."""
        self._delete([self._name(offset) for offset in offsets])

    def complete(self, sha256: str) -> str:
        """Make a file of the parts, which are read once, and return the SHA-256 of its bytes.

        Returns "" where it was made before. Raises ``UploadRefused``: 400 where bytes are
        missing, or differ from `sha256`; then they are deleted; 410 where the upload was deleted.
        """
        arrived, flows, upload = self._arrived(), self._storage.flows, self._upload
        offset = sum(size for _, size in arrived)
        if offset != upload.size:
            if self._stored_size() == upload.size:
                return ""  # by an earlier request, whose response was lost
            raise UploadRefused(400, f"{offset} of {upload.size} bytes arrived.")
        names = [name for name, _ in arrived]
        own = {"content_type": upload.content_type}
        content = _Joined(self._storage, names, upload.size, sha256)
        try:
            with contextlib.suppress(FileExistsError):  # the same
                saving = flows.save(
                    upload.name, content, overwrite=False, exact=True, own_options=own
                )
                flows.run(saving, "save", upload.name)
        except UploadRefused:
            self._delete(names)
            raise
        except FileNotFoundError:
            if self._stored_size() != upload.size:
                raise
            return ""  # by a request at the same time, which has deleted its parts
        self._delete(names)
        return content.sha256

    def abort(self) -> None:
        """Delete the parts that arrived, and note that: what comes later is refused (410)."""
        with contextlib.suppress(FileExistsError):
            # before a request that is being answered adds a part; some services keep no empty file
            self._create(self._name(None), b"1")
        sizes, _ = self._listed()
        self._delete([name for name, _ in sizes.values()])


class _Joined:
    """Content to save: parts, one in memory at a time."""

    #: it can be read once more
    repeats = True

    def __init__(self, storage: FSSpecStorage, names: list[str], size: int, expected: str) -> None:
        self._flows, self._names, self.size = storage.flows, names, size
        self._expected, self.sha256 = expected, ""

    def __iter__(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for name in self._names:
            reading = call(self._flows.adapter.read, self._flows.path(name))
            data: bytes = self._flows.run(reading, "get_content", name)
            digest.update(data)
            if name == self._names[-1]:
                self.sha256 = digest.hexdigest()
                if self._expected not in ("", self.sha256):
                    raise other_bytes()
            yield data
