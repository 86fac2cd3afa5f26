"""The option `url_signer`: an object, a dotted path or a callable that signs public URLs.

The signers that come with this package are in ``django_fsspec.signers``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_fsspec.adapters.errors import NotSigned
from django_fsspec.exceptions import NotSupported

from .options import OptionError

_OPTION = "url_signer"
_HINT = (
    "write an object with sign(url, expires_in, method), such as "
    "django_fsspec.signers.CloudFrontSigner(…), a callable of these arguments, or the dotted "
    "path of either."
)


class SignerFailed(NotSigned):
    """The signer of the options raised, or returned no URL."""

    option = _OPTION


class URLSigner:
    """The signer that `option` names, for URLs under `base_url`.

    Raises ``OptionError`` for one that can't be imported or called, and without a `base_url`.
    """

    def __init__(self, option: Any, base_url: str | None) -> None:
        if base_url is None:
            raise OptionError(_OPTION, "signs URLs under 'base_url': set that, too.")
        signer = _imported(option) if isinstance(option, str) else option
        if inspect.isclass(signer):
            raise OptionError(_OPTION, f"is the class {signer.__name__}: {_HINT}")
        sign = getattr(signer, "sign", signer)
        if not callable(sign):
            raise OptionError(_OPTION, f"is a {type(signer).__name__}: {_HINT}")
        self._base_url = base_url
        self._sign: Callable[[str, int, str], Any] = sign
        #: the methods of HTTP for which URLs are signed
        self.methods: Collection[str] = getattr(signer, "methods", ("GET",))

    def sign(self, url: str, expires_in: int, method: str) -> str:
        """Return `url` signed for `expires_in` seconds. Raises ``SignerFailed``."""
        try:
            signed = self._sign(url, expires_in, method)
        except Exception as error:
            # the message of another exception may have a key
            is_safe = isinstance(error, NotSigned | NotSupported | ImproperlyConfigured)
            message = str(error) if is_safe else f"{type(error).__name__} raised"
            raise SignerFailed(message) from None
        if not isinstance(signed, str) or not signed:
            raise SignerFailed(f"it returned a {type(signed).__name__} instead of a URL")
        return signed

    def try_out(self, expires_in: int) -> None:
        """Sign a URL that is never used. Raises ``OptionError`` where that fails."""
        method = next(iter(self.methods), "GET")
        try:
            self.sign(f"{self._base_url}checked", expires_in, method)
        except SignerFailed as error:
            raise OptionError(_OPTION, f"can't sign URLs: {error}.") from None


def _imported(path: str) -> Any:
    try:
        return import_string(path)
    except ImportError as error:
        raise OptionError(_OPTION, f"can't be imported: {error}; {_HINT}") from None
