"""URLs that we sign and serve: what a token grants, its signature and when it expires."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signing import BadSignature, Signer

from .prefixes import tenant_digest

#: in URLs of earlier releases, so it stays, whatever the module is called
_SALT = "django_fsspec.signing"


class ExpiredSignature(BadSignature):
    """The URL has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a signed URL allows: one method on one name of one alias until `expires` (epoch).

    An upload may be bound to a `size` in bytes, and to patterns of content `types`; `original` is
    then the client's name for the file, and `sha256`, in hexadecimal, what its bytes must have.
    A link to a file that waits for a scanner `is_guarded`.
    """

    alias: str
    name: str
    expires: int
    for_upload: bool = False
    headers: Mapping[str, Any]
    size: int | None = None
    types: tuple[str, ...] | None = None
    original: str | None = None
    sha256: str = ""
    is_guarded: bool = False


def token(grant: Grant) -> str:
    """Return `grant` signed with Django's ``SECRET_KEY``; of use to the tenant of now only.

    Raises ``ImproperlyConfigured`` where a callable tells no prefix.
    """
    payload: dict[str, Any] = {
        "a": grant.alias,
        "n": grant.name,
        "e": grant.expires,
        "u": int(grant.for_upload),
        "h": dict(grant.headers),
    }
    if grant.size is not None:
        payload["s"] = grant.size
    if grant.types is not None:
        payload["t"] = list(grant.types)
    if grant.is_guarded:
        payload["g"] = 1
    if grant.original is not None:
        payload["o"] = grant.original
    if tenant := tenant_digest(grant.alias):
        payload["p"] = tenant
    if grant.sha256:
        payload["c"] = grant.sha256
    return Signer(salt=_SALT).sign_object(payload, compress=True)


def read_token(text: str, *, for_upload: bool, any_tenant: bool = False) -> Grant:
    """Return what the token `text` grants; with `any_tenant`, where none is served yet.

    Raises ``BadSignature`` for a token that is not ours, of the other method or of another tenant,
    ``ExpiredSignature`` for one that has expired, and ``ImproperlyConfigured`` where a callable
    tells no prefix.
    """
    try:
        payload = Signer(salt=_SALT).unsign_object(text)
        grant = Grant(
            alias=payload["a"],
            name=payload["n"],
            expires=int(payload["e"]),
            for_upload=bool(payload["u"]),
            headers=payload["h"],
            size=payload.get("s"),
            types=tuple(payload["t"]) if "t" in payload else None,
            original=payload.get("o"),
            is_guarded=bool(payload.get("g")),
            sha256=payload.get("c", ""),
        )
    except (LookupError, TypeError, ValueError) as error:
        # of another version of this package, or no token at all
        raise BadSignature("The URL is not one of ours.") from error
    if not any_tenant and payload.get("p", "") != tenant_digest(grant.alias):
        raise BadSignature("The URL was signed for another tenant.")
    if grant.for_upload != for_upload:
        raise BadSignature("The URL was signed for another method.")
    if grant.expires <= time.time():
        raise ExpiredSignature("The URL has expired.")
    return grant


def signed_url(grant: Grant) -> str:
    """Return the path of our own view that honours `grant`.

    Raises ``ImproperlyConfigured`` when ``django_fsspec.urls`` is not in the URLconf.
    """
    # it imports the models, which a storage alone has no need of
    from django.urls import NoReverseMatch, reverse

    view = "django_fsspec:upload" if grant.for_upload else "django_fsspec:file"
    try:
        return reverse(view, kwargs={"token": token(grant)})
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            f"STORAGES[{grant.alias!r}] has no URLs of its own: set 'base_url' in its OPTIONS, or "
            "add path('files/', include('django_fsspec.urls')) to the URLconf."
        ) from error
