"""RequestedFile: where the file of a response is stored, and its metadata in the row."""

from __future__ import annotations

import logging
import posixpath
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousFileOperation
from django.core.files.storage import InvalidStorageError, Storage, storages
from django.db.models.fields.files import FieldFile
from django.http import Http404
from django.utils.functional import LazyObject

from django_fsspec.core.log_fields import log_fields
from django_fsspec.objects.file_object import FileObject
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from .delivery import Representation

logger = logging.getLogger("django_fsspec")
File = FileObject | FieldFile | str


@dataclass(frozen=True, slots=True)
class RequestedFile:
    """Where a requested file is stored, and its metadata in the row."""

    storage: Storage
    name: str
    #: for ``Content-Disposition``
    download_name: str
    alias: str | None
    #: None where there is no row, or it has no size
    metadata: Representation | None = None
    #: the storage's etag, for the version in the row
    etag: str | None = None

    @classmethod
    def of(cls, file: File, backend: str) -> RequestedFile:
        """Return the storage, name and metadata of a file, which `backend` has if it is a name.

        Raises ``Http404`` without a file and for one with an `error`, ``PermissionDenied`` for one
        with a `scan_state`, ``InvalidStorageError`` where `backend` does not exist.
        """
        if isinstance(file, FileObject):
            return cls._of_row(file)
        if isinstance(file, FieldFile):
            if not file.name:
                raise Http404("There is no file.")
            storage = _unwrapped(file.storage)
            alias = storage.alias if isinstance(storage, FSSpecStorage) else None
            return cls(storage, file.name, posixpath.basename(file.name), alias)
        return cls(storages[backend], file, posixpath.basename(file), backend)

    @classmethod
    def _of_row(cls, file: FileObject) -> RequestedFile:
        check_usable(file)
        if file.scan_state:
            raise PermissionDenied("A scanner has not passed the file.")
        # advanced-alchemy makes up etags in quotes, which the storage does not know
        etag = file.etag if file.etag and not file.etag.startswith('"') else None
        digest = (file.checksum or "").partition(":")[2]
        metadata = None
        if file.size is not None:
            metadata = Representation(
                content_type=file.content_type,
                size=file.size,
                etag=etag or digest[:32] or None,
                last_modified=file.last_modified,
            )
        return cls(
            file.storage, file._stored_name(), file.original_name, file.backend, metadata, etag
        )


def check_usable(file: FileObject) -> None:
    """Raise ``Http404`` for a file that has an `error`, and log it.

    Raises as the file does for content that is not saved, and where STORAGES is wrong.
    """
    try:
        file._check()
    except (InvalidStorageError, SuspiciousFileOperation, ValueError) as error:
        is_unbuilt = isinstance(error, InvalidStorageError) and file.backend in storages.backends
        if is_unbuilt or file.has_pending_data:
            raise  # no error of the row
        logger.warning(
            "A file of a row can't be downloaded: %s",
            error,
            extra=log_fields(file.backend, file.filename, operation="response", error=error),
        )
        raise Http404("The file can't be used.") from error


def row_of(file: File) -> Any:
    """Return the row that has a file, None where that is unknown."""
    if isinstance(file, FieldFile):
        return file.instance
    return getattr(getattr(file, "_row", None), "instance", None)


def _unwrapped(storage: Any) -> Storage:
    """Return the storage behind ``default_storage``."""
    unwrapped: Storage = storages["default"] if isinstance(storage, LazyObject) else storage
    return unwrapped
