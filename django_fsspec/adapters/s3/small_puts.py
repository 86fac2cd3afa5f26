"""Fast path for small S3 PUTs: reuse the request that botocore built first, and sign it anew.

botocore needs a millisecond of CPU for each request, because it validates, resolves and builds
anew what is the same for every object of a bucket. So botocore makes the first PUT with some
arguments. The following ones reuse its address and headers with another key and other bytes, and
are signed here (AWS Signature Version 4). botocore makes all PUTs of which not every header is
understood, and all that are not small. Where a botocore, an aiobotocore or a s3fs to come
lacks one of the undocumented names that this needs, all PUTs stay with botocore.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote, urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ClientError, HTTPClientError

from django_fsspec.adapters.aiohttp_client import TRANSIENT
from django_fsspec.adapters.retries import RetryPolicy
from django_fsspec.core.stat import SAVE_TOKEN

from .again_later import AGAIN_LATER, answer_of, code_of, status_of, tries_of

if TYPE_CHECKING:
    from django_fsspec.adapters.connection_limit import ConnectionLimit

#: bytes above which botocore's own time does not matter
SMALL = 256 * 1024
_ALGORITHM = "AWS4-HMAC-SHA256"
_CHECKSUM = "x-amz-checksum-crc32"
_TOKEN = f"x-amz-meta-{SAVE_TOKEN}"
#: headers that each request has of its own, or does without
_OWN = frozenset(
    (
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "content-length",
        "expect",
        "transfer-encoding",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-security-token",
        "x-amz-trailer",
        _CHECKSUM,
        _TOKEN,
    )
)
#: headers about the bytes that are not made here
_FOREIGN = ("content-md5", "digest", "content-digest", "x-amz-checksum-")
#: codes that mean "again later" whatever the status
_AGAIN = frozenset(("PriorRequestNotComplete", "RequestTimeout", "SlowDown", "Throttling"))
_MOST_EXAMPLES = 64

#: where the PUT that is made in this context leaves how
_seen: ContextVar[dict[str, Any] | None] = ContextVar("seen", default=None)


def _note(**event: Any) -> None:
    seen = _seen.get()
    if seen is not None:
        seen.update(event)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _host(url: str) -> str:
    """Return the Host header of a request to `url`: no port where it is the usual one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def signature(key: bytes, message: str) -> bytes:
    """Return the HMAC-SHA256 of `message`.

    Not by ``hmac.digest()``, which lets go of the GIL: OpenSSL's locks, held by another thread
    when a process forks, stay locked in the child, whose first TLS context then hangs.
    """
    return hmac.new(key, message.encode(), hashlib.sha256).digest()


@lru_cache(maxsize=16)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = signature(key, part)
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """How botocore makes a PUT, apart from key and bytes."""

    #: address and path up to the key
    stem: str
    path: str
    headers: Mapping[str, str]
    #: those of them that are signed, as they are signed
    signed: Mapping[str, str]
    region: str
    #: whether a checksum goes along, which the server compares
    checked: bool
    #: gives the credentials, renewed where they expire
    credentials: Callable[[], Awaitable[Any]]

    @classmethod
    def of(cls, key: str, request: Any, signer: Any) -> Self | None:
        """Return what a signed request for `key` is an example of; None when it can't be one."""
        sent = {name.lower(): _text(value) for name, value in request.headers.items()}
        algorithm, _, rest = sent.get("authorization", "").partition(" ")
        pairs = {name: value for name, _, value in (p.partition("=") for p in rest.split(", "))}
        scope = pairs.get("Credential", "").rsplit("/", 4)
        checksum = sent.get("x-amz-sdk-checksum-algorithm")
        encoded = quote(key, safe="/-._~")
        if (
            algorithm != _ALGORITHM
            or scope[3:] != ["s3", "aws4_request"]
            or checksum not in (None, "CRC32")
            or not request.url.endswith(f"/{encoded}")
        ):
            return None
        headers = {name: value for name, value in sent.items() if name not in _OWN}
        if any(name.startswith(_FOREIGN) for name in headers):
            return None
        # chunks are for a checksum behind the bytes; here it goes before them
        encodings = [part.strip() for part in headers.pop("content-encoding", "").split(",")]
        if kept := ",".join(part for part in encodings if part not in ("", "aws-chunked")):
            headers["content-encoding"] = kept
        names = pairs.get("SignedHeaders", "").split(";")
        region = scope[2]

        async def credentials() -> Any:
            return (await signer.get_auth_instance("s3", region, "s3v4")).credentials

        stem = request.url[: -len(encoded)]
        return cls(
            stem=stem,
            path=urlsplit(stem).path,
            headers=headers,
            signed={
                "host": _host(stem),
                **{name: " ".join(headers[name].split()) for name in names if name in headers},
            },
            region=region,
            checked=checksum is not None,
            credentials=credentials,
        )

    async def request(self, key: str, data: bytes, token: str | None = None) -> AWSPreparedRequest:
        """Return the PUT of `data`, signed; `token` is the save's."""
        credentials = await self.credentials()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(data).hexdigest()
        own = {"x-amz-content-sha256": digest, "x-amz-date": stamp}
        if credentials.token:
            own["x-amz-security-token"] = credentials.token
        if token is not None:
            own[_TOKEN] = token
        if self.checked:
            own[_CHECKSUM] = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
        encoded = quote(key, safe="/-._~")
        signed = sorted({**self.signed, **own}.items())
        names = ";".join(name for name, _ in signed)
        lines = "\n".join(f"{name}:{value}" for name, value in signed)
        canonical = f"PUT\n{self.path}{encoded}\n\n{lines}\n\n{names}\n{digest}"
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        secret = _signing_key(credentials.secret_key, stamp[:8], self.region)
        signed_by = signature(secret, f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashed}").hex()
        own["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signed_by}"
        )
        headers = {**self.headers, **own}
        return AWSPreparedRequest("PUT", f"{self.stem}{encoded}", headers, data, False)


