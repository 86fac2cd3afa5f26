"""Signers of CDN URLs, for the option `url_signer`: CloudFront, Cloudflare, Bunny.

A signer is any object with ``sign(url, expires_in, method)``: it returns the URL, signed for
`expires_in` seconds. It signs uploads only where its attribute `methods` has "PUT". It must make
no request. Nothing here imports Django's apps, so that settings can import it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import ipaddress
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from django.core.exceptions import ImproperlyConfigured

from django_fsspec.core.expiry import expiry
from django_fsspec.core.extras import load
from django_fsspec.exceptions import NotSupported

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

__all__ = ["BunnySigner", "CloudFrontSigner", "CloudflareSigner"]

#: base64 as CloudFront writes it in URLs and cookies
_CLOUDFRONT = bytes.maketrans(b"+=/", b"-_~")


class _KeepsSecret:
    """Never shows, pickles or copies what it was made with."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # settings are copied by tests
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a key, which must not go into a pickle.")

    def _require_get(self, method: str) -> None:
        if method not in ("GET", "HEAD"):
            raise NotSupported(f"{type(self).__name__} signs downloads, not a {method}.")


class CloudFrontSigner(_KeepsSecret):
    """Signs URLs and cookies for Amazon CloudFront.

    Example::

        url_signer = CloudFrontSigner("K2JCJMDEHXQW5F", "/run/secrets/cloudfront.pem")

    `key_id` is the id of a public key in a trusted key group. `private_key` is the RSA key in PEM,
    or the path of its file, which is read once when the first URL is signed. A URL gets a canned
    policy, with an `ip_address` (or network, ``"192.0.2.0/24"``) a custom one. Needs the extra
    ``cloudfront``. Raises ``ValueError`` for an `ip_address` that is none. Source: Amazon
    CloudFront Developer Guide, "Use signed URLs", "Use signed cookies".
    """

    def __init__(
        self, key_id: str, private_key: str | bytes | os.PathLike[str], *, ip_address: str = ""
    ) -> None:
        self.key_id = key_id
        self._private_key = private_key
        self._ip_address = str(ipaddress.ip_network(ip_address)) if ip_address else ""

    def sign(self, url: str, expires_in: int, method: str = "GET") -> str:
        """Return `url` signed for `expires_in` seconds, up to a tenth less. No request.

        Raises ``ImproperlyConfigured`` without the extra, for a private key that can't be read or
        is no RSA key, and for a URL without a host; ``NotSupported`` for an upload.
        """
        self._require_get(method)
        url = _without_wildcard(url)
        expires = expiry(expires_in)
        policy = _policy(url, expires, self._ip_address)
        terms = {"Policy": _encoded(policy)} if self._ip_address else {"Expires": str(expires)}
        query = {**terms, "Signature": self._signature(policy), "Key-Pair-Id": self.key_id}
        # CloudFront's own tools leave these characters as they are
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query, safe='-_~')}"

    def cookies(self, prefix: str, expires_in: int) -> dict[str, str]:
        """Return the cookies that open every URL that begins with `prefix`. No request.

        `prefix` is the URL of a folder. Raises ``ValueError`` for one with a query or without a
        slash at its end, and ``ImproperlyConfigured`` as ``sign()``.
        """
        if not prefix.endswith("/") or "?" in prefix:
            raise ValueError("The prefix must be the URL of a folder, with a slash at its end.")
        resource = f"{_without_wildcard(prefix)}*"
        policy = _policy(resource, expiry(expires_in), self._ip_address)
        return {
            "CloudFront-Policy": _encoded(policy),
            "CloudFront-Signature": self._signature(policy),
            "CloudFront-Key-Pair-Id": self.key_id,
        }

    def set_cookies(
        self,
        response: HttpResponseBase,
        prefix: str,
        expires_in: int,
        *,
        domain: str | None = None,
        path: str = "",
        samesite: Literal["Lax", "Strict", "None"] = "Lax",
    ) -> None:
        """Set the ``cookies()`` of a folder on a response of Django: Secure, HttpOnly.

        `domain` is one that the site and the CDN share (``".example.com"``); a browser sends the
        cookies only there. `path` is by default that of `prefix`. Raises as ``cookies()``.
        """
        for name, value in self.cookies(prefix, expires_in).items():
            response.set_cookie(
                name,
                value,
                max_age=expires_in,
                domain=domain,
                path=path or urlsplit(prefix).path,
                secure=True,
                httponly=True,
                samesite=samesite,
            )

    def _signature(self, policy: str) -> str:
        hashes, padding = _cryptography("hashes"), _cryptography("asymmetric.padding")
        # SHA-1 is what CloudFront verifies
        signature: bytes = self._key.sign(policy.encode(), padding.PKCS1v15(), hashes.SHA1())
        return _encoded(signature)

    @functools.cached_property
    def _key(self) -> Any:
        """The RSA key, parsed once."""
        serialization, rsa = _cryptography("serialization"), _cryptography("asymmetric.rsa")
        try:
            key = serialization.load_pem_private_key(_pem(self._private_key), password=None)
        except (ValueError, TypeError):
            key = None
        except OSError as error:
            raise _wrong_key(f"can't be read ({error.strerror})") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise _wrong_key("is no RSA key in PEM, or is encrypted")
        return key


