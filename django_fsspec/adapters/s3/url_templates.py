"""Fast path for presigned S3 URLs: those of one kind differ from botocore's first one in little.

botocore needs as much CPU for a presigned URL as for a request (see small_requests), on the event
loop besides, which a sync caller waits for. So botocore makes the first URL of each kind (method,
bucket and names of arguments). It becomes a template if that gives the same URL, byte for byte.
The following URLs are made after it in the caller's thread.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit
from weakref import WeakKeyDictionary

from .again_later import status_of
from .signature import ALGORITHM, SigningKey, signed_by_botocore, timestamp, watch

#: arguments whose values are a URL's own, by the parameters of the URL that they become
_PARAMETERS = {
    "response-cache-control": "ResponseCacheControl",
    "response-content-disposition": "ResponseContentDisposition",
    "response-content-encoding": "ResponseContentEncoding",
    "response-content-type": "ResponseContentType",
    "partNumber": "PartNumber",
    "uploadId": "UploadId",
}
#: the same by the headers that are signed; not the content type, of which botocore leaves one out
_HEADERS = {"content-length": "ContentLength", "x-amz-checksum-sha256": "ChecksumSHA256"}
_OWN = frozenset((*_PARAMETERS.values(), *_HEADERS.values()))
_METHODS = ("get_object", "put_object", "upload_part")
#: statuses after which botocore may have found the region of a bucket
_MOVED = frozenset((301, 302, 307, 400))
_MOST_KINDS = 64
_UNKNOWN = None, 0.0, 0.0


def _kind(method: str, bucket: str, arguments: Mapping[str, Any]) -> str:
    # in their order, which is that of a URL's parameters
    own = [name if name in _OWN else (name, value) for name, value in arguments.items()]
    return f"{method} {bucket} {own}"


def _trimmed(value: object) -> str:
    return " ".join(str(value).split())


def _query(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join([f"{name}={value}" for name, value in pairs])


@functools.lru_cache(maxsize=256)
def _encoded(value: object) -> str:
    return quote(str(value), safe="-._~")


@dataclass(frozen=True, slots=True, kw_only=True)
class URLTemplate:
    """What the presigned URLs of one kind have in common."""

    method: str
    #: address and path up to the key
    stem: str
    path: str
    #: parameters and their encoded values; those in `_PARAMETERS` have a value for each URL
    parameters: Mapping[str, str]
    #: signed headers in the same way
    headers: Mapping[str, str]
    key: SigningKey
    #: encoded, of temporary credentials
    token: Mapping[str, str] = field(repr=False)

    @classmethod
    async def of(cls, key: str, url: str, arguments: Mapping[str, Any], signed: Any) -> Self:
        """Return that of a `url` for `key`; raise anything where there is none.

        `signed` is what ``signed_by_botocore()`` gave.
        """
        address, _, query = url.partition("?")
        values = dict(pair.split("=", 1) for pair in query.split("&"))
        own = [*values][: [*values].index("X-Amz-Algorithm")]
        region = unquote(values["X-Amz-Credential"]).split("/")[-3]
        signer, request = signed["request_signer"], signed["request"]
        auth = await signer.get_auth_instance("s3", region, "s3v4")
        headers = auth.headers_to_sign(request).items()
        stem = address.removesuffix(quote(key, safe="/-._~"))
        template = cls(
            method=request.method,
            stem=stem,
            path=urlsplit(stem).path,
            parameters={name: values[name] for name in own},
            headers={name.lower(): _trimmed(value) for name, value in headers},
            key=SigningKey(auth.credentials, region),
            token={name: values[name] for name in values if name == "X-Amz-Security-Token"},
        )
        again = template.url(key, int(values["X-Amz-Expires"]), arguments, values["X-Amz-Date"])
        used = {(_PARAMETERS | _HEADERS).get(name) for name in (*own, *template.headers)}
        if again != url or not used >= arguments.keys() & _OWN:
            raise ValueError("botocore makes other URLs")
        return template

    def url(
        self, key: str, expires_in: int, arguments: Mapping[str, Any], stamp: str | None = None
    ) -> str:
        """Return the URL for `key`, signed now or at `stamp`."""
        stamp, encoded = stamp or timestamp(), quote(key, safe="/-._~")
        headers = {
            name: _trimmed(arguments[_HEADERS[name]]) if name in _HEADERS else value
            for name, value in self.headers.items()
        }
        signed = ";".join(sorted(headers))
        parameters = {
            name: _encoded(arguments[_PARAMETERS[name]]) if name in _PARAMETERS else value
            for name, value in self.parameters.items()
        } | {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": _encoded(self.key.scope(stamp)),
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(expires_in),
            "X-Amz-SignedHeaders": _encoded(signed),
            **self.token,
        }
        lines = "\n".join(f"{name}:{value}" for name, value in sorted(headers.items()))
        signature = self.key.signature(
            stamp,
            f"{self.method}\n{self.path}{encoded}\n{_query(sorted(parameters.items()))}\n"
            f"{lines}\n\n{signed}\nUNSIGNED-PAYLOAD",
        )
        query = _query(parameters.items())
        return f"{self.stem}{encoded}?{query}&X-Amz-Signature={signature}"


class PresignedURLs:
    """The presigned URLs of one of botocore's clients, for all storages that share it."""

    def __init__(self) -> None:
        #: by kinds: a template, None where there is none, and when its credentials end
        self._templates: dict[str, tuple[URLTemplate | None, float, float]] = {}

    def at_once(
        self, method: str, bucket: str, key: str, expires_in: int, arguments: Mapping[str, Any]
    ) -> tuple[str, float] | None:
        """Return a URL and for how many seconds it is valid; None where botocore has to make it.

        Waits for nothing. May be called in any thread.
        """
        now = time.monotonic()
        template, until, end = self._templates.get(_kind(method, bucket, arguments), _UNKNOWN)
        if template is None or until <= now:
            return None
        try:
            return template.url(key, expires_in, arguments), min(expires_in, end - now)
        except UnicodeEncodeError:
            # botocore says what is wrong
            return None

    async def make(
        self,
        client: Any,
        method: str,
        bucket: str,
        key: str,
        expires_in: int,
        arguments: Mapping[str, Any],
        *,
        lasting: float,
    ) -> str:
        """Return a URL made by botocore's `client`, whose credentials last `lasting` seconds."""
        # another one from when they are forgotten on
        templates, now = self._templates, time.monotonic()
        with signed_by_botocore() as signed:
            url: str = await client.generate_presigned_url(
                ClientMethod=method,
                Params={"Bucket": bucket, "Key": key, **arguments},
                ExpiresIn=expires_in,
            )
        # other metadata is each object's own
        if "Metadata" not in arguments:
            try:
                template = await URLTemplate.of(key, url, arguments, signed)
            except Exception:  # whatever is missing, there is a URL
                template = None
            if len(templates) >= _MOST_KINDS:
                templates.pop(next(iter(templates)), None)
            templates[_kind(method, bucket, arguments)] = (
                template,
                now + lasting / 10,
                now + lasting,
            )
        return url

    def forget_moved(self, response: tuple[Any, Any] | None, **event: Any) -> None:
        """Forget all when botocore may have found out that a bucket is in another region.

        A handler of botocore's event ``needs-retry.s3``.
        """
        if response is not None and status_of(response[1]) in _MOVED:
            self._templates = {}


_of_clients: WeakKeyDictionary[Any, PresignedURLs] = WeakKeyDictionary()


def presigned_urls_of(client: Any) -> PresignedURLs:
    """Return those of one of botocore's clients."""
    urls = _of_clients.get(client)
    if urls is None:
        urls = _of_clients[client] = PresignedURLs()
        for method in _METHODS:
            watch(client, client.meta.method_to_api_mapping[method])
        # last, after the handler that finds it out
        client.meta.events.register_last("needs-retry.s3", urls.forget_moved)
    return urls
