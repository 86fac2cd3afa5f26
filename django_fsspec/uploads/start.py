"""Answering a ticket: a name, and a place that the client can send the bytes to."""

from __future__ import annotations

import dataclasses
import posixpath
import unicodedata
from collections.abc import Mapping
from typing import Any

from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import storages

from django_fsspec.adapters.direct_uploads import Direct, SignedPut
from django_fsspec.core import names
from django_fsspec.core.flows import Flow, call
from django_fsspec.objects.sniffing import names_of
from django_fsspec.responses import disposition
from django_fsspec.storage import object_options
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.options import OptionError
from django_fsspec.storage.signing import Grant, expiry, signed_url
from django_fsspec.validators import ContentTypeValidator

from .tokens import Destination, Refused, Ticket, Upload, ends

MAX_NAME = 255
#: parts of one upload: a URL for each goes to the client
MAX_PARTS = 1000
MIN_PART = 5 * 1024 * 1024  # S3's own limit


def start(text: object, name: object, size: object, content_type: object) -> dict[str, Any]:
    """Begin an upload for a ticket and return what the client is to do.

    ``method``, ``url``, ``headers``; ``upload``, the token for ``finish()``; for S3 and more than
    `chunk_size` bytes ``part_size`` and ``parts``, each with a number, a URL and a size. No
    request, or 1 where it goes in parts. Raises ``Refused``: 400, 403, 410, 413, 415.
    """
    ticket = Ticket.read(text)
    destination = ticket.destination
    original = _checked_name(name)
    length = _checked_size(size, destination)
    kind = _checked_type(original, content_type, destination)
    alias, path = _placed(destination, original)
    storage = storage_of(alias)
    upload = Upload(
        destination=destination,
        uploader=ticket.uploader,
        expires=ends(Upload),
        alias=alias,
        name=path,
        original=original,
        size=length,
        content_type=kind,
    )
    return storage.flows.run(_planned(storage, upload))


def storage_of(alias: str) -> FSSpecStorage:
    """Return the storage of an alias; ``ImproperlyConfigured`` when it is not ours."""
    storage = storages[alias]
    if not isinstance(storage, FSSpecStorage):
        raise ImproperlyConfigured(
            f"STORAGES[{alias!r}] is a {type(storage).__name__}: direct uploads need "
            "'django_fsspec.storage.FSSpecStorage'."
        )
    return storage


def _checked_name(name: object) -> str:
    """Return the name of a file that a client may have; a path is none."""
    if not isinstance(name, str) or not name or len(name) > MAX_NAME:
        raise Refused(400, f"The name must be text of 1 to {MAX_NAME} characters.")
    unsafe = any(
        char in disposition.BIDI or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
        for char in name
    )
    if unsafe or "/" in name or "\\" in name or name in (".", ".."):
        raise Refused(400, "The name has characters that no file's name may have.")
    return name


def _checked_size(size: object, destination: Destination) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise Refused(400, "The size must be a number of bytes.")
    if destination.max_size is not None and size > destination.max_size:
        raise Refused(413, f"The file has {size} bytes; {destination.max_size} are allowed.")
    return size


def _checked_type(name: str, told: object, destination: Destination) -> str:
    """Return the type that the object is stored under: by the name, else as the client says."""
    if not isinstance(told, str):
        raise Refused(400, "The type must be text.")
    kind = object_options.guess_type(name)
    if kind == object_options.UNKNOWN_TYPE:
        kind = disposition.safe_type(told)
    if destination.content_types is not None:
        allowed = ContentTypeValidator(destination.content_types)
        if not any(allowed._allows(one) for one in names_of(kind)):
            raise Refused(415, f"Files of the type {kind} are not allowed.")
    return kind


def _placed(destination: Destination, original: str) -> tuple[str, str]:
    """Return alias and path; a field's callables get a row that is not saved yet."""
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
        return alias, names.check_name(names.unique(path, destination.max_length))
    except SuspiciousFileOperation as error:
        raise Refused(400, "No file can be called that.") from error


def _planned(storage: FSSpecStorage, upload: Upload) -> Flow[dict[str, Any]]:
    lives = storage.options.url_expires_in
    direct = storage.flows.adapter.direct
    options = _object_options(storage, upload)
    path = storage.flows.path(upload.name)
    storage.flows.require_writable()
    if direct is not None and options is not None:
        if direct.in_parts and upload.size > storage.options.chunk_size:
            return (yield from _in_parts(storage, direct, upload, options))
        signed: SignedPut | None = yield from call(
            direct.sign, path, lives, size=upload.size, options=options
        )
        if signed is not None:
            return _answer(upload, signed.url, signed.headers)
    grant = Grant(
        alias=upload.alias,
        name=upload.name,
        expires=expiry(lives),
        for_upload=True,
        headers={"content_type": upload.content_type},
        size=upload.size,
        types=upload.destination.content_types,
    )
    return _answer(upload, signed_url(grant), {"Content-Type": upload.content_type})


def _object_options(storage: FSSpecStorage, upload: Upload) -> dict[str, Any] | None:
    """Return what the storage sends with a file; None for what only we can send."""
    flows = storage.flows
    if object_options.packs(storage.options, upload.content_type):
        return None
    try:
        given = object_options.resolve(storage.options, flows.adapter.dialect, upload.name, None)
    except OptionError as error:
        raise flows.errors.misconfigured(error) from None
    return None if given.get("extra") else {**given, "content_type": upload.content_type}


def _answer(upload: Upload, url: str | None, sent: Mapping[str, str]) -> dict[str, Any]:
    return {
        "method": "PUT",
        "url": url,
        "headers": dict(sent),
        "upload": upload.signed(),
        "part_size": upload.part_size or None,
        "parts": [],
    }


def _in_parts(
    storage: FSSpecStorage, direct: Direct, upload: Upload, options: Mapping[str, Any]
) -> Flow[dict[str, Any]]:
    size = max(storage.options.chunk_size, MIN_PART, -(-upload.size // MAX_PARTS))
    path = storage.flows.path(upload.name)
    upload_id: str = yield from call(direct.begin, path, options)
    upload = dataclasses.replace(upload, upload_id=upload_id, part_size=size)
    answer = _answer(upload, None, {})
    numbers = range(1, len(upload.part_sizes()) + 1)
    answer["parts"] = yield from signed_parts(storage, direct, upload, numbers)
    return answer


def signed_parts(
    storage: FSSpecStorage, direct: Direct, upload: Upload, numbers: Any
) -> Flow[list[dict[str, Any]]]:
    """Return number, URL and size of parts; no request."""
    sizes = upload.part_sizes()
    path, lives = storage.flows.path(upload.name), storage.options.url_expires_in
    found = []
    for number in numbers:
        size = sizes[number - 1]
        url: str = yield from call(
            direct.sign_part, path, upload.upload_id, number, lives, size=size
        )
        found.append({"number": number, "url": url, "size": size})
    return found
