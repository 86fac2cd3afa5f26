"""Fast path for small S3 requests: reuse the request that botocore built first, sign it anew.

botocore needs a millisecond of CPU for each request: it validates, resolves, builds and parses
anew what is the same for every object of a bucket. So botocore makes the first PUT, GET, HEAD or
DELETE with some arguments, and the following ones reuse its address and headers with another key.
botocore makes each request of which a header is not understood, and repeats each whose answer is
not. All stay with it where a release lacks one of the undocumented names that this needs.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from django_fsspec.adapters.aiohttp_client import TRANSIENT
from django_fsspec.adapters.errors import not_found
from django_fsspec.adapters.retries import RetryPolicy
from django_fsspec.core.stat import SAVE_TOKEN

from .again_later import AGAIN_LATER, answer_of, code_of, status_of, tries_of
from .sending import sender
from .signature import ALGORITHM, SigningKey, signed_by_botocore, timestamp, watch

if TYPE_CHECKING:
    from django_fsspec.adapters.connection_limit import ConnectionLimit

    _Call = Callable[[], Awaitable[Mapping[str, Any]]]

#: bytes of a PUT above which botocore's own time does not matter
SMALL = 256 * 1024
_METHODS = ("put_object", "get_object", "head_object", "delete_object")
_CHECKSUM = "x-amz-checksum-crc32"
_MODE = "x-amz-checksum-mode"
_TOKEN = f"x-amz-meta-{SAVE_TOKEN}"
#: arguments that are one request's own, and the headers that they become
_ARGUMENTS = {"Range": "range", "IfMatch": "if-match"}
#: how headers begin that each request has of its own, or does without
_OWN = (
    *(_CHECKSUM, _TOKEN, *_ARGUMENTS.values(), "amz-sdk-", "authorization", "content-length"),
    *("expect", "transfer-encoding", "x-amz-content-sha256", "x-amz-date", "x-amz-decoded-"),
    *("x-amz-security-token", "x-amz-trailer"),
)
#: how headers begin about bytes or about one request that are not made here
_FOREIGN = ("content-md5", "digest", "content-digest", "x-amz-checksum-", "x-amzn-trace-id")
#: codes that mean "again later" whatever the status
_AGAIN = frozenset(("PriorRequestNotComplete", "RequestTimeout", "SlowDown", "Throttling"))
#: statuses that say something of the object, and nothing of how it was asked for
_PLAIN = frozenset((304, 404, 412, 416))
_MOST_EXAMPLES = 64


class Answer(NamedTuple):
    """What is needed of an answer: headers by names in lower case, and the body of a GET."""

    headers: Mapping[str, str]
    body: Any = None


@dataclass(slots=True, kw_only=True)
class Example:
    """How botocore makes a request, apart from key and bytes."""

    method: str
    #: address and path up to the key
    stem: str
    path: str
    headers: Mapping[str, str]
    #: as they are signed, with the host
    signed: Mapping[str, str]
    key: SigningKey
    #: whether a checksum of what is sent goes along
    checked: bool
    #: what botocore notes about the checksums of what it receives
    context: Mapping[str, Any]
    #: gives what signs, with credentials that are renewed where they expire
    signer: Any
    #: whether the service has taken a request made after it
    proven: bool = False

    @classmethod
    async def of(cls, key: str, request: Any, signer: Any) -> Self | None:
        """Return what a signed request for `key` is an example of; None when it can't be one."""
        sent = {name.lower(): value for name, value in request.headers.items()}
        sent = {name: v.decode() if isinstance(v, bytes) else str(v) for name, v in sent.items()}
        algorithm, _, rest = sent.get("authorization", "").partition(" ")
        pairs = {name: value for name, _, value in (p.partition("=") for p in rest.split(", "))}
        scope = pairs.get("Credential", "").rsplit("/", 4)
        checksum = sent.get("x-amz-sdk-checksum-algorithm")
        encoded = quote(key, safe="/-._~")
        headers = {name: value for name, value in sent.items() if not name.startswith(_OWN)}
        if (
            algorithm != ALGORITHM
            or scope[3:] != ["s3", "aws4_request"]
            or checksum not in (None, "CRC32")
            or not request.url.endswith(f"/{encoded}")
            or any(name.startswith(_FOREIGN) for name in headers.keys() - {_MODE})
        ):
            return None
        # chunks are for a checksum behind the bytes; here it goes before them
        encodings = [part.strip() for part in headers.pop("content-encoding", "").split(",")]
        if kept := ",".join(part for part in encodings if part not in ("", "aws-chunked")):
            headers["content-encoding"] = kept
        stem = request.url[: -len(encoded)]
        auth = await signer.get_auth_instance("s3", scope[2], "s3v4")
        signed = auth.headers_to_sign(AWSRequest(request.method, stem, headers))
        return cls(
            method=request.method,
            stem=stem,
            path=urlsplit(stem).path,
            headers=headers,
            signed={name: " ".join(value.split()) for name, value in signed.items()},
            key=SigningKey(auth.credentials, scope[2]),
            checked=checksum is not None,
            context={"checksum": request.context.get("checksum", {})},
            signer=signer,
        )

    async def request(
        self, key: str, data: bytes | None, own: Mapping[str, str]
    ) -> AWSPreparedRequest:
        """Return the request for `key`, signed, with headers of its `own`."""
        auth = await self.signer.get_auth_instance("s3", self.key.region, "s3v4")
        if auth.credentials != self.key.credentials:
            self.key = SigningKey(auth.credentials, self.key.region)
        signing, stamp = self.key, timestamp()
        digest = hashlib.sha256(data or b"").hexdigest()
        own = {**own, "x-amz-content-sha256": digest, "x-amz-date": stamp}
        if auth.credentials.token:
            own["x-amz-security-token"] = auth.credentials.token
        if self.checked:
            own[_CHECKSUM] = base64.b64encode(zlib.crc32(data or b"").to_bytes(4, "big")).decode()
        encoded = quote(key, safe="/-._~")
        signed = sorted({**self.signed, **own}.items())
        names = ";".join(name for name, _ in signed)
        lines = "\n".join(f"{name}:{value}" for name, value in signed)
        canonical = f"{self.method}\n{self.path}{encoded}\n\n{lines}\n\n{names}\n{digest}"
        own["authorization"] = (
            f"{ALGORITHM} Credential={signing.scope(stamp)}, "
            f"SignedHeaders={names}, Signature={signing.signature(stamp, canonical)}"
        )
        url, is_read = f"{self.stem}{encoded}", self.method == "GET"
        return AWSPreparedRequest(self.method, url, {**self.headers, **own}, data, is_read)


