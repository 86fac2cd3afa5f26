"""Check what arrived: its size and content type. Sign a receipt, or delete the file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import DEFAULT_DB_ALIAS, router

from django_fsspec import validators
from django_fsspec.core.content_types import GENERIC_TYPES, canonical, is_active, safe_type
from django_fsspec.core.flows import Flow
from django_fsspec.core.log_fields import log_fields
from django_fsspec.core.stat import HEADERS
from django_fsspec.objects.description import REFUSED
from django_fsspec.objects.file_object import FileObject
from django_fsspec.objects.sniffing import HEAD
from django_fsspec.rows import slots
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from django_fsspec.signals import muted

from .parts import direct_options, parts_of
from .permission import check_permission
from .refusals import UploadRefused, not_passed
from .scans import scan
from .start import storage_of
from .tokens import Destination, Receipt, Upload, checked_sha256, expires_at

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat
    from django_fsspec.objects.images import Header
    from django_fsspec.storage.fsspec_storage import FSSpecStorage

logger = logging.getLogger("django_fsspec")

#: what browsers send of themselves with their cache off, as developer tools can set it
_OWN_CACHE_CONTROL = ("no-cache", "max-age=0")


def status(text: object) -> dict[str, Any]:
    """Return which parts of an upload arrived, and new URLs for the missing ones.

    ``finished`` is a list of ``{number, size, etag}``, ``parts`` of ``{number, url, size}``; both
    are empty for an upload in one piece. For an upload in parts 1 request, or 2 before the first
    part is there; else none. Raises ``UploadRefused``: 400 and 403 for a wrong token, 410 where it
    expired or the upload is gone; ``OSError`` where the storage fails.
    """
    upload = Upload.read(text)
    storage = storage_of(upload.alias)
    parts = parts_of(storage, upload)
    return parts.status() if parts else {"finished": [], "parts": []}


def finish(text: object, sha256: object = "") -> str:
    """Check the file that an upload stored and return its signed receipt.

    `sha256` is what the client computed while it sent, in hexadecimal, or "".

    1 request, 2 more where it came in parts, and 2 more for a file that something may run: it gets
    its name and content type now, unless it is larger than `chunk_size`.

    Raises ``UploadRefused``: 400 where parts are missing or the SHA-256 is not that of the bytes,
    400 and 403 for a wrong token, 404 where nothing arrived, 410 where the token expired or the
    upload was deleted, 412 where the name is taken. The file is deleted before it raises 403 where
    the hook `may_upload` does not allow it any more, 413 for another size, 415 for another content
    type or headers, and 422 where the hook `scan` refuses it. ``OSError`` where the storage fails.
    """
    upload = Upload.read(text)
    storage = storage_of(upload.alias)
    digest = _joined(storage, upload, upload.sha256 or checked_sha256(sha256))
    arrived = storage.flows.run(_arrived(storage, upload), "upload_finish", upload.name)
    upload, stat = arrived.upload, arrived.stat
    try:
        content_type, image = _checked(storage, arrived)
        if upload.final_name and upload.size <= storage.options.chunk_size:
            renaming = _renamed(storage, upload, arrived.head, content_type)
            stat = storage.flows.run(renaming, "save", upload.final_name)
            upload = replace(upload, name=upload.final_name)
        scan_state = _scanned(upload, stat, content_type)
    except UploadRefused:
        _remove(storage, upload)
        raise
    checksum = _checksum(storage, upload.name, stat, digest)
    slots.keep(upload.slot, Receipt.lifetime)
    return _receipt(upload, stat, content_type, image, checksum, scan_state).signed()


def _receipt(
    upload: Upload,
    stat: Stat,
    content_type: str,
    image: Header | None,
    checksum: str | None,
    scan_state: str,
) -> Receipt:
    return Receipt(
        destination=upload.destination,
        uploader=upload.uploader,
        expires=expires_at(Receipt),
        alias=upload.alias,
        name=upload.name,
        original=upload.original,
        size=upload.size if stat.size is None else stat.size,
        content_type=content_type,
        etag=stat.etag,
        version_id=stat.version_id,
        last_modified=stat.last_modified.timestamp() if stat.last_modified else None,
        checksum=checksum,
        width=image and image.width,
        height=image and image.height,
        slot=upload.slot,
        scan_state=scan_state,
    )


def _joined(storage: FSSpecStorage, upload: Upload, sha256: str) -> str:
    """Join the parts of an upload, if any, and return the SHA-256 of the file, "" if unknown.

    Raises ``UploadRefused`` (403), with all deleted, where the user may not upload any more.
    """
    parts = parts_of(storage, upload)
    try:
        check_permission(upload.destination)
    except UploadRefused:
        if parts:
            parts.abort()
        _remove(storage, upload)
        raise
    return (parts and parts.complete(sha256)) or sha256


def _checked(storage: FSSpecStorage, arrived: Arrived) -> tuple[str, Header | None]:
    """Return the content type of a file, and the header of an image for a field of images.

    Raises ``UploadRefused``: 413 for another size, 415 for another content type or headers.
    """
    upload = arrived.upload
    if arrived.size != upload.size:
        message = f"The uploaded file has {arrived.size} bytes, not {upload.size} as announced."
        raise UploadRefused(413, message)
    content_type = _checked_type(upload, arrived.head)
    _check_headers(storage, upload, arrived.stat)
    image = _checked_image(storage, upload)
    if image is not None and upload.destination.content_types is None:
        content_type = image.content_type
    return content_type, image


def _scanned(upload: Upload, stat: Stat, content_type: str) -> str:
    """Return what the hook `scan` says. Raises ``UploadRefused`` (422) for what it refuses."""
    file = FileObject(
        upload.alias,
        upload.name,
        content_type=content_type,
        size=stat.size,
        etag=stat.etag,
        metadata={"original_name": upload.original},
    )
    state = scan(file)
    if state == REFUSED:
        raise not_passed(upload.original)
    return state or ""


class Arrived(NamedTuple):
    """What is known of a file that arrived; `head` is all of a small one that is to be renamed."""

    upload: Upload
    stat: Stat
    head: bytes
    #: in bytes, before a storage packs it
    size: int | None


def _arrived(storage: FSSpecStorage, upload: Upload) -> Flow[Arrived]:
    """Look at a file. Raises ``UploadRefused`` where there is none."""
    try:
        return (yield from _read(storage, upload))
    except FileNotFoundError:
        if upload.final_name:
            # an earlier request, whose response was lost, has renamed it
            upload = replace(
                upload,
                name=upload.final_name,
                content_type=upload.final_type,
                final_name="",
                final_type="",
            )
            try:
                return (yield from _read(storage, upload))
            except FileNotFoundError:
                pass
    raise UploadRefused(404, "The uploaded file is not in the storage. Upload it again.")


def _read(storage: FSSpecStorage, upload: Upload) -> Flow[Arrived]:
    flows, content, size = storage.flows, b"", HEAD
    if not upload.size:
        stat = yield from flows.stat(upload.name)
        return Arrived(upload, stat, content, stat.size)
    if upload.final_name and upload.size <= storage.options.chunk_size:
        size = upload.size + 1
    stream = yield from flows.stream(upload.name, 0, size)
    try:
        while len(content) < size and (piece := (yield from stream.read(size - len(content)))):
            content += piece
    finally:
        stream.close()
    stat = stream.stat
    keeps_headers = "cache_control" in flows.adapter.dialect.headers
    if stream.packed or stat.size is None or (keeps_headers and stat.headers is None):
        stat = yield from flows.stat(upload.name)
    # our own view has counted what it packed
    return Arrived(upload, stat, content, upload.size if stream.packed else stat.size)


def _renamed(
    storage: FSSpecStorage, upload: Upload, content: bytes, content_type: str
) -> Flow[Stat]:
    """Store a small file under its final name and type, and delete it under the neutral one.

    Not copied by the service, which would keep the neutral type.
    """
    own = {"content_type": content_type}
    try:
        stat = yield from storage.flows.save(
            upload.final_name, ContentFile(content), overwrite=False, exact=True, own_options=own
        )
        if stat.etag is None:
            # its time, as it will be told from now on
            now = yield from storage.flows.stat(upload.final_name)
            stat = replace(now, checksum=stat.checksum)
    except FileExistsError:
        # by another request for the same upload
        stat = yield from storage.flows.stat(upload.final_name)
    yield from storage.flows.delete(upload.name)
    return stat


def _check_headers(storage: FSSpecStorage, upload: Upload, stat: Stat) -> None:
    """Refuse what a client had the service keep unasked, which it would tell all who download.

    A signature covers what was announced, and not what is sent besides.
    """
    announced = direct_options(storage, upload) if storage.flows.adapter.direct else None
    if announced is None or stat.headers is None:
        return  # stored by us
    stored = {**stat.headers, "content_encoding": stat.content_encoding}
    if stored.get("cache_control") in _OWN_CACHE_CONTROL:
        del stored["cache_control"]
    for option in ("content_encoding", *HEADERS):
        if (stored.get(option) or "") != (announced.get(option) or ""):
            header = option.replace("_", "-")
            raise UploadRefused(415, f"The uploaded file has another {header} than announced.")
    content_type = safe_type(stat.content_type)
    may_run = content_type not in GENERIC_TYPES and is_active(content_type)
    if may_run and canonical(content_type) != canonical(announced["content_type"]):
        raise UploadRefused(415, "The uploaded file has another content type than announced.")
    if _lowered(stat.metadata) != _lowered(announced.get("metadata") or {}):
        raise UploadRefused(415, "The uploaded file has other metadata than announced.")


def _lowered(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in metadata.items()}


def _checked_type(upload: Upload, head: bytes) -> str:
    """Return the content type of what arrived; ``UploadRefused`` if it is not allowed."""
    allowed = upload.destination.content_types
    if allowed is None:
        return upload.final_type or upload.content_type
    content = ContentFile(head, name=upload.original)
    try:
        validators.ContentTypeValidator(allowed)(content)
    except ValidationError as error:
        raise UploadRefused(415, " ".join(error.messages), shown=True) from None
    return validators.content_type_of(content, allowed)


def _checked_image(storage: FSSpecStorage, upload: Upload) -> Header | None:
    """Return the header of an image for a field of images: 1 request; None for other fields."""
    field = upload.destination.model_field
    if field is None or not field.image:
        return None
    validator = validators.ImageValidator(field.formats, field.max_pixels)
    try:
        with storage.open(upload.name) as file:
            names = [upload.original, upload.final_name or upload.name]
            return validator.inspect(file, names, upload.name)
    except ValidationError as error:
        raise UploadRefused(415, " ".join(error.messages), shown=True) from None


def _checksum(storage: FSSpecStorage, name: str, stat: Stat, sha256: str) -> str | None:
    """Return the checksum of the stored bytes, which may be packed, or None where it is unknown.

    1 request for a small file where nothing else tells its bytes apart, or else what the client
    says of it.
    """
    if stat.checksum or not (stat.etag or (stat.size or 0) > storage.options.chunk_size):
        return stat.checksum or storage.digest(name, "sha256")[1]
    if not sha256 or storage.options.checksum is None or stat.content_encoding:
        return None
    return f"sha256:{sha256}"


def database_of(destination: Destination) -> str:
    """Return the alias of the database whose rows may reference files of a destination."""
    field = destination.model_field
    return DEFAULT_DB_ALIAS if field is None else router.db_for_write(field.model)


def _remove(storage: FSSpecStorage, upload: Upload) -> None:
    """Delete what arrived, unless a row references it: its receipt may be used already."""
    names = {upload.name, upload.final_name} - {""}
    refs = [Ref(upload.alias, name) for name in names]
    unused = unreferenced(database_of(upload.destination), refs)
    with muted():  # no row had it
        storage.delete_many([ref.name for ref in unused])
    if len(unused) == len(refs):
        slots.free(upload.slot)
        logger.warning(
            "An upload to %s was deleted: it was refused.",
            upload.alias,
            extra=log_fields(upload.alias, upload.name, operation="upload", size=upload.size),
        )
