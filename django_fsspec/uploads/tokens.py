"""The signed tokens of direct uploads: ticket, upload, receipt.

Each expires, and is bound to one user (or visitor) and one destination.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.core.signing import BadSignature, Signer

from django_fsspec.adapters.direct_uploads import Part
from django_fsspec.rows.references import stored_among
from django_fsspec.storage.prefixes import tenant_digest, tenant_digest_of_all

from .identity import current_uploader
from .refusals import UploadRefused

if TYPE_CHECKING:
    from django_fsspec.rows.protocols import StoredField

HOUR = 3600
_SHA256 = re.compile(r"(?:[0-9a-f]{64})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the files of a form field are stored, and which files are allowed.

    Example::

        Destination(alias="s3", upload_to="incoming", max_size=10_000_000)

    `field` is the label of a ``StoredObjectField`` ("app.Model.field"), whose path and limits
    then count; without one, `upload_to` does. Without an `alias` it is the field's, else
    "default". `max_size` is in bytes.
    """

    field: str = ""
    alias: str = ""
    upload_to: str = ""
    max_size: int | None = None
    content_types: tuple[str, ...] | None = None
    max_length: int = 255

    @classmethod
    def of(cls, field: StoredField, alias: str = "") -> Destination:
        """Return the destination of a model field; `alias` chooses another storage for it.

        A callable `backend` is called when the upload starts, not here.
        """
        return cls(
            field=f"{field.model._meta.label}.{field.name}",
            alias=alias or ("" if callable(field.backend) else field.backend),
            max_size=field.max_size,
            content_types=field.content_types,
            max_length=field.max_length or 255,
        )

    @property
    def model_field(self) -> StoredField | None:
        """The model field; None for a destination without one.

        Raises ``LookupError`` where `field` is not the label of a ``StoredObjectField``.
        """
        return field_of_label(self.field) if self.field else None


def field_of_label(label: str) -> StoredField:
    """Return the field with a label. Raises ``LookupError`` for others than those with files."""
    model_label, _, name = label.rpartition(".")
    try:
        field = apps.get_model(model_label)._meta.get_field(name)
    except (LookupError, ValueError, FieldDoesNotExist):
        field = None
    if stored := stored_among([field]):
        return stored[0]
    raise LookupError(
        f'{label!r} is not the label of a StoredObjectField, such as "app.Model.field".'
    )


class Choice(NamedTuple):
    """Several destinations: the value of the input `control` of the same form selects one.

    Example::

        Choice("storage", {"cloud": Destination(alias="s3"), "zip": Destination(alias="archive")})

    With any other value, files are sent with the form.
    """

    control: str
    destinations: Mapping[str, Destination]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What all tokens have: destination, uploader, and expiry in epoch seconds."""

    #: for messages and the salt
    noun: ClassVar[str]
    #: seconds
    lifetime: ClassVar[int]

    destination: Destination
    uploader: str
    expires: int

    def signed(self) -> str:
        """Return the token as text, signed with Django's ``SECRET_KEY`` and a salt of its own."""
        payload = dataclasses.asdict(self)
        if tenant := self._tenant():
            payload["tenant"] = tenant
        return _signer(type(self)).sign_object(payload, compress=True)

    def _tenant(self) -> str:
        """Return a digest of the prefixes of now: those of all aliases before one is chosen."""
        alias = getattr(self, "alias", self.destination.alias)
        return tenant_digest(alias) if alias else tenant_digest_of_all()

    @classmethod
    def read(cls, text: object) -> Self:
        """Return the token that `text` is, checked.

        Raises ``UploadRefused``: 400 for what is not text, 403 where it is forged or another
        user's, 410 where it expired; ``ImproperlyConfigured`` without the middleware.
        """
        token = cls.parse(text)
        if token.uploader != current_uploader():
            raise UploadRefused(403, f"The {cls.noun} belongs to another user.")
        return token

    @classmethod
    def parse(cls, text: object, *, any_tenant: bool = False) -> Self:
        """Return the token that `text` is, whosever it is. Raises as ``read()`` does.

        With `any_tenant`, also where none is served yet.
        """
        if not isinstance(text, str):
            raise UploadRefused(400, f"The {cls.noun} must be text.")
        try:
            payload = _signer(cls).unsign_object(text)
            tenant = payload.pop("tenant", "")
            types = payload["destination"]["content_types"]
            payload["destination"]["content_types"] = None if types is None else tuple(types)
            token = cls(**{**payload, "destination": Destination(**payload["destination"])})
        except (BadSignature, LookupError, TypeError, ValueError):
            raise UploadRefused(403, f"The {cls.noun} is not valid.") from None
        if not any_tenant and tenant != token._tenant():
            raise UploadRefused(403, f"The {cls.noun} belongs to another tenant.")
        if token.expires <= time.time():
            raise UploadRefused(410, f"The {cls.noun} has expired.")
        return token


