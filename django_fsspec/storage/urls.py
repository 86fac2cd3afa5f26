"""Where the URL of a stored file comes from: `base_url`, the service's signature, or our views.

The URLconf of those views is ``django_fsspec.urls``; the tokens in their URLs are ``signing``'s.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse
from django.utils.encoding import filepath_to_uri

from django_fsspec.core import names
from django_fsspec.core.content_types import guess_type, is_active, safe_type
from django_fsspec.core.flows import Flow

from .flows import StorageFlows
from .options import OBJECT_OPTIONS, nearest
from .signing import Grant, expiry, signed_url

#: signed URLs that one storage remembers in one process
_REMEMBERED = 2048


class StorageURLs:
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
        """Return the URL of `name` under `base_url`, or None where there is none.

        As Django's storages, also of a directory: "dir/", or "" for `base_url` itself.
        """
        base = self.base_url
        if base is None:
            return None
        name = str(name)  # may be a pathlib.Path
        # not path(): static files have URLs before there is a STATIC_ROOT
        if name:
            # a slash at the end: {% static "dir/" %}
            names.check_name(name.removesuffix("/"))
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
        name = str(name)  # may be a pathlib.Path
        if not for_upload and (public := self.public(name)) is not None:
            return public
        self._flows.path(name)
        lives = self._flows.options.url_expires_in if expires_in is None else expires_in
        if not isinstance(lives, int) or lives <= 0:
            raise ValueError(
                f"expires_in must be a whole number of seconds above 0, not {lives!r}."
            )
        for header in headers:
            if header not in OBJECT_OPTIONS:
                hint = nearest(header, OBJECT_OPTIONS)
                raise TypeError(f"sign() got an unexpected header {header!r}; {hint}")
        if headers.get("content_type"):
            headers = {**headers, "content_type": safe_type(headers["content_type"])}
        if not for_upload:
            headers = self._answered(name, headers)
        native = yield from self._presigned_url(name, lives, for_upload, headers)
        if native is not None:
            return native
        alias = self._flows.alias
        if alias is None:
            raise ImproperlyConfigured(
                "FSSpecStorage has no way to make URLs: the service signs none and the storage "
                "is not in STORAGES. Set base_url, or configure it in STORAGES."
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

    def _answered(self, name: str, headers: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have a service answer with an attachment for what a browser could run, by default.

        Our own views do so by themselves.
        """
        if "content_disposition" in headers or not self._flows.adapter.dialect.signs_get:
            return headers
        if not is_active(headers.get("content_type") or guess_type(name)):
            return headers
        return {**headers, "content_disposition": "attachment"}

    def elsewhere(self, name: str, headers: Mapping[str, Any]) -> Flow[str | None]:
        """Return a URL for reading that this site does not serve; None where there is none."""
        public = self.public(name)
        if public is not None or not self._flows.adapter.dialect.signs_get:
            return public
        lives = self._flows.options.url_expires_in
        return (yield from self._presigned_url(name, lives, False, headers))

    def _presigned_url(
        self, name: str, lives: int, for_upload: bool, headers: Mapping[str, Any]
    ) -> Flow[str | None]:
        key = (name, lives, for_upload, repr(sorted(headers.items())))
        now = time.monotonic()
        until, url = self._remembered.get(key, (0.0, ""))
        if until > now:
            return url
        signed = yield from self._flows.sign(name, lives, for_upload=for_upload, sent=headers)
        if signed is None:
            return None
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        url, life = signed
        self._remembered[key] = (now + min(lives, life) / 10, url)
        return url
