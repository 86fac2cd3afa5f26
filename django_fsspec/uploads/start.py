"""Start a direct upload: choose a name, and sign the URLs that the browser uploads to."""

from __future__ import annotations

import dataclasses
import posixpath
import re
import unicodedata
from typing import Any

from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import storages

from django_fsspec.adapters.direct_uploads import SignedPut
from django_fsspec.core.content_types import (
    UNKNOWN_TYPE,
    canonical,
    has_usual_extension,
    may_run,
    safe_type,
    types_by_name,
)
from django_fsspec.core.expiry import expiry
from django_fsspec.core.flows import Flow, call
from django_fsspec.core.names import BIDI, split_extension
from django_fsspec.objects import images
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.signing import Grant, signed_url
from django_fsspec.validators import ContentTypeValidator

from .parts import ServiceParts, direct_options, instructions
from .pending_parts import PendingParts
from .permission import check_permission, with_slot
from .refusals import UploadRefused
from .tokens import Destination, Upload, UploadTicket, checked_sha256, expires_at

MAX_NAME = 255
#: bytes; more than any service stores in one object
MAX_SIZE = 2**63 - 1
_ORIGIN = re.compile(r"https?://[\w.:\[\]-]{1,255}", re.ASCII)


def start(
    text: object,
    name: object,
    size: object,
    content_type: object,
    *,
    origin: str = "",
    sha256: object = "",
) -> dict[str, Any]:
    """Start an upload for a ticket and return what the client has to send.

    The dict has ``method``, ``url``, ``headers``, and ``upload``, the token for ``finish()``. More
    than `chunk_size` bytes go in parts: then it has ``part_size`` (bytes) and ``parts``, a list
    of ``{number, url, size}``. Where those must come in order, to GCS and to our own views, they
    have ``offset`` and ``headers``, too, and ``parallel`` is 1. `origin` is that of a page. With a
    `sha256` (hexadecimal) S3 and our own views refuse other bytes. No request, or 1 for an upload
    in parts to S3 or GCS.

    Raises ``UploadRefused``: 400 for a wrong name or argument, 403 for a forged ticket and where
    the hook `may_upload` does not allow it, 410 for an expired ticket, 413 for a file that is too
    large, 415 for a content type that is not allowed, 429 for too many open uploads;
    ``ImproperlyConfigured`` where the storage is not an ``FSSpecStorage``, ``NotSupported`` where
    it is read-only, ``OSError`` where it fails.
    """
    upload = begin_upload(text, name, size, content_type)
    upload = dataclasses.replace(upload, sha256=checked_sha256(sha256))
    storage = storage_of(upload.alias)
    origin = origin if _ORIGIN.fullmatch(origin) else ""
    return storage.flows.run(_instructions(storage, upload, origin), "upload_start", upload.name)


def begin_upload(text: object, name: object, size: object, content_type: object) -> Upload:
    """Return the upload that a ticket allows, with the name that its bytes get, and a slot.

    No request. Raises as ``start()``.
    """
    ticket = UploadTicket.read(text)
    destination = ticket.destination
    original = _checked_name(name)
    length = _checked_size(size, destination)
    stored_type = _checked_type(original, content_type, destination)
    alias, path = _placed(destination, original)
    check_permission(destination)
    storage = storage_of(alias)
    upload = Upload(
        destination=destination,
        uploader=ticket.uploader,
        expires=expires_at(Upload),
        alias=alias,
        name=path,
        original=original,
        size=length,
        content_type=stored_type,
    )
    if may_run(path, stored_type):
        upload = dataclasses.replace(
            upload,
            name=_neutral_name(storage, path, destination),
            content_type=UNKNOWN_TYPE,
            final_name=path,
            final_type=stored_type,
        )
    return with_slot(upload, storage.options.url_expires_in)


def storage_of(alias: str) -> FSSpecStorage:
    """Return the storage of an alias. Raises ``ImproperlyConfigured`` for a foreign one."""
    storage = storages[alias]
    if not isinstance(storage, FSSpecStorage):
        raise ImproperlyConfigured(
            f"STORAGES[{alias!r}] is a {type(storage).__name__}, which takes no direct uploads: "
            "use 'django_fsspec.storage.FSSpecStorage' as its BACKEND."
        )
    return storage


