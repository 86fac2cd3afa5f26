"""Uploads that wait on a storage while the form that they came with is corrected."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.core.files.base import File
from django.core.files.storage import storages
from django.core.files.uploadedfile import UploadedFile
from django.core.signing import BadSignature, Signer
from django.utils.crypto import get_random_string

from django_fsspec.rows.values import Ref
from django_fsspec.storage.signing import ExpiredSignature

if TYPE_CHECKING:
    AnyUpload = UploadedFile[Any]
else:  # generic for type checkers only
    AnyUpload = UploadedFile

logger = logging.getLogger("django_fsspec")

#: where they lie: no row points there, so `sweep_files` finds what nobody came back for
FOLDER = "django_fsspec/retained"
#: seconds that a reference lives; `sweep_files` leaves alone what is younger than 24 hours
LIFETIME = 12 * 3600
_SALT = "django_fsspec.forms.kept_uploads"
_MASKED = 64


class RetainedUpload(AnyUpload):
    """An upload of a former request, read from where it was kept: to a form an upload again.

    Nothing is requested before it is read.
    """

    _opened: File[Any] | None = None

    def __init__(self, place: Ref, name: str, content_type: str | None, size: int) -> None:
        super().__init__(None, name, content_type, size)
        #: deleted when the row that takes the upload is committed; see rows.saving
        self.retained_at = place

    @property
    def file(self) -> Any:
        """The open file: 1 request."""
        if self._opened is None:
            self._opened = storages[self.retained_at.backend].open(self.retained_at.name)
            # a form that is refused again leaves it to nobody
            weakref.finalize(self, self._opened.close)
        return self._opened

    @file.setter
    def file(self, file: Any) -> None:
        self._opened = file

    @property
    def closed(self) -> bool:
        """Whether it was read and closed."""
        return self._opened is not None and self._opened.closed

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> RetainedUpload:
        """Go to the start, opening it anew where it was closed."""
        if self.closed:
            self._opened = None
        self.seek(0)
        return self

    def close(self) -> None:
        """Close what was opened."""
        if self._opened is not None:
            self._opened.close()


def binding_of(data: Mapping[str, Any]) -> str:
    """Return what a form's data says of the browser that it came from: its CSRF secret.

    It is the one thing about the session that a form is sent with, checked by Django's
    middleware before any view, and another after each login. Empty where there is none.
    """
    from django.middleware import csrf

    token = data.get("csrfmiddlewaretoken", "")
    if not isinstance(token, str) or len(token) != _MASKED:
        return ""
    # Django has no public way to the secret; without it files are chosen anew, as without a token
    unmask = getattr(csrf, "_unmask_cipher_token", lambda token: "")
    try:
        return str(unmask(token))
    except ValueError:
        return ""


def retain(upload: AnyUpload, alias: str) -> RetainedUpload:
    """Store an upload that has no row yet: 1 request up to the storage's `chunk_size`.

    Under a random name without an extension and without the type that the client claims: where
    names have public URLs, nobody guesses it and no browser runs it. Raises ``OSError``.
    """
    # a plain File, which claims no type
    content = File(upload.file, name="upload")
    name = storages[alias].save(f"{FOLDER}/{get_random_string(32)}", content)
    size = upload.size or 0
    return RetainedUpload(Ref(alias, name), upload.name or "", upload.content_type, size)


def reference(upload: RetainedUpload, scope: str, binding: str) -> str:
    """Return a signed reference to what was retained, for the field `scope` and one browser."""
    payload = {
        "b": upload.retained_at.backend,
        "n": upload.retained_at.name,
        "o": upload.name,
        "t": upload.content_type,
        "s": upload.size,
        "e": int(time.time()) + LIFETIME,
    }
    return _signer(scope, binding).sign_object(payload, compress=True)


def recover(text: str, scope: str, binding: str) -> RetainedUpload:
    """Return the upload that a reference points at: 1 request.

    Raises ``BadSignature`` for what was not signed by us for this field and this browser,
    ``ExpiredSignature`` for what is too old, ``FileNotFoundError`` for what is gone.
    """
    if not binding:
        raise BadSignature("The form came without a CSRF token.")
    payload = _signer(scope, binding).unsign_object(text)
    if payload["e"] <= time.time():
        raise ExpiredSignature("The reference has expired.")
    place = Ref(payload["b"], payload["n"])
    if place.backend not in storages.backends:
        raise FileNotFoundError(f"{place.backend!r} is not in STORAGES any more.")
    if storages[place.backend].size(place.name) != payload["s"]:
        raise FileNotFoundError("It has another size by now.")
    return RetainedUpload(place, payload["o"], payload["t"], payload["s"])


def _signer(scope: str, binding: str) -> Signer:
    return Signer(salt=f"{_SALT}:{scope}:{binding}")
