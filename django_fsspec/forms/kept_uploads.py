"""Kept uploads: files kept in a storage while a form with errors is shown again."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from django.core.files.base import File
from django.core.files.storage import storages
from django.core.files.uploadedfile import UploadedFile
from django.core.signing import BadSignature, Signer
from django.utils.crypto import get_random_string

from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows import slots
from django_fsspec.rows.values import Ref
from django_fsspec.signals import muted
from django_fsspec.storage.prefixes import tenant_digest
from django_fsspec.storage.signing import ExpiredSignature
from django_fsspec.uploads.identity import current_user
from django_fsspec.uploads.options import upload_options

if TYPE_CHECKING:
    AnyUpload = UploadedFile[Any]
else:  # generic for type checkers only
    AnyUpload = UploadedFile

logger = logging.getLogger("django_fsspec")

#: the folder; no row references it, so `sweep_files` finds what is never submitted
FOLDER = "django_fsspec/retained"
#: seconds until a reference expires; `sweep_files` deletes nothing younger than 24 hours
LIFETIME = 12 * 3600
#: signed by pages of earlier releases, so it stays, whatever the module is called
_SALT = "django_fsspec.retention"
#: characters of the CSRF token in a form
_MASKED = 64


class StoredUpload(AnyUpload):
    """An upload whose content is in a storage. Makes no request before it is read."""

    _opened: File[Any] | None = None

    def __init__(self, location: Ref, name: str, content_type: str | None, size: int) -> None:
        super().__init__(None, name, content_type, size)
        self._location = location

    @property
    def file(self) -> Any:
        """The open file: 1 request. Raises ``OSError`` where it is gone or the storage fails."""
        if self._opened is None:
            self._opened = storages[self._location.backend].open(self._location.name)
            # a form that has errors again never closes it
            weakref.finalize(self, self._opened.close)
        return self._opened

    @file.setter
    def file(self, file: Any) -> None:
        self._opened = file

    @property
    def closed(self) -> bool:
        """Whether the file was opened and closed."""
        return self._opened is not None and self._opened.closed

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> Self:
        """Go to the start; opens the file again if it was closed. Raises ``OSError``."""
        if self.closed:
            self._opened = None
        self.seek(0)
        return self

    def close(self) -> None:
        """Close the file if it was opened."""
        if self._opened is not None:
            self._opened.close()


class KeptUpload(StoredUpload):
    """An upload of an earlier request, kept in a storage."""

    @property
    def kept_at(self) -> Ref:
        """Where it is; deleted when the row that gets the upload is committed: see rows.saving."""
        return self._location

    def stored_file(self) -> FileObject:
        """Return the file where it is kept, for a thumbnail. No request.

        Its content type is what the browser said of it.
        """
        backend, name = self.kept_at
        return FileObject(
            backend,
            name,
            content_type=self.content_type or None,
            size=self.size,
            metadata={"original_name": self.name},
        )


def binding_of(data: Mapping[str, Any]) -> str:
    """Return what binds a form to one browser: the secret of its CSRF token, else "".

    Django's middleware has checked the token before any view runs, and changes it at each login.
    """
    from django.middleware import csrf

    token = data.get("csrfmiddlewaretoken", "")
    if not isinstance(token, str) or len(token) != _MASKED:
        return ""
    # Django has no public function for the secret; without the private one no upload is kept, and
    # people choose their files again
    unmask = getattr(csrf, "_unmask_cipher_token", lambda token: "")
    try:
        return str(unmask(token))
    except ValueError:
        return ""


def keep(upload: AnyUpload, alias: str, binding: str) -> KeptUpload:
    """Store an upload that has no row yet: 1 request up to the storage's `chunk_size`.

    The name is random and has no extension, and the client's content type is not stored: where
    names have public URLs, nobody can guess it and no browser runs it. A user, or the browser that
    `binding` tells, may keep ``FSSPEC_UPLOADS["max_kept"]`` files within 12 hours. Raises
    ``ValueError`` for one more, and ``OSError`` and ``ValueError`` where it can't be stored.
    """
    max_kept = upload_options().max_kept
    if max_kept is not None:
        visitor = current_user() or f"binding:{binding}"
        if slots.take("kept", visitor, max_kept, LIFETIME) is None:
            raise ValueError(f"The visitor has {max_kept} kept uploads already.")
    content = File(upload.file, name="upload")
    with muted():
        name = storages[alias].save(f"{FOLDER}/{get_random_string(32)}", content)
    size = upload.size or 0
    # a file that is no upload, such as an open file of a storage, has no content type
    content_type = getattr(upload, "content_type", None)
    return KeptUpload(Ref(alias, name), upload.name or "", content_type, size)


def reference(upload: KeptUpload, scope: str, binding: str) -> str:
    """Return a signed reference to a kept upload, for the field `scope` and one browser."""
    # first letters of backend, name, original name, type, size, expiry; pages hold such references
    payload = {
        "b": upload.kept_at.backend,
        "n": upload.kept_at.name,
        "o": upload.name,
        "t": upload.content_type,
        "s": upload.size,
        "e": int(time.time()) + LIFETIME,
    }
    if tenant := tenant_digest(upload.kept_at.backend):
        payload["p"] = tenant
    return _signer(scope, binding).sign_object(payload, compress=True)


def recover(text: str, scope: str, binding: str) -> KeptUpload:
    """Return the kept upload of a reference: 1 request.

    Raises ``BadSignature`` where it was not signed for this field, this browser and this tenant,
    ``ExpiredSignature`` where it expired, ``FileNotFoundError`` where the upload is gone or
    changed, ``OSError`` where the storage fails.
    """
    if not binding:
        raise BadSignature("The form has no CSRF token.")
    payload = _signer(scope, binding).unsign_object(text)
    if payload["e"] <= time.time():
        raise ExpiredSignature("The reference has expired.")
    location = Ref(payload["b"], payload["n"])
    if location.backend not in storages.backends:
        raise FileNotFoundError(f"{location.backend!r} is not in STORAGES any more.")
    if payload.get("p", "") != tenant_digest(location.backend):
        raise BadSignature("The reference was signed for another tenant.")
    if storages[location.backend].size(location.name) != payload["s"]:
        raise FileNotFoundError("The kept upload has another size now.")
    return KeptUpload(location, payload["o"], payload["t"], payload["s"])


def _signer(scope: str, binding: str) -> Signer:
    return Signer(salt=f"{_SALT}:{scope}:{binding}")