def _checked_name(name: object) -> str:
    """Return a client's name for a file; paths and unsafe characters are refused."""
    if not isinstance(name, str) or not name or len(name) > MAX_NAME:
        raise UploadRefused(400, f"The name must be text of 1 to {MAX_NAME} characters.")
    unsafe = BIDI.search(name) or any(
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name
    )
    if unsafe or "/" in name or "\\" in name or name in (".", ".."):
        raise UploadRefused(400, "The name has characters that are not allowed in file names.")
    return name


def _checked_size(size: object, destination: Destination) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise UploadRefused(400, "The size must be a number of bytes.")
    if size > MAX_SIZE:
        raise UploadRefused(413, f"A file has at most {MAX_SIZE} bytes.")
    if destination.max_size is not None and size > destination.max_size:
        raise UploadRefused(
            413, f"The file has {size} bytes; at most {destination.max_size} are allowed."
        )
    return size


def _checked_type(name: str, claimed: object, destination: Destination) -> str:
    """Return the content type to store: by the name's extension, else the client's claim.

    Raises ``UploadRefused``: 415 where no type that a file of this name may have is allowed.
    """
    if not isinstance(claimed, str):
        raise UploadRefused(400, "The type must be text.")
    content_types = types_by_name(name) or (safe_type(claimed),)
    allowed = [each for each in content_types if _is_allowed(name, each, destination)]
    if not allowed:
        raise UploadRefused(415, f"{name!r} is not allowed: it is of the type {content_types[0]}.")
    return allowed[0]


def _is_allowed(name: str, content_type: str, destination: Destination) -> bool:
    types, field = destination.content_types, destination.model_field
    accepted = None
    if field is not None and field.image:
        accepted = images.content_types_of(field.formats)
    if types is None and accepted is None:
        return True
    if types is not None and not ContentTypeValidator(types).allows(content_type):
        return False
    if accepted is not None and canonical(content_type) not in accepted:
        return False
    return has_usual_extension(name, content_type)


def _placed(destination: Destination, original: str) -> tuple[str, str]:
    """Return alias and path; callables of the field get a row that is not saved yet."""
    field = destination.model_field
    try:
        if field is not None:
            row = field.model()
            alias = destination.alias or field.alias_for(row)
            path = field.generate_filename(row, original)
        else:
            alias = destination.alias or DEFAULT_STORAGE_ALIAS
            path = storages[alias].generate_filename(
                posixpath.join(destination.upload_to, original)
            )
        return alias, storage_of(alias).flows.unique(path, destination.max_length)
    except SuspiciousFileOperation as error:
        raise UploadRefused(400, "The name is not allowed in this storage.") from error


def _instructions(storage: FSSpecStorage, upload: Upload, origin: str) -> Flow[dict[str, Any]]:
    seconds = storage.options.url_expires_in
    direct = storage.flows.adapter.direct
    options = direct_options(storage, upload)
    path = storage.flows.path(upload.name)
    storage.flows.require_writable()
    if direct is not None and options is not None:
        if direct.in_parts and upload.size > storage.options.chunk_size:
            parts = ServiceParts(storage, direct, upload)
            if answer := (yield from storage.urls.attempt(parts.begin(options, origin))):
                return answer
        signed: SignedPut | None = yield from storage.urls.attempt(
            call(
                direct.sign, path, seconds, size=upload.size, options=options, sha256=upload.sha256
            )
        )
        if signed is not None:
            return instructions(upload, signed.url, signed.headers)
    if upload.size > storage.options.chunk_size:
        return PendingParts(storage, upload).start()
    grant = Grant(
        alias=upload.alias,
        name=upload.name,
        expires=expiry(seconds),
        for_upload=True,
        headers={"content_type": upload.content_type},
        size=upload.size,
        types=_checked_patterns(upload.destination),
        original=upload.original,
        sha256=upload.sha256,
    )
    return instructions(upload, signed_url(grant), {"Content-Type": upload.content_type})


def _neutral_name(storage: FSSpecStorage, path: str, destination: Destination) -> str:
    """Return where a file lies until it is finished, under a name that nothing runs."""
    directory, root, _ = split_extension(path)
    name = posixpath.join(directory, f"{root.replace('.', '_')}.bin")
    return storage.flows.unique(name, destination.max_length)


def _checked_patterns(destination: Destination) -> tuple[str, ...] | None:
    """Return the patterns of content types that our own view looks for in the first bytes."""
    field = destination.model_field
    if destination.content_types is None and field is not None and field.image:
        return ("image/*",)  # its format is looked at when all of it is there
    return destination.content_types
