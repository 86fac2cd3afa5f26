"""Claim a file that a browser has uploaded: of several saves at once, one row gets it.

A claim is a small file of the storage, created exclusively. It is there from before the row is
written until the transaction ends: whoever comes later finds the row. See docs/decisions/0035.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile

from django_fsspec.exceptions import UploadUsed
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from . import slots
from .references import unreferenced
from .values import Ref

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django_fsspec.objects.file_object import FileObject

#: where claims are, below the prefix of their storage
FOLDER = ".pending-uploads"


def claim(file: FileObject) -> Ref | None:
    """Claim an uploaded file: 1 request. Return the claim, which its holder deletes.

    None for a storage that takes no direct uploads. Raises ``UploadUsed`` where it is claimed.
    """
    storage = file.storage
    if not isinstance(storage, FSSpecStorage):
        return None
    digest = hashlib.sha256(file.filename.encode()).hexdigest()[:32]
    name = f"{FOLDER}/claim-{digest}.bin"
    own = {"content_type": "application/octet-stream"}
    try:
        # not empty: some services keep no empty file
        storage.flows.run(
            storage.flows.save(
                name, ContentFile(b"1"), overwrite=False, exact=True, own_options=own
            )
        )
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