def _signer(token_class: type[Token]) -> Signer:
    return Signer(salt=f"django_fsspec.uploads.{token_class.noun.capitalize()}")


# 8 hours to upload and 12 to submit the form: sweep_files deletes nothing younger than 24 hours.


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTicket(Token):
    """Allows uploads to one destination."""

    noun = "ticket"
    lifetime = 12 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload(Token):
    """An upload that was started: `size` bytes, to be stored as `name` on `alias`.

    `original` is the client's name for the file. A file that something may run lies under a
    neutral `name` and `content_type` until it is finished: then it gets `final_name` and
    `final_type`, which are empty for other files. `slot` is held while the upload is open.
    `upload_id` and `part_size` (bytes) are set for an upload in parts to a service, `parts_id` for
    one to our own views. `sha256`, in hexadecimal, is empty where the client has not told it.
    """

    noun = "upload"
    lifetime = 8 * HOUR

    alias: str
    name: str
    original: str
    size: int
    content_type: str
    final_name: str = ""
    final_type: str = ""
    slot: str = ""
    upload_id: str = ""
    parts_id: str = ""
    part_size: int = 0
    sha256: str = ""

    def parts(self, offset: int = 0) -> list[Part]:
        """Return what is to be sent from `offset` on: the rest of a part, then whole ones."""
        parts: list[Part] = []
        while offset < self.size:
            number = offset // self.part_size + 1
            end = min(number * self.part_size, self.size)
            parts.append(Part(number=number, size=end - offset, offset=offset, total=self.size))
            offset = end
        return parts

    def sent(self, offset: int) -> list[dict[str, Any]]:
        """Return ``{number, size}`` of the parts before `offset`, which ``status()`` tells."""
        left = {part.number for part in self.parts(offset)}
        return [{"number": p.number, "size": p.size} for p in self.parts() if p.number not in left]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Token):
    """An upload that arrived and was checked; a form gets the file for it."""

    noun = "receipt"
    lifetime = 12 * HOUR

    alias: str
    name: str
    original: str
    size: int
    content_type: str
    etag: str | None = None
    version_id: str | None = None
    last_modified: float | None = None
    checksum: str | None = None
    width: int | None = None
    height: int | None = None
    slot: str = ""
    scan_state: str = ""


def checked_sha256(digest: object) -> str:
    """Return a SHA-256 that a client sent, or "". Raises ``UploadRefused`` (400) for others."""
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise UploadRefused(400, "The sha256 must be 64 hexadecimal digits, or empty.")
    return digest


def expires_at(token_class: type[Token]) -> int:
    """Return when a token made now expires, in epoch seconds."""
    return int(time.time()) + token_class.lifetime


def ticket(destination: Destination) -> str:
    """Return a signed ticket for a page: it allows the current user to upload. No request.

    Raises ``ImproperlyConfigured`` without ``UploadsMiddleware``.
    """
    return UploadTicket(
        destination=destination,
        uploader=current_uploader(),
        expires=expires_at(UploadTicket),
    ).signed()