class CloudflareSigner(_KeepsSecret):
    """Signs URLs for a rule of Cloudflare's WAF that calls ``is_timed_hmac_valid_v0()``.

    Example::

        CloudflareSigner(os.environ["CLOUDFLARE_SECRET"], lifetime=3600)

    The rule is ``not is_timed_hmac_valid_v0("<secret>", http.request.uri, <lifetime>,
    http.request.timestamp.sec, 8)`` with the action Block. `lifetime` in seconds must be that of
    the rule; `url_expires_in` may be shorter, not longer. With another `parameter` than ``verify``
    the last number is its length and 2. Raises ``ImproperlyConfigured`` for an empty `secret`.
    Source: Cloudflare, "Configure token authentication".
    """

    def __init__(self, secret: str, lifetime: int, *, parameter: str = "verify") -> None:
        self._secret = _secret(secret, "secret")
        self._lifetime, self._parameter = lifetime, parameter

    def sign(self, url: str, expires_in: int, method: str = "GET") -> str:
        """Return `url` signed for `expires_in` seconds, up to a tenth less. No request.

        Raises ``NotSupported`` for an upload, and for longer than the `lifetime` of the rule.
        """
        self._require_get(method)
        if expires_in > self._lifetime:
            raise NotSupported(
                f"the rule of Cloudflare ends a URL after {self._lifetime} s, which is less than "
                f"{expires_in} s: raise the lifetime there and here, or lower url_expires_in"
            )
        # the rule counts from the time in the token
        issued = expiry(expires_in) - self._lifetime
        parts = urlsplit(url)
        uri = urlunsplit(("", "", parts.path, parts.query, ""))
        mac = hmac.digest(self._secret, f"{uri}{issued}".encode(), hashlib.sha256)
        token = f"{issued}-{quote(base64.b64encode(mac), safe='')}"
        return f"{url}{'&' if parts.query else '?'}{self._parameter}={token}"


class BunnySigner(_KeepsSecret):
    """Signs URLs for the token authentication of a pull zone at bunny.net.

    Example::

        BunnySigner(os.environ["BUNNY_KEY"])

    `security_key` is the zone's "URL token authentication key". With a `token_path`, which begins
    and ends with a slash, the token of a file under it opens all of them, and stands in the path:
    players find the further files of a video. Raises ``ImproperlyConfigured`` for an empty key and
    for another `token_path`. Source: bunny.net, "Advanced token authentication" (HS256).
    """

    def __init__(self, security_key: str, *, token_path: str = "") -> None:
        self._secret = _secret(security_key, "security_key")
        if token_path and not (token_path.startswith("/") and token_path.endswith("/")):
            raise ImproperlyConfigured("token_path must begin and end with a slash.")
        self._token_path = token_path

    def sign(self, url: str, expires_in: int, method: str = "GET") -> str:
        """Return `url` signed for `expires_in` seconds, up to a tenth less. No request.

        Raises ``NotSupported`` for an upload, and for a URL with a parameter twice.
        """
        self._require_get(method)
        parts = urlsplit(url)
        query = _parameters(parts.query)
        folder = self._token_path
        if folder and parts.path.startswith(folder):
            query["token_path"] = allowed = folder
        else:
            folder, allowed = "", parts.path
        query = dict(sorted(query.items()))
        expires = str(expiry(expires_in))
        signed = "&".join(f"{name}={value}" for name, value in query.items())
        message = f"{allowed}{expires}{signed}"
        mac = hmac.digest(self._secret, message.encode(), hashlib.sha256)
        token = "HS256-" + base64.urlsafe_b64encode(mac).decode().rstrip("=")
        text = urlencode({"token": token, **query, "expires": expires}, quote_via=quote, safe="")
        if folder:
            path = f"/bcdn_{text}{parts.path}"
            return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        return urlunsplit((parts.scheme, parts.netloc, parts.path, text, ""))


def _cryptography(module: str) -> Any:
    return load(f"cryptography.hazmat.primitives.{module}", "cloudfront", "CloudFrontSigner")


def _policy(resource: str, expires: int, ip_address: str) -> str:
    """Return a policy as JSON, in the form in which CloudFront makes a canned one to verify it.

    Raises ``ImproperlyConfigured`` for a `resource` without a host.
    """
    if not resource.startswith(("http://", "https://")):
        raise ImproperlyConfigured(
            "CloudFrontSigner signs whole URLs: begin base_url with https:// and the domain"
        )
    condition: dict[str, Any] = {"DateLessThan": {"AWS:EpochTime": expires}}
    if ip_address:
        condition["IpAddress"] = {"AWS:SourceIp": ip_address}
    statement = {"Resource": resource, "Condition": condition}
    return json.dumps({"Statement": [statement]}, separators=(",", ":"))


def _without_wildcard(url: str) -> str:
    """Return `url` with each ``*`` quoted: CloudFront takes it for a wildcard."""
    return url.replace("*", "%2A")


def _encoded(data: str | bytes) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return base64.b64encode(raw).translate(_CLOUDFRONT).decode()


def _pem(key: str | bytes | os.PathLike[str]) -> bytes:
    """Return the PEM of a key that is given as PEM or as a path. Raises ``OSError``."""
    if isinstance(key, bytes):
        return key
    if isinstance(key, str) and "-----BEGIN" in key:
        # environment variables hold it in one line
        return key.replace("\\n", "\n").encode()
    return Path(key).read_bytes()


def _wrong_key(fault: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"the private_key of CloudFrontSigner {fault}; write the PEM of an RSA key or the path of "
        "its file"
    )


def _secret(text: str, name: str) -> bytes:
    if not isinstance(text, str) or not text:
        raise ImproperlyConfigured(f"{name} must be text that is not empty.")
    return text.encode()


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query. Raises ``NotSupported`` for one that is there twice."""
    pairs = parse_qsl(query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise NotSupported("bunny.net signs no URL in which a parameter is twice")
    return parameters
