"""Claim a file that a browser has uploaded: of several saves at once, one row gets it.

A claim is a small file of the storage, created exclusively. It is there from before the row is
written until the transaction ends: whoever comes later finds the row. See docs/decisions/0035.
"""

from __future__ import annotations

import hashlib
import time
import weakref
from typing import TYPE_CHECKING, Any

from django.core.files.base import ContentFile

from django_fsspec.exceptions import UploadUsed
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from . import slots
from .file_changes import FileChange, NewFile
from .references import unreferenced
from .values import Ref, files_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import Model

    from django_fsspec.objects.file_object import FileObject

#: where claims are, below the prefix of their storage
FOLDER = ".pending-uploads"


def claimable(value: Any) -> list[FileObject]:
    """Return the files of a value that receipts brought, and that no row holds yet."""
    return [
        file
        for file in files_of(value)
        if file._of_receipt and file._db is None and not file.has_pending_data
    ]


def claim(file: FileObject, instance: Model) -> FileChange:
    """Claim an uploaded file for a row: 1 request. A commit or a rollback deletes the claim.

    Raises ``UploadUsed`` where it is claimed.
    """
    began = time.perf_counter()
    ref = _create_claim(file)
    # a rollback deletes what is stored, a commit what is replaced: either deletes the claim
    change = FileChange(weakref.ref(instance), stored=ref)
    if ref is not None:
        change.replaced = {ref}
    change.new_file = NewFile.of(file, time.perf_counter() - began)
    return change


def _create_claim(file: FileObject) -> Ref | None:
    """Create the claim of a file; None on a storage that takes no direct uploads."""
    storage = file.storage
    if not isinstance(storage, FSSpecStorage):
        return None
    digest = hashlib.sha256(file.filename.encode()).hexdigest()[:32]
    name = f"{FOLDER}/claim-{digest}.bin"
    own = {"content_type": "application/octet-stream"}
    try:
        # not empty: some services keep no empty file
        saving = storage.flows.save(
            name, ContentFile(b"1"), overwrite=False, exact=True, own_options=own
        )
        storage.flows.run(saving, "save", name)
    except FileExistsError:
        raise UploadUsed(_USED) from None
    return Ref(file.backend, name)


def check_unused(using: str, files: Iterable[FileObject]) -> None:
    """Raise ``UploadUsed`` where a row has one of the claimed `files`: 1 query for each field.

    Frees what their uploads hold.
    """
    claimed = list(files)
    refs = {Ref(file.backend, file.filename) for file in claimed}
    if len(unreferenced(using, refs)) < len(refs):
        raise UploadUsed(_USED)
    for file in claimed:
        slots.free(file._slot)


_USED = "The receipt of an upload was used already: another request has saved its file."
