"""CDNs that verify what was signed, as their documentation says, over real sockets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.helpers.web import WebServer

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.NoEncryption(),
).decode()
KEY_ID = "K2JCJMDEHXQW5F"
SECRET = "the-secret-of-the-cdn"
#: seconds, as a rule of Cloudflare has them
LIFETIME = 3600


class CDN:
    """Use as a context manager; answers 200 with the path, or 403."""

    def __init__(self, verify: Callable[[str, web.Request], bool]) -> None:
        self._verify = verify

    def __enter__(self) -> CDN:
        self._server = WebServer(self._answer).__enter__()
        self.url = f"{self._server.url}/"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.__exit__(*exc_info)

    async def _answer(self, request: web.Request) -> web.Response:
        whole = f"{self._server.url}{request.rel_url.raw_path_qs}"
        try:
            is_allowed = self._verify(whole, request)
        except (ValueError, KeyError, InvalidSignature):
            is_allowed = False
        if not is_allowed:
            return web.Response(status=403)
        return web.Response(text=request.path)


def cloudfront(url: str, request: web.Request) -> bool:
    """Verify a signed URL, or cookies (Amazon CloudFront, "Private content")."""
    resource, query = _without(url, ("Expires", "Policy", "Signature", "Key-Pair-Id"))
    signed = query or {
        name.removeprefix("CloudFront-"): value for name, value in request.cookies.items()
    }
    if signed["Key-Pair-Id"] != KEY_ID:
        return False
    if "Policy" in signed:
        policy = _decoded(signed["Policy"])
    else:
        # the canned one, whose bytes CloudFront makes itself
        ends = int(signed["Expires"])
        condition = {"DateLessThan": {"AWS:EpochTime": ends}}
        statement: dict[str, Any] = {"Resource": resource, "Condition": condition}
        policy = json.dumps({"Statement": [statement]}, separators=(",", ":")).encode()
    signature = _decoded(signed["Signature"])
    KEY.public_key().verify(signature, policy, padding.PKCS1v15(), hashes.SHA1())
    (statement,) = json.loads(policy)["Statement"]
    condition = statement["Condition"]
    if not fnmatchcase(resource, statement["Resource"]):
        return False
    network = condition.get("IpAddress", {}).get("AWS:SourceIp", "127.0.0.1/32")
    ends = int(condition["DateLessThan"]["AWS:EpochTime"])
    return network == "127.0.0.1/32" and ends > time.time()


def cloudflare(url: str, request: web.Request) -> bool:
    """Evaluate ``is_timed_hmac_valid_v0()`` of Cloudflare's rules language."""
    uri = request.rel_url.raw_path_qs
    start = max(uri.rfind("?verify="), uri.rfind("&verify="))
    issued, mac = uri[start + len("?verify=") :].split("-", 1)
    message = f"{uri[:start]}{issued}".encode()
    expected = hmac.new(SECRET.encode(), message, hashlib.sha256).digest()
    same = hmac.compare_digest(expected, base64.b64decode(unquote(mac), validate=True))
    return start > 0 and len(issued) == 10 and same and time.time() < int(issued) + LIFETIME


def bunny(url: str, request: web.Request) -> bool:
    """Verify a token of bunny.net ("Advanced token authentication")."""
    path, _, query = request.rel_url.raw_path_qs.partition("?")
    if path.startswith("/bcdn_"):
        query, _, path = path.removeprefix("/bcdn_").partition("/")
        path = f"/{path}"
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    token, expires = parameters.pop("token"), parameters.pop("expires")
    allowed = parameters.get("token_path", path)
    signed = "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))
    message = f"{allowed}{expires}{signed}".encode()
    digest = hmac.new(SECRET.encode(), message, hashlib.sha256).digest()
    expected = "HS256-" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return token == expected and path.startswith(allowed) and time.time() < int(expires)


def _without(url: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Return a URL without some parameters, and these."""
    address, _, query = url.partition("?")
    pairs = [pair.split("=", 1) for pair in query.split("&")] if query else []
    kept = "&".join("=".join(pair) for pair in pairs if pair[0] not in names)
    taken = {pair[0]: pair[1] for pair in pairs if pair[0] in names}
    return f"{address}?{kept}" if kept else address, taken


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.translate(str.maketrans("-_~", "+=/")), validate=True)
