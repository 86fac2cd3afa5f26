"""Looking at what arrived: its size, its first bytes; what is not as announced goes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import DEFAULT_DB_ALIAS, router

from django_fsspec import validators
from django_fsspec.adapters.direct_uploads import Direct, StoredPart
from django_fsspec.core.flows import Flow, call
from django_fsspec.objects import images
from django_fsspec.objects.sniffing import HEAD
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref

from .start import signed_parts, storage_of
from .tokens import Destination, Receipt, Refused, Upload, ends

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat
    from django_fsspec.storage.fsspec_storage import FSSpecStorage

logger = logging.getLogger("django_fsspec")


def status(text: object) -> dict[str, Any]:
    """Return which parts of an upload arrived, and fresh URLs for those that did not.

    1 request where it goes in parts, else none. Raises ``Refused``.
    """
    upload = Upload.read(text)
    if not upload.upload_id:
        return {"finished": [], "parts": []}
    storage = storage_of(upload.alias)
    return storage.flows.run(_status(storage, upload))


def _status(storage: FSSpecStorage, upload: Upload) -> Flow[dict[str, Any]]:
    direct = _direct(storage)
    try:
        found = yield from _arrived(storage, direct, upload)
    except FileNotFoundError:
        raise Refused(410, "The upload is not there any more.") from None
    missing = [n for n in range(1, len(upload.part_sizes()) + 1) if n not in found]
    return {
        "finished": [
            {"number": part.number, "size": part.size, "etag": part.etag}
            for part in found.values()
        ],
        "parts": (yield from signed_parts(storage, direct, upload, missing)),
    }


def finish(text: object) -> str:
    """Look at an upload that is done and return its receipt.

    What is not as announced is deleted: 413 for another size, 415 for another type. 404 where
    nothing arrived, 400 where parts are missing. 1 request, 2 more where it came in parts.
    """
    upload = Upload.read(text)
    storage = storage_of(upload.alias)
    if upload.upload_id:
        storage.flows.run(_completed(storage, upload))
    try:
        stat, head = storage.flows.run(_looked_at(storage, upload))
    except FileNotFoundError:
        raise Refused(404, "Nothing arrived.") from None
    try:
        kind = _checked(upload, stat, head)
        measured = _measured(storage, upload)
    except Refused:
        _remove(storage, upload)
        raise
    width, height = measured or (None, None)
    receipt = Receipt(
        destination=upload.destination,
        uploader=upload.uploader,
        expires=ends(Receipt),
        alias=upload.alias,
        name=upload.name,
        original=upload.original,
        size=upload.size,
        content_type=kind,
        etag=stat.etag,
        version_id=stat.version_id,
        last_modified=stat.last_modified.timestamp() if stat.last_modified else None,
        width=width,
        height=height,
    )
    return receipt.signed()


def _direct(storage: FSSpecStorage) -> Direct:
    direct = storage.flows.adapter.direct
    if direct is None:
        raise Refused(403, "The upload is not one of this storage.")
    return direct


def _arrived(
    storage: FSSpecStorage, direct: Direct, upload: Upload
) -> Flow[dict[int, StoredPart]]:
    """Return the parts that are as they were announced, by number."""
    path = storage.flows.path(upload.name)
    parts = yield from call(direct.parts, path, upload.upload_id)
    sizes = dict(enumerate(upload.part_sizes(), 1))
    return {part.number: part for part in parts if sizes.get(part.number) == part.size}


def _completed(storage: FSSpecStorage, upload: Upload) -> Flow[None]:
    direct, path = _direct(storage), storage.flows.path(upload.name)
    try:
        found = yield from _arrived(storage, direct, upload)
        missing = [n for n in range(1, len(upload.part_sizes()) + 1) if n not in found]
        if missing:
            raise Refused(400, f"Parts are missing: {', '.join(map(str, missing[:20]))}.")
        ordered = [found[number] for number in sorted(found)]
        yield from call(direct.complete, path, upload.upload_id, ordered)
    except FileNotFoundError:
        pass  # it was completed by a request whose answer was lost; what follows finds out
    except FileExistsError:
        raise Refused(412, "There is a file of this name.") from None


def _looked_at(storage: FSSpecStorage, upload: Upload) -> Flow[tuple[Stat, bytes]]:
    flows, head = storage.flows, b""
    if not upload.size:
        return (yield from flows.stat(upload.name)), head
    stream = yield from flows.stream(upload.name, 0, HEAD)
    try:
        while len(head) < HEAD and (piece := (yield from stream.read(HEAD - len(head)))):
            head += piece
    finally:
        stream.close()
    stat = stream.stat
    if stream.packed or stat.size is None:
        stat = yield from flows.stat(upload.name)
    return stat, head


def _checked(upload: Upload, stat: Stat, head: bytes) -> str:
    """Return the type of what arrived, if it is what was announced."""
    if stat.size != upload.size:
        raise Refused(413, f"{upload.size} bytes were announced, {stat.size} arrived.")
    allowed = upload.destination.content_types
    if allowed is None:
        return upload.content_type
    shown = ContentFile(head, name=upload.original)
    try:
        validators.ContentTypeValidator(allowed)(shown)
    except ValidationError as error:
        raise Refused(415, " ".join(error.messages)) from None
    return validators.content_type_of(shown)


def _measured(storage: FSSpecStorage, upload: Upload) -> tuple[int, int] | None:
    """Return the size of a picture that a field holds pictures of: 1 request."""
    field = upload.destination.model_field
    if field is None or not field.image:
        return None
    try:
        with storage.open(upload.name) as file:
            images.check(file)
            file.seek(0)
            return images.size(file)
    except images.NoImage:
        raise Refused(415, str(validators.ImageValidator.message)) from None


def database_of(destination: Destination) -> str:
    """Return the database whose rows may hold the files of a destination."""
    field = destination.model_field
    return DEFAULT_DB_ALIAS if field is None else router.db_for_write(field.model)


def _remove(storage: FSSpecStorage, upload: Upload) -> None:
    """Delete what arrived, unless a row has it: a receipt can be spent before a second look."""
    ref = Ref(upload.alias, upload.name)
    if unreferenced(database_of(upload.destination), [ref]):
        storage.delete(upload.name)
        logger.warning("An upload to %s was not as announced and is gone.", upload.alias)