class _NotUnderstoodError(Exception):
    """An answer that may be due to how the request was made."""


class SmallRequests:
    """The small requests of one of botocore's clients; `connections` gives their limit."""

    def __init__(self, client: Any, connections: Callable[[], ConnectionLimit]) -> None:
        self.client, self._connections = client, connections
        self._internals: Any = _internals(client)
        self._policy = RetryPolicy(tries_of(client.meta.config) - 1, _is_transient)
        self._examples: dict[Any, Example | None] = {}
        self._models: dict[str, Any] = {}
        for method in _METHODS:
            name = client.meta.method_to_api_mapping[method]
            self._models[method] = client.meta.service_model.operation_model(name)
            watch(client, name)

    async def make(
        self, method: str, bucket: str, key: str, arguments: Mapping[str, Any], by_botocore: _Call
    ) -> Answer:
        """Make a request, by botocore where need be. Raises what ``fs._call_s3()`` does."""
        others, own, data = _own_apart(arguments)
        kind = f"{method} {bucket} {sorted(others.items())}"
        example = self._examples.get(kind)
        # other metadata is each object's own
        if self._internals is None or "Metadata" in others:
            return _answer(await by_botocore())
        if example is not None:
            attempt = partial(self._attempt, self._models[method], example, key, data, own)
            try:
                return await self._policy.arun(attempt)
            except _NotUnderstoodError:
                # botocore finds out why; an example that was never good is none
                self._examples[kind] = None
                if example.proven:
                    del self._examples[kind]
        if kind not in self._examples:
            by_botocore = partial(self._learn, kind, key, by_botocore)
        try:
            return _answer(await by_botocore())
        except OSError as error:
            if example is not None and answer_of(error):
                # it is refused as well
                example.proven, self._examples[kind] = True, example
            raise

    async def _learn(self, kind: Any, key: str, by_botocore: _Call) -> Mapping[str, Any]:
        with signed_by_botocore() as seen:
            try:
                response = await by_botocore()
            except FileNotFoundError:
                await self._remember(kind, key, seen)
                raise
        await self._remember(kind, key, seen)
        return response

    async def _remember(self, kind: Any, key: str, seen: Mapping[str, Any]) -> None:
        """Keep the example that a signed request gives; None where none can be made after it."""
        try:
            example = await Example.of(key, seen["request"], seen["request_signer"])
        except Exception:  # it was answered: whatever is missing, botocore makes the next one
            example = None
        if len(self._examples) >= _MOST_EXAMPLES:
            self._examples.pop(next(iter(self._examples)))
        self._examples[kind] = example

    async def _attempt(
        self, model: Any, example: Example, key: str, data: Any, own: Mapping[str, str]
    ) -> Answer:
        send, read, check, parse, translate = self._internals
        request = await example.request(key, data, own)
        # whoever reads the body of a GET keeps a connection of the limit
        async with contextlib.nullcontext() if request.stream_output else self._connections():
            response = await send(request)
            answer = await read(response, model)
        if response.status_code < 300:
            await check(response, answer, example.context, model)
            example.proven = True
            headers = {name.lower(): value for name, value in response.raw.headers.items()}
            return Answer(headers, answer["body"])
        if response.status_code == 404 and request.method == "HEAD":
            # no body says more, and whoever asks whether a file exists waits for no explanation
            raise not_found(key)
        # what the answer means, as s3fs translates what botocore raises
        parsed = parse(answer, None)
        error = translate(ClientError(parsed, model.name))
        # a HEAD is refused without a code
        denied = example.proven and code_of(parsed) in ("AccessDenied", "403")
        if denied or response.status_code in _PLAIN or _is_transient(error):
            raise error
        raise _NotUnderstoodError from error


