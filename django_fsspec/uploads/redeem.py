"""Redeem a receipt: a form gets the uploaded file for it, once."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref

from .finish import database_of
from .start import storage_of
from .tokens import Destination, Receipt, UploadRefused

logger = logging.getLogger("django_fsspec")


def redeemed(text: str, destinations: Collection[Destination]) -> FileObject:
    """Return the uploaded file of a receipt: 1 request, and 1 query for each field.

    Raises ``ValidationError`` with the code ``receipt`` where the receipt is forged, expired,
    another user's, for another field or used already, and where its file is gone or changed;
    ``OSError`` where the storage fails.
    """
    try:
        return _redeemed(text, destinations)
    except UploadRefused as error:
        logger.warning("A receipt was refused with %d: %s", error.status, error.message)
        raise ValidationError(
            _("The upload could not be used. Please upload the file again."), code="receipt"
        ) from None


def _redeemed(text: str, destinations: Collection[Destination]) -> FileObject:
    receipt = Receipt.read(text)
    if receipt.destination not in destinations:
        raise UploadRefused(403, "The receipt is for another field.")
    storage = storage_of(receipt.alias)
    try:
        stat = storage.stat(receipt.name)
    except FileNotFoundError:
        raise UploadRefused(410, "The file of the receipt does not exist any more.") from None
    if receipt.etag != stat.etag or stat.size != receipt.size:
        raise UploadRefused(412, "The file of the receipt has changed.")
    ref = Ref(receipt.alias, receipt.name)
    if not unreferenced(database_of(receipt.destination), [ref]):
        raise UploadRefused(403, "The receipt was used already.")
    metadata: dict[str, Any] = {"original_name": receipt.original}
    if receipt.width is not None:
        metadata |= {"width": receipt.width, "height": receipt.height}
    return FileObject(
        receipt.alias,
        receipt.name,
        content_type=receipt.content_type,
        size=receipt.size,
        last_modified=receipt.last_modified,
        etag=receipt.etag,
        version_id=receipt.version_id,
        metadata=metadata,
    )
