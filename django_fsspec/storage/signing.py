"""URLs for stored files: public, signed by the backend, or signed by us and served by us."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import BadSignature, Signer
from django.urls import NoReverseMatch, reverse
from django.utils.encoding import filepath_to_uri

from django_fsspec.core.flows import Flow

from .flows import StorageFlows
from .options import OBJECT_OPTIONS, nearest

#: signed URLs remembered by one storage in one process
_REMEMBERED = 2048
_SALT = "django_fsspec.storage.signing"


class ExpiredSignature(BadSignature):
    """The URL has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a signed URL allows: one method on one name of one alias until `expires` (epoch).

    An upload may be bound to a `size` in bytes, and to patterns of content `types`.
    """

    alias: str
    name: str
    expires: int
    for_upload: bool = False
    headers: Mapping[str, Any]
    size: int | None = None
    types: tuple[str, ...] | None = None


def expiry(expires_in: int, now: float | None = None) -> int:
    """Return when a URL signed now expires, in epoch seconds.

    Rounded down by at most a tenth, so that URLs stay the same for that long and browsers can
    cache what they point at.
    """
    window = max(1, expires_in // 10)
    end = int(time.time() if now is None else now) + expires_in
    return end - end % window


def token(grant: Grant) -> str:
    """Return `grant` signed with Django's ``SECRET_KEY``."""
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
    return Signer(salt=_SALT).sign_object(payload, compress=True)


def read_token(text: str, *, for_upload: bool) -> Grant:
    """Return what `text` grants; raise ``BadSignature`` or ``ExpiredSignature``."""
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
        )
    except (LookupError, TypeError, ValueError) as error:
        # of another version of this package, or no token at all
        raise BadSignature("The URL is not one of ours.") from error
    if grant.for_upload != for_upload:
        raise BadSignature("The URL was signed for another method.")
    if grant.expires <= time.time():
        raise ExpiredSignature("The URL has expired.")
    return grant


def signed_url(grant: Grant) -> str:
    """Return the path of our own view that honours `grant`."""
    view = "django_fsspec:upload" if grant.for_upload else "django_fsspec:file"
    try:
        return reverse(view, kwargs={"token": token(grant)})
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            f"STORAGES[{grant.alias!r}] has no URLs of its own: set 'base_url' in its OPTIONS, or "
            "add path('files/', include('django_fsspec.urls')) to the URLconf."
        ) from error


class URLs:
    """The URLs of one storage's files."""

    def __init__(self, flows: StorageFlows) -> None:
        self._flows = flows
        self._remembered: dict[tuple[object, ...], tuple[float, str]] = {}

    @functools.cached_property
    def base_url(self) -> str | None:
        """The public root with its slash; MEDIA_URL for a local storage at MEDIA_ROOT."""
        options = self._flows.options
        base = options.base_url
        if base is None and options.fs in ("file", "local") and not options.prefix:
            base = str(settings.MEDIA_URL) or None
        return base if base is None or base.endswith("/") else f"{base}/"

    def public(self, name: str) -> str | None:
        """Return the URL of `name` under `base_url`, or None where there is none."""
        base = self.base_url
        if base is None:
            return None
        self._flows.path(name)
        # a checked name, quoted, is a relative path and nothing else: no need of urljoin()
        return base + filepath_to_uri(name)

    @property
    def need_views(self) -> bool:
        """Whether URLs for reading are ours to serve."""
        return self.base_url is None and not self._flows.adapter.dialect.signs_get

    @property
    def have_views(self) -> bool:
        """Whether the URLconf includes our URLs."""
        try:
            reverse("django_fsspec:file", kwargs={"token": "t"})
        except (NoReverseMatch, ImproperlyConfigured):
            return False
        return True

    def url(
        self, name: str, expires_in: int | None, for_upload: bool, headers: Mapping[str, Any]
    ) -> Flow[str]:
        """Return a URL for reading `name`, or for writing it; makes no request."""
        self._flows.path(name)
        if not for_upload and (public := self.public(name)) is not None:
            return public
        lives = self._flows.options.url_expires_in if expires_in is None else expires_in
        if not isinstance(lives, int) or lives <= 0:
            raise ValueError(
                f"expires_in must be a whole number of seconds above 0, not {lives!r}."
            )
        for header in headers:
            if header not in OBJECT_OPTIONS:
                hint = nearest(header, OBJECT_OPTIONS)
                raise TypeError(f"sign() got an unexpected header {header!r}; {hint}")
        native = yield from self._native(name, lives, for_upload, headers)
        if native is not None:
            return native
        alias = self._flows.alias
        if alias is None:
            raise ImproperlyConfigured(
                "A FSSpecStorage made by hand has no URLs on this backend: set base_url, or "
                "configure it in STORAGES."
            )
        if for_upload:
            self._flows.require_writable()
        return signed_url(
            Grant(
                alias=alias,
                name=name,
                expires=expiry(lives),
                for_upload=for_upload,
                headers=headers,
            )
        )

    def elsewhere(self, name: str, headers: Mapping[str, Any]) -> Flow[str | None]:
        """Return a URL for reading that this site does not serve; None where there is none."""
        public = self.public(name)
        if public is not None or not self._flows.adapter.dialect.signs_get:
            return public
        lives = self._flows.options.url_expires_in
        return (yield from self._native(name, lives, False, headers))

    def _native(
        self, name: str, lives: int, for_upload: bool, headers: Mapping[str, Any]
    ) -> Flow[str | None]:
        key = (name, lives, for_upload, repr(sorted(headers.items())))
        now = time.monotonic()
        until, known = self._remembered.get(key, (0.0, ""))
        if until > now:
            return known
        native = yield from self._flows.sign(name, lives, for_upload=for_upload, sent=headers)
        if native is not None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = (now + lives / 10, native)
        return native