def _internals(client: Any) -> tuple[Any, ...] | None:
    """Return what a repeated request needs and is documented nowhere; None where any is missing.

    It sends over the client's own connections, reads the body of an answer, has it compared with
    its checksum, reads an error's XML, and gives the exception that s3fs raises for it.
    """
    try:
        from aiobotocore.endpoint import convert_to_response_dict
        from aiobotocore.httpchecksum import handle_checksum_body
        from botocore.parsers import create_parser
        from s3fs.errors import translate_boto_error

        send, parse = sender(client._endpoint.http_session), create_parser("rest-xml").parse
    except (ImportError, AttributeError):
        return None
    # the mode "adaptive" also slows requests down
    if (client.meta.config.retries or {}).get("mode") == "adaptive":
        return None
    return send, convert_to_response_dict, handle_checksum_body, parse, translate_boto_error


def _answer(response: Mapping[str, Any]) -> Answer:
    return Answer(response["ResponseMetadata"]["HTTPHeaders"], response.get("Body"))


def _own_apart(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str], Any]:
    """Return arguments without what is one request's own, headers that is, and bytes."""
    others = dict(arguments)
    own = {header: others.pop(name) for name, header in _ARGUMENTS.items() if name in others}
    if (others.get("Metadata") or {}).keys() == {SAVE_TOKEN}:
        own[_TOKEN] = others.pop("Metadata")[SAVE_TOKEN]
    return others, own, others.pop("Body", None)


def _is_transient(error: Exception) -> bool:
    answer = answer_of(error)
    later = status_of(answer) in TRANSIENT | AGAIN_LATER or code_of(answer) in _AGAIN
    return later or isinstance(error, HTTPClientError | NoConnectionError)
