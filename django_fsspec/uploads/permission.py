"""Who may upload: the hook `may_upload`, and how many uploads a visitor may have open."""

from __future__ import annotations

import dataclasses

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext

from django_fsspec.rows import slots

from .identity import current_request
from .options import upload_options
from .refusals import UploadRefused
from .tokens import Destination, Upload


def check_permission(destination: Destination) -> None:
    """Ask the hook `may_upload`. Raises ``UploadRefused`` (403) where it does not return True."""
    hook = upload_options().hook("may_upload")
    if hook is None:
        return
    try:
        allowed = hook(current_request(), destination.model_field or destination)
    except PermissionDenied:
        allowed = False
    if not allowed:
        raise UploadRefused(403, gettext("You may not upload files here."), shown=True)


def with_slot(upload: Upload, seconds: int) -> Upload:
    """Return `upload` with a slot. Raises ``UploadRefused`` (429) where a visitor has too many.

    The slot is free again when a row has the file, when the upload is aborted or refused, and
    `seconds` later if it has not ended by then.
    """
    max_open = upload_options().max_open
    if max_open is None:
        return upload
    slot = slots.take("open", upload.uploader, max_open, seconds)
    if slot is None:
        raise UploadRefused(429, f"You have {max_open} uploads open. Submit their form first.")
    return dataclasses.replace(upload, slot=slot)
