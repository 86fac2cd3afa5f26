"""Uploads in parts to a service: signed URLs, which parts arrived, and joining them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django_fsspec.adapters.direct_uploads import Direct, Part, StoredPart
from django_fsspec.core.flows import Flow, call
from django_fsspec.rows.claims import FOLDER
from django_fsspec.storage import object_options
from django_fsspec.storage.options import OptionError

from .pending_parts import MAX_URLS, PendingParts
from .refusals import UploadRefused
from .tokens import Upload

if TYPE_CHECKING:
    from django_fsspec.storage.fsspec_storage import FSSpecStorage

#: bytes; the limit of S3
MIN_PART = 5 * 1024 * 1024
#: bytes; parts of GCS are multiples
PART_UNIT = 256 * 1024


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
        self._target = storage.flows.path(upload.name)

    @property
    def _path(self) -> str:
        """Where the parts are sent to."""
        if not self._direct.staged:
            return self._target
        return self._storage.flows.path(f"{FOLDER}/{self._upload.upload_id}.bin")

    def begin(self, options: Mapping[str, Any], origin: str) -> Flow[dict[str, Any] | None]:
        """Begin the upload and return what ``start()`` tells the client: 1 request.

        None where the credentials can't sign.
        """
        chunk_size = self._storage.options.chunk_size
        min_size = max(chunk_size, MIN_PART, -(-self._upload.size // MAX_URLS))
        upload_id = yield from call(
            self._direct.begin, self._target, options, size=self._upload.size, origin=origin
        )
        if upload_id is None:
            return None
        size = -(-min_size // PART_UNIT) * PART_UNIT
        self._upload = dataclasses.replace(self._upload, upload_id=upload_id, part_size=size)
        answer = instructions(self._upload, None, {})
        if self._direct.in_order:
            answer["parallel"] = 1
        return {**answer, "parts": (yield from self._signed(self._upload.parts()))}

    def _signed(self, parts: Iterable[Part]) -> Flow[list[dict[str, Any]]]:
        """Return what the client is told of each of `parts`. No request."""
        seconds, signed_parts = self._storage.options.url_expires_in, []
        for part in parts:
            signed = yield from call(
                self._direct.sign_part, self._path, self._upload.upload_id, part, seconds
            )
            signed_part = {"number": part.number, "url": signed.url, "size": part.size}
            if self._direct.in_order:
                signed_part |= {"offset": part.offset, "headers": signed.headers}
            signed_parts.append(signed_part)
        return signed_parts

    def status(self) -> dict[str, Any]:
        """Return what ``uploads.status()`` does. Raises ``UploadRefused`` where it is gone."""
        return self._storage.flows.run(self._status(), "upload_status", self._upload.name)

    def _status(self) -> Flow[dict[str, Any]]:
        finished: list[dict[str, Any]]
        try:
            if self._direct.in_order:
                offset = yield from self._offset()
                finished, missing = self._upload.sent(offset), self._upload.parts(offset)
            else:
                arrived = yield from self._arrived()
                finished = [dataclasses.asdict(part) for part in arrived.values()]
                missing = self._missing(arrived)
        except FileNotFoundError:
            raise UploadRefused(410, "The upload does not exist any more.") from None
        return {"finished": finished, "parts": (yield from self._signed(missing))}

    def _offset(self) -> Flow[int]:
        size, upload_id = self._upload.size, self._upload.upload_id
        return (yield from call(self._direct.offset, self._path, upload_id, size))

    def _arrived(self) -> Flow[dict[int, StoredPart]]:
        """Return the parts that arrived with the announced size, by number."""
        parts = yield from call(self._direct.parts, self._path, self._upload.upload_id)
        sizes = {part.number: part.size for part in self._upload.parts()}
        return {part.number: part for part in parts if sizes.get(part.number) == part.size}

    def _missing(self, arrived: Mapping[int, StoredPart]) -> list[Part]:
        return [part for part in self._upload.parts() if part.number not in arrived]

    def complete(self, sha256: str) -> str:
        """Join the parts: 1 to 4 requests. Raises ``UploadRefused`` where some are missing.

        Returns `sha256`, which no service can check.
        """
        self._storage.flows.run(self._complete(), "upload_complete", self._upload.name)
        return sha256

    def _complete(self) -> Flow[None]:
        try:
            if self._direct.in_order:
                offset = yield from self._offset()
                if offset < self._upload.size:
                    raise UploadRefused(400, f"{offset} of {self._upload.size} bytes arrived.")
                return
            arrived = yield from self._arrived()
            if missing := self._missing(arrived):
                if self._direct.staged and not arrived and (yield from self._is_stored()):
                    return  # a request whose response was lost has completed it
                numbers = ", ".join(str(part.number) for part in missing[:20])
                raise UploadRefused(400, f"Parts are missing: {numbers}.")
            yield from call(
                self._direct.complete,
                self._path,
                self._upload.upload_id,
                [arrived[number] for number in sorted(arrived)],
                target=self._target,
                options=direct_options(self._storage, self._upload) or {},
            )
        except FileNotFoundError:
            pass  # a request whose response was lost has completed it; the caller finds out
        except FileExistsError:
            raise UploadRefused(412, "A file with this name exists already.") from None

    def _is_stored(self) -> Flow[bool]:
        return (yield from self._storage.flows.exists(self._upload.name))

    def abort(self) -> None:
        """Have the service drop what arrived: 1 or 2 requests."""
        abort = call(self._direct.abort, self._path, self._upload.upload_id)
        self._storage.flows.run(abort, "upload_abort", self._upload.name)


def direct_options(storage: FSSpecStorage, upload: Upload) -> dict[str, Any] | None:
    """Return the options to store an upload with; None where only Django can store the file."""
    flows = storage.flows
    if object_options.packs(storage.options, upload.content_type):
        return None
    try:
        options = object_options.resolve(storage.options, flows.adapter.dialect, upload.name, None)
    except OptionError as error:
        raise flows.errors.misconfigured(error) from None
    return None if options.get("extra") else {**options, "content_type": upload.content_type}


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
