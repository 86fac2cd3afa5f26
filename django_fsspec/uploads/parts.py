"""Uploads in parts to a service: signed URLs, which parts arrived, and joining them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django_fsspec.adapters.direct_uploads import Direct, StoredPart
from django_fsspec.core.flows import Flow, call

from .pending_parts import PendingParts
from .tokens import Upload, UploadRefused

if TYPE_CHECKING:
    from django_fsspec.storage.fsspec_storage import FSSpecStorage

#: parts of one upload; the client gets a URL for each
MAX_PARTS = 1000
MIN_PART = 5 * 1024 * 1024  # bytes; the limit of S3


def instructions(upload: Upload, url: str | None, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return what ``start()`` tells a client, without parts."""
    return {
        "method": "PUT",
        "url": url,
        "headers": dict(headers),
        "upload": upload.signed(),
        "part_size": upload.part_size or None,
        "parts": [],
    }


class ServiceParts:
    """The parts of one upload that the service keeps until they are joined."""

    def __init__(self, storage: FSSpecStorage, direct: Direct, upload: Upload) -> None:
        self._storage, self._direct, self._upload = storage, direct, upload
        self._path = storage.flows.path(upload.name)

    def begin(self, options: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """Begin the upload and return what ``start()`` tells the client: 1 request."""
        least = max(self._storage.options.chunk_size, MIN_PART)
        size = max(least, -(-self._upload.size // MAX_PARTS))
        upload_id = yield from call(self._direct.begin, self._path, options)
        self._upload = dataclasses.replace(self._upload, upload_id=upload_id, part_size=size)
        told = instructions(self._upload, None, {})
        numbers = range(1, len(self._upload.part_sizes()) + 1)
        return {**told, "parts": (yield from self._signed(numbers))}

    def _signed(self, numbers: Iterable[int]) -> Flow[list[dict[str, Any]]]:
        """Return ``{number, url, size}`` for each of the parts `numbers`. No request."""
        seconds, parts = self._storage.options.url_expires_in, []
        for number in numbers:
            size = self._upload.part_sizes()[number - 1]
            url = yield from call(
                self._direct.sign_part,
                self._path,
                self._upload.upload_id,
                number,
                seconds,
                size=size,
            )
            parts.append({"number": number, "url": url, "size": size})
        return parts

    def _arrived(self) -> Flow[dict[int, StoredPart]]:
        """Return the parts that arrived with the announced size, by number."""
        parts = yield from call(self._direct.parts, self._path, self._upload.upload_id)
        sizes = dict(enumerate(self._upload.part_sizes(), 1))
        return {part.number: part for part in parts if sizes.get(part.number) == part.size}

    def _missing(self, arrived: Mapping[int, StoredPart]) -> list[int]:
        return [n for n in range(1, len(self._upload.part_sizes()) + 1) if n not in arrived]

    def status(self) -> dict[str, Any]:
        """Return what ``uploads.status()`` does. Raises ``UploadRefused`` where it is gone."""
        return self._storage.flows.run(self._status())

    def _status(self) -> Flow[dict[str, Any]]:
        try:
            arrived = yield from self._arrived()
        except FileNotFoundError:
            raise UploadRefused(410, "The upload does not exist any more.") from None
        return {
            "finished": [
                {"number": part.number, "size": part.size, "etag": part.etag}
                for part in arrived.values()
            ],
            "parts": (yield from self._signed(self._missing(arrived))),
        }

    def complete(self) -> None:
        """Join the parts: 2 requests. Raises ``UploadRefused`` where some are missing."""
        self._storage.flows.run(self._complete())

    def _complete(self) -> Flow[None]:
        try:
            arrived = yield from self._arrived()
            if missing := self._missing(arrived):
                numbers = ", ".join(map(str, missing[:20]))
                raise UploadRefused(400, f"Parts are missing: {numbers}.")
            ordered = [arrived[number] for number in sorted(arrived)]
            yield from call(self._direct.complete, self._path, self._upload.upload_id, ordered)
        except FileNotFoundError:
            pass  # a request whose response was lost has completed it; the caller finds out
        except FileExistsError:
            raise UploadRefused(412, "A file with this name exists already.") from None

    def abort(self) -> None:
        """Have the service drop what arrived: 1 request."""
        abort = call(self._direct.abort, self._path, self._upload.upload_id)
        self._storage.flows.run(abort)


def parts_of(storage: FSSpecStorage, upload: Upload) -> ServiceParts | PendingParts | None:
    """Return the parts of an upload; None for one in one piece.

    Raises ``UploadRefused``: 403 where the storage takes no direct uploads any more.
    """
    if upload.parts_id:
        return PendingParts(storage, upload)
    if not upload.upload_id:
        return None
    direct = storage.flows.adapter.direct
    if direct is None:
        raise UploadRefused(403, "The storage of the upload does not take direct uploads.")
    return ServiceParts(storage, direct, upload)