class _Internals(NamedTuple):
    """What of botocore a repeated PUT needs, and is documented nowhere."""

    #: sends over the client's own connections, with its TLS, proxies and limits; the public way
    #: there is a whole call of the client, which is what costs the time
    send: Callable[[AWSPreparedRequest], Awaitable[Any]]
    #: reads an error's XML as the client does
    parse: Callable[[Mapping[str, Any], None], Mapping[str, Any]]
    #: gives the exceptions that s3fs raises
    translate: Callable[[ClientError], Exception]

    @classmethod
    def of(cls, client: Any) -> Self | None:
        """Return those of one client, None where any is missing."""
        try:
            from botocore.parsers import create_parser
            from s3fs.errors import translate_boto_error

            send = client._endpoint.http_session.send
            return cls(send, create_parser("rest-xml").parse, translate_boto_error)
        except (ImportError, AttributeError):
            return None


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


class Puts:
    """The small PUTs of one of botocore's clients; `connections` gives their limit."""

    def __init__(self, client: Any, connections: Callable[[], ConnectionLimit]) -> None:
        self.client, self._connections = client, connections
        self._internals = _Internals.of(client)
        # by an id, because a client that serves several storages comes here for each
        client.meta.events.register("before-sign.s3.PutObject", _note, "django-fsspec")
        self._examples: dict[Any, Example | None] = {}

    async def put(
        self,
        bucket: str,
        key: str,
        data: bytes,
        arguments: Mapping[str, Any],
        by_botocore: Callable[[], Awaitable[Mapping[str, Any]]],
    ) -> Mapping[str, Any]:
        """Store `data`, in the way of `by_botocore` where it is known, and return the answer.

        Raises what ``fs._call_s3()`` does.
        """
        arguments, token = _without_token(arguments)
        arguments_key = (bucket, *sorted(arguments.items()))
        # other metadata can't be hashed: each object has its own
        if self._internals is None or not _hashable(arguments_key):
            return await by_botocore()
        if arguments_key not in self._examples:
            return await self._learn(arguments_key, key, by_botocore)
        example = self._examples[arguments_key]
        if example is None:
            return await by_botocore()
        build = partial(example.request, key, data, token)
        return await self._repeat(self._internals, arguments_key, build)

    async def _learn(
        self, arguments_key: Any, key: str, by_botocore: Callable[[], Awaitable[Mapping[str, Any]]]
    ) -> Mapping[str, Any]:
        seen: dict[str, Any] = {}
        token = _seen.set(seen)
        try:
            answer = await by_botocore()
        finally:
            _seen.reset(token)
        if seen:
            if len(self._examples) >= _MOST_EXAMPLES:
                self._examples.pop(next(iter(self._examples)))
            self._examples[arguments_key] = await _understood(key, seen)
        return answer

    async def _repeat(
        self,
        internals: _Internals,
        arguments_key: Any,
        build: Callable[[], Awaitable[AWSPreparedRequest]],
    ) -> Mapping[str, Any]:
        async def attempt() -> Mapping[str, Any]:
            request = await build()
            async with self._connections():
                response = await internals.send(request)
                body, headers = await response.content, response.headers
            if response.status_code >= 300:
                answer = {"status_code": response.status_code, "headers": headers, "body": body}
                # what the answer means, as s3fs translates what botocore raises
                fault = ClientError(internals.parse(answer, None), "PutObject")
                raise internals.translate(fault)
            return {
                "ETag": headers.get("etag"),
                "VersionId": headers.get("x-amz-version-id"),
                "ResponseMetadata": {"HTTPHeaders": headers},
            }

        tries = tries_of(self.client.meta.config)
        try:
            return await RetryPolicy(tries - 1, _is_transient).arun(attempt)
        except OSError as error:
            if status_of(answer_of(error)) not in (*AGAIN_LATER, 412):
                # what was refused may be the way: the next PUT is botocore's again
                self._examples.pop(arguments_key, None)
            raise


def _without_token(arguments: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """Return arguments without the save's token and that, which is an object's own."""
    metadata = arguments.get("Metadata")
    if not metadata or metadata.keys() != {SAVE_TOKEN}:
        return arguments, None
    others = {name: value for name, value in arguments.items() if name != "Metadata"}
    return others, metadata[SAVE_TOKEN]


async def _understood(key: str, seen: Mapping[str, Any]) -> Example | None:
    """Return the example that a signed PUT gives; None where none can be made after it."""
    try:
        example = Example.of(key, seen["request"], seen["request_signer"])
        if example is not None:
            # asked for now, while botocore can still make the PUTs itself
            await example.credentials()
    except Exception:  # the PUT has succeeded: whatever is missing, botocore makes the next one
        return None
    return example


def _is_transient(error: Exception) -> bool:
    answer = answer_of(error)
    if status_of(answer) in TRANSIENT | AGAIN_LATER or code_of(answer) in _AGAIN:
        return True
    return isinstance(error, HTTPClientError)
