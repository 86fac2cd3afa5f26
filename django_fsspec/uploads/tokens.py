"""Tickets, uploads and receipts: signed, expiring, bound to an uploader and a field."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from django.apps import apps
from django.core.signing import BadSignature, Signer

from .identity import current_uploader

if TYPE_CHECKING:
    from django_fsspec.rows.protocols import StoredField

HOUR = 3600


class Refused(Exception):
    """An upload that is not taken: the HTTP status that says so, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the files of a form field go, and what they may be.

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
        """Return the destination of a model's field, or of its files on another storage.

        Asks no callable yet.
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
        """The model's field, where it is one's."""
        if not self.field:
            return None
        label, _, name = self.field.rpartition(".")
        found: Any = apps.get_model(label)._meta.get_field(name)
        return found  # type: ignore[no-any-return]


class Choice(NamedTuple):
    """Destinations among which the input `control` of the same form decides, by its value.

    Files go with the form where it has another value.
    """

    control: str
    destinations: Mapping[str, Destination]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What every token has: a destination, an uploader, an end in epoch seconds."""

    destination: Destination
    uploader: str
    expires: int

    def signed(self) -> str:
        """Return it signed with Django's ``SECRET_KEY``, for this purpose alone."""
        return _signer(type(self)).sign_object(dataclasses.asdict(self), compress=True)

    @classmethod
    def read(cls, text: object) -> Self:
        """Return a token that is whole, valid and of the current uploader.

        Raises ``Refused``: 400 for no text, 403 for forged or another's, 410 for expired.
        """
        if not isinstance(text, str):
            raise Refused(400, f"The {cls.__name__.lower()} must be text.")
        try:
            found = _signer(cls).unsign_object(text)
            types = found["destination"]["content_types"]
            found["destination"]["content_types"] = None if types is None else tuple(types)
            token = cls(**{**found, "destination": Destination(**found["destination"])})
        except (BadSignature, LookupError, TypeError, ValueError):
            raise Refused(403, f"The {cls.__name__.lower()} is not valid.") from None
        if token.expires <= time.time():
            raise Refused(410, f"The {cls.__name__.lower()} has expired.")
        if token.uploader != current_uploader():
            raise Refused(403, f"The {cls.__name__.lower()} is somebody else's.")
        return token


def _signer(kind: type[Token]) -> Signer:
    return Signer(salt=f"django_fsspec.uploads.{kind.__name__}")


# An object is at most 20 hours old when it gets its row: sweep_files leaves it 24.


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket(Token):
    """Allows uploads to one destination."""

    lives = 12 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload(Token):
    """One upload that was begun: `name` on `alias`, of `size` bytes, in parts with an `upload_id`.

    `original` is what the client calls the file.
    """

    lives = 8 * HOUR

    alias: str
    name: str
    original: str
    size: int
    content_type: str
    upload_id: str = ""
    part_size: int = 0

    def part_sizes(self) -> list[int]:
        """Return how many bytes each part has."""
        whole, rest = divmod(self.size, self.part_size)
        return [self.part_size] * whole + ([rest] if rest else [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Token):
    """One upload that arrived and was looked at."""

    lives = 12 * HOUR

    alias: str
    name: str
    original: str
    size: int
    content_type: str
    etag: str | None = None
    version_id: str | None = None
    last_modified: float | None = None
    width: int | None = None
    height: int | None = None


def ends(kind: type[Ticket] | type[Upload] | type[Receipt]) -> int:
    """Return when a token made now expires."""
    return int(time.time()) + kind.lives


def ticket(destination: Destination) -> str:
    """Return the ticket that a page carries, of the current uploader; no request."""
    made = Ticket(destination=destination, uploader=current_uploader(), expires=ends(Ticket))
    return made.signed()
