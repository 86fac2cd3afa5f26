"""Where the URL of a stored file comes from: `base_url`, a signature, or our own views.

The URLconf of those views is ``django_fsspec.urls``; the tokens in their URLs are ``signing``'s.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.encoding import filepath_to_uri

from django_fsspec.adapters.errors import NotSigned
from django_fsspec.core import names
from django_fsspec.core.content_types import guess_type, is_active, safe_type
from django_fsspec.core.expiry import expiry
from django_fsspec.core.flows import Flow, call
from django_fsspec.core.log_fields import log_fields

from .flows import StorageFlows
from .options import OBJECT_OPTIONS, OptionError, nearest
from .signing import Grant, signed_url
from .url_signer import URLSigner

logger = logging.getLogger("django_fsspec")

T = TypeVar("T")
#: signed URLs, and until when (``time.monotonic()``) they are given again
_Cache: TypeAlias = "dict[tuple[object, ...], tuple[float, str]]"

#: signed URLs that one storage caches in one process
_MAX_CACHED = 2048
#: seconds without a further try after signing has failed
_PAUSE = 60


class StorageURLs:
    """The URLs of one storage's files."""

    def __init__(self, flows: StorageFlows, cache: _Cache | None = None) -> None:
        self._flows = flows
        #: tenants of one storage share it, and so its bound
        self._cache: _Cache = {} if cache is None else cache
        self._failed_until = 0.0

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
        return base + filepath_to_uri(self._flows.tenant_folder + name)

    @property
    def need_views(self) -> bool:
        """Whether URLs for reading are ours to serve."""
        return self.base_url is None and not self._flows.outline.dialect.signs_get

    @property
    def have_views(self) -> bool:
        """Whether the URLconf includes our URLs."""
        # it imports the models, which a storage alone has no need of
        from django.urls import NoReverseMatch, reverse

        try:
            reverse("django_fsspec:file", kwargs={"token": "t"})
        except (NoReverseMatch, ImproperlyConfigured):
            return False
        return True

    def url(
        self, name: str, expires_in: int | None, for_upload: bool, headers: Mapping[str, Any]
    ) -> Flow[str]:
        """Return a URL for reading `name`, or for writing it.

        At most one request, where the credentials sign by one. Raises ``ValueError`` and
        ``TypeError`` for `expires_in` and `headers` that can't be, ``NotSigned`` where signing
        fails, ``NotSupported`` for an upload to a storage that is read-only or whose service can't
        sign `headers`, and ``ImproperlyConfigured`` where nothing makes URLs.
        """
        name = str(name)  # may be a pathlib.Path
        public = None if for_upload else self.public(name)
        if public is not None and self._signer is None:
            return public
        self._flows.path(name)
        seconds = self._flows.options.url_expires_in if expires_in is None else expires_in
        _check_arguments(seconds, headers)
        if headers.get("content_type"):
            headers = {**headers, "content_type": safe_type(headers["content_type"])}
        if not for_upload:
            headers = self._as_attachment(name, headers)
        signed = yield from self.attempt(self.signed(name, seconds, for_upload, headers))
        if signed is not None:
            return signed
        alias = self._flows.alias
        if alias is None:
            raise ImproperlyConfigured(
                "FSSpecStorage has no way to make URLs: the service signs none and the storage "
                "is not in STORAGES. Set base_url, or configure it in STORAGES."
            )
        if for_upload:
            self._flows.require_writable()
        expires = expiry(seconds)
        return signed_url(
            Grant(alias=alias, name=name, expires=expires, for_upload=for_upload, headers=headers)
        )

    def attempt(self, signing: Flow[T], *, needed: bool = True) -> Flow[T | None]:
        """Run a flow that signs; None, with a line in the log, where it fails.

        Our own views serve the file then. Nothing is tried again for a minute: a page of a hundred
        files must not wait for a hundred failures. Raises ``NotSigned`` where a URL is `needed`
        and our views are not in the URLconf.
        """
        if time.monotonic() < self._failed_until and self._can_serve(needed=needed):
            signing.close()
            return None
        try:
            return (yield from signing)
        except NotSigned as error:
            if not self._can_serve(needed=needed):
                raise
            self._failed_until = time.monotonic() + _PAUSE
            logger.warning(
                "%s; for %d s URLs are those of Django instead.",
                error,
                _PAUSE,
                extra=log_fields(self._flows.alias, operation="sign", error=error),
            )
            return None

    def _can_serve(self, *, needed: bool) -> bool:
        return not needed or (self._flows.alias is not None and self.have_views)

    def _as_attachment(self, name: str, headers: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return `headers` that make a file an attachment if a browser could run it.

        A `content_disposition` that is given stays. Our own views need none.
        """
        if "content_disposition" in headers or not self._flows.adapter.dialect.signs_get:
            return headers
        if not is_active(headers.get("content_type") or guess_type(name)):
            return headers
        return {**headers, "content_disposition": "attachment"}

    def external_url(self, name: str, headers: Mapping[str, Any]) -> Flow[str | None]:
        """Return a URL for reading at another server: public or signed; None without one."""
        public = self.public(name)
        if public is not None and self._signer is None:
            return public
        seconds = self._flows.options.url_expires_in
        signing = self.signed(name, seconds, False, headers)
        return (yield from self.attempt(signing, needed=False))

    def signed(
        self, name: str, seconds: int, for_upload: bool, headers: Mapping[str, Any]
    ) -> Flow[str | None]:
        """Return a URL that `url_signer` or else the service signs; None if neither does.

        Raises ``NotSigned``, and ``NotSupported`` for `headers` that the service can't sign.
        """
        method = "PUT" if for_upload else "GET"
        signer = self._signer
        if signer is not None and method in signer.methods:
            return (yield from self._signed_public_url(signer, name, seconds, method))
        dialect = self._flows.adapter.dialect
        if not (dialect.signs_put if for_upload else dialect.signs_get):
            return None
        return (yield from self._presigned_url(name, seconds, for_upload, headers))

    @functools.cached_property
    def _signer(self) -> URLSigner | None:
        """The signer of public URLs. Raises ``ImproperlyConfigured`` for a wrong option."""
        option = self._flows.options.url_signer
        if option is None:
            return None
        try:
            return URLSigner(option, self.base_url)
        except OptionError as error:
            raise self._flows.errors.misconfigured(error) from None

    def validate(self) -> None:
        """Raise ``OptionError`` for a signer that does not sign. Signs one URL by it."""
        options = self._flows.options
        if options.url_signer is not None:
            URLSigner(options.url_signer, self.base_url).try_out(options.url_expires_in)

    def _signed_public_url(
        self, signer: URLSigner, name: str, seconds: int, method: str
    ) -> Flow[str]:
        # with the rounded time that signers use, too, so that all processes give the same URL
        key = (self._flows.tenant_folder, name, seconds, method, expiry(seconds))
        if (url := self._cached(key)) is not None:
            return url
        signed = yield from call(signer.sign, self.public(name) or "", seconds, method)
        self._keep(key, seconds, signed)
        return signed

    def _presigned_url(
        self, name: str, seconds: int, for_upload: bool, headers: Mapping[str, Any]
    ) -> Flow[str | None]:
        folder = self._flows.tenant_folder
        key = (folder, name, seconds, for_upload, repr(sorted(headers.items())))
        if (url := self._cached(key)) is not None:
            return url
        signed = yield from self._flows.sign(name, seconds, for_upload=for_upload, sent=headers)
        if signed is None:
            return None
        url, lifetime = signed
        # for a tenth: whoever gets it can use it for nine tenths at least
        self._keep(key, min(seconds, lifetime) / 10, url)
        return url

    def _cached(self, key: tuple[object, ...]) -> str | None:
        until, url = self._cache.get(key, (0.0, None))
        return url if until > time.monotonic() else None

    def _keep(self, key: tuple[object, ...], seconds: float, url: str) -> None:
        self._cache.pop(key, None)
        if len(self._cache) >= _MAX_CACHED:
            # a tenth, the oldest; of a copy, since other threads may add one meanwhile
            for oldest in tuple(self._cache)[: _MAX_CACHED // 10]:
                self._cache.pop(oldest, None)
        self._cache[key] = (time.monotonic() + seconds, url)


def _check_arguments(seconds: object, headers: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for a lifetime and ``TypeError`` for a header that can't be."""
    if not isinstance(seconds, int) or seconds <= 0:
        raise ValueError(f"expires_in must be a whole number of seconds above 0, not {seconds!r}.")
    for header in headers:
        if header not in OBJECT_OPTIONS:
            hint = nearest(header, OBJECT_OPTIONS)
            raise TypeError(f"sign() got an unexpected header {header!r}; {hint}")
