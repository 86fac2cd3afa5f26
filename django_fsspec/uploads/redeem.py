"""Redeem a receipt: a form gets the uploaded file for it, once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_fsspec.core.log_fields import log_fields
from django_fsspec.objects.description import PENDING, REFUSED
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from django_fsspec.signals import muted

from .finish import database_of
from .refusals import UploadRefused, not_passed
from .scans import scan
from .start import storage_of
from .tokens import Destination, Receipt

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat
    from django_fsspec.storage.fsspec_storage import FSSpecStorage

logger = logging.getLogger("django_fsspec")

#: for people who sent a form twice
USED = gettext_lazy(
    "An earlier submit of this form has saved the file, or is about to. If it did not, please "
    "upload the file again."
)


def redeemed(text: str, destinations: Collection[Destination]) -> FileObject:
    """Return the uploaded file of a receipt: 1 request, and 1 query for each field.

    Raises ``ValidationError`` with the code ``receipt`` where the receipt is forged, expired,
    another user's, for another field or used already, and where its file is gone or changed;
    ``OSError`` where the storage fails.
    """
    try:
        return _redeemed(text, destinations)
    except UploadRefused as error:
        raise _refusal(error) from None


def _redeemed(text: str, destinations: Collection[Destination]) -> FileObject:
    receipt = Receipt.read(text)
    if receipt.destination not in destinations:
        raise UploadRefused(403, "The receipt is for another field.")
    storage = storage_of(receipt.alias)
    try:
        stat = storage.stat(receipt.name)
    except FileNotFoundError:
        raise UploadRefused(410, "The file of the receipt does not exist any more.") from None
    if not _is_same(storage, receipt, stat):
        raise UploadRefused(412, "The file of the receipt has changed.")
    ref = Ref(receipt.alias, receipt.name)
    if not unreferenced(database_of(receipt.destination), [ref]):
        raise _refusal(UploadRefused(403, "The receipt was used already."), USED)
    metadata: dict[str, Any] = {"original_name": receipt.original}
    if receipt.width is not None:
        metadata |= {"width": receipt.width, "height": receipt.height}
    file = FileObject(
        receipt.alias,
        receipt.name,
        content_type=receipt.content_type,
        size=receipt.size,
        last_modified=receipt.last_modified,
        checksum=receipt.checksum,
        etag=receipt.etag,
        version_id=receipt.version_id,
        metadata=metadata,
    )
    if receipt.scan_state:
        # the scanner may be done by now; without one the file waits for scanned()
        state = scan(file)
        if state == REFUSED:
            with muted():  # no row had it
                storage.delete(receipt.name)
            raise not_passed(receipt.original)
        if state or state is None:
            file.metadata["scan_state"] = PENDING
    # the save of a row claims it: see rows/claims.py
    file._of_receipt, file._slot = True, receipt.slot
    return file


def _is_same(storage: FSSpecStorage, receipt: Receipt, stat: Stat) -> bool:
    """Return whether the file is the one that was checked at the end of its upload.

    Without an etag, its time tells, and all bytes of a small one: 1 request more.
    """
    if (stat.etag, stat.size) != (receipt.etag, receipt.size):
        return False
    if receipt.etag:
        return True
    now = stat.last_modified.timestamp() if stat.last_modified else None
    if now != receipt.last_modified:
        return False
    algorithm, _, digest = (receipt.checksum or "").partition(":")
    is_large = receipt.size > storage.options.chunk_size
    return is_large or not digest or storage.digest(receipt.name, algorithm)[1] == receipt.checksum


def check_list(receipts: Sequence[str]) -> None:
    """Refuse a list with two receipts of one file, or with more than a request may have files.

    That is Django's setting ``DATA_UPLOAD_MAX_NUMBER_FILES``. No request. Raises
    ``ValidationError`` with the code ``receipt``.
    """
    limit = settings.DATA_UPLOAD_MAX_NUMBER_FILES
    many = limit is not None and len(receipts) > limit
    try:
        # not read before their number is known
        tokens = [] if many else [Receipt.read(text) for text in receipts]
    except UploadRefused as error:
        raise _refusal(error) from None
    if many:
        raise _refusal(UploadRefused(413, f"{len(receipts)} receipts are more than {limit}."))
    if len({(token.alias, token.name) for token in tokens}) < len(tokens):
        raise _refusal(UploadRefused(400, "A file is in the list twice."))


def _refusal(error: UploadRefused, message: Any = "") -> ValidationError:
    """Log why a receipt was refused, and return the error to raise, which says less."""
    logger.warning(
        "A receipt was refused with %d: %s",
        error.status,
        error.message,
        extra=log_fields(operation="upload", status=error.status),
    )
    message = message or _("The upload could not be used. Please upload the file again.")
    return ValidationError(message, code="receipt", params={"status": error.status})
