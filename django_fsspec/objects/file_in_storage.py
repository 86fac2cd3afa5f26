"""``FileInStorage``: the storage, URL and path of a file, and whether it can be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import InvalidStorageError, Storage, storages

from django_fsspec.core.content_types import guess_type, is_active
from django_fsspec.core.expiry import expiry
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.signing import Grant, signed_url

from .description import FileDescription

if TYPE_CHECKING:
    from easy_thumbnails.files import Thumbnailer

#: seconds that a URL lives where the storage does not say
_LIFETIME = 3600


class FileInStorage(FileDescription):
    """The part of ``FileObject`` that asks its storage what can be told without a request."""

    @property
    def storage(self) -> Storage:
        """The storage with the alias `backend`.

        Raises ``InvalidStorageError`` for an alias that is not in STORAGES, or can't be built.
        """
        try:
            return storages[self.backend]
        except InvalidStorageError as error:
            if self.backend in storages.backends:
                raise  # the alias is there, but the storage can't be built
            aliases = ", ".join(map(repr, storages.backends))
            where = repr(self) if self._row is None else f"{self._row} can't be used"
            raise InvalidStorageError(
                f"{where}: {self.backend!r} is not in STORAGES, which has {aliases}. Add it, or "
                "correct the backend."
            ) from error

    @property
    def easy_thumbnails_thumbnailer(self) -> Thumbnailer:
        """The thumbnailer that easy-thumbnails asks an object for: see docs/how-to/libraries.md.

        Raises ``AttributeError`` where it is not installed, ``ValueError`` for unsaved content.
        """
        if not apps.is_installed("easy_thumbnails"):
            raise AttributeError("easy_thumbnails is not in INSTALLED_APPS.")
        from easy_thumbnails.files import Thumbnailer

        thumbnailer = Thumbnailer(name=self._stored_name(), source_storage=self.storage)
        thumbnailer.alias_target = self if self.instance is not None else None
        return thumbnailer

    @property
    def error(self) -> str | None:
        """Why the file of a row can't be used, as text to show; None where it can: no request.

        That is invalid JSON, an alias that is not in STORAGES, or a name that its storage refuses.
        """
        if self.has_pending_data:
            return None
        try:
            self._check()
        except (ImproperlyConfigured, SuspiciousFileOperation, ValueError) as error:
            return str(error)
        return None

    def _check(self) -> None:
        """Raise the error of a file that can't be used: no request.

        ``ValueError`` for unsaved content and invalid JSON, ``InvalidStorageError`` as `storage`,
        ``SuspiciousFileOperation`` for a name that the storage refuses.
        """
        name, storage = self._stored_name(), self.storage
        if isinstance(storage, FSSpecStorage):
            with self._naming_row():
                storage.flows.path(name)

    @contextmanager
    def _naming_row(self) -> Iterator[None]:
        """Name the row in the error of a name that the storage refuses."""
        try:
            yield
        except SuspiciousFileOperation as refused:
            if self._row is None:
                raise
            raise SuspiciousFileOperation(f"{self._row} can't be used: {refused}") from refused

    @property
    def url(self) -> str:
        """A URL to read the file: no request.

        Raises ``ValueError`` for unsaved content and for invalid JSON, and what the storage's
        ``url()`` raises.
        """
        stored_name, headers, storage = (
            self._stored_name(),
            self._attachment_headers(),
            self.storage,
        )
        if self.scan_state:
            return self._guarded_url(None)
        with self._naming_row():
            if headers and isinstance(storage, FSSpecStorage):
                return storage.sign(stored_name, **headers)
            return storage.url(stored_name)

    def _guarded_url(self, expires_in: int | None) -> str:
        """Return a URL of our own view, which answers 403 until a scanner has passed the file."""
        storage, seconds = self.storage, expires_in
        if seconds is None and isinstance(storage, FSSpecStorage):
            seconds = storage.options.url_expires_in
        grant = Grant(
            alias=self.backend,
            name=self._stored_name(),
            expires=expiry(seconds or _LIFETIME),
            headers={},
            is_guarded=True,
        )
        return signed_url(grant)

    def _attachment_headers(self) -> dict[str, Any]:
        """Return headers for a URL where the row, and not the name, says that a file may run."""
        if is_active(self.content_type) and not is_active(guess_type(self.filename)):
            return {"content_disposition": "attachment"}
        return {}

    @property
    def path(self) -> str:
        """The path of the file on the local disk.

        Raises ``NotImplementedError`` for other storages, and ``ValueError`` as `url` does.
        """
        stored_name = self._stored_name()
        with self._naming_row():
            return self.storage.path(stored_name)

    def _stored_name(self) -> str:
        """Return the name of the stored file; raise ``ValueError`` where there is none.

        The name of unsaved content may be that of another file.
        """
        self._require_saved()
        if not self:
            where = "This file" if self._row is None else str(self._row)
            fault = self._fault or "has no 'filename'"
            raise ValueError(f"{where} can't be used: its JSON {fault}.")
        return self.filename
