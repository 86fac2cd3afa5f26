"""Google Cloud Storage by its JSON API, over the session and the credentials of gcsfs.

Requests are our own: gcsfs tries each six times without a time limit, asks three times what one
GET tells, frames uploads with a fixed boundary that content may contain, and its ``cat_file``
unpacks what was stored with ``contentEncoding: gzip``.

Importing gcsfs unpickles ``~/.gcs_tokens`` when there is one, which can't be prevented from
here: that file must be writable by nobody else.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import google_crc32c
from gcsfs.retry import HttpError, retry_request
from yarl import URL

from django_fsspec.exceptions import StorageError
from django_fsspec.stat import Stat, utc

from .base import Dialect, Page, Reader, classify, exists_already, not_found, short_write
from .looped import LoopedAdapter, pieces

if TYPE_CHECKING:
    from django_fsspec.content import Source

#: resumable uploads take multiples of this
CHUNK_UNIT = 256 * 1024
DELETE_BATCH = 100
#: what a rewrite between locations moves in one request, to stay within its time
REWRITE_BYTES = 256 * 1024 * 1024
#: answers that mean "again later"
TRANSIENT = frozenset((408, 429, 500, 502, 503, 504))
_PIECE = 256 * 1024
#: object options that are query parameters; the others are fields of the object
_PARAMETERS = frozenset(("predefinedAcl", "kmsKeyName"))
_FIELDS = (
    "name,size,updated,timeCreated,etag,generation,contentType,contentEncoding,metadata,crc32c"
)
_LISTED = f"nextPageToken,prefixes,items({_FIELDS})"
_PART = re.compile(rb"response-\D*\+(\d+)>.*?HTTP/[0-9.]+ (\d+)", re.S)


class Answer(NamedTuple):
    """A response whose body was read."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Body:
    """What is sent, in pieces; each one sent puts off the time limit.

    Can be iterated again: aiohttp does so when a kept connection turns out to be closed.
    """

    def __init__(self, parts: Sequence[bytes], deadline: asyncio.Timeout, timeout: float) -> None:
        self._parts, self._deadline, self._timeout = parts, deadline, timeout

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        now = asyncio.get_running_loop().time
        for part in map(memoryview, self._parts):
            for start in range(0, len(part), _PIECE):
                # the answer may have come before all was sent
                with contextlib.suppress(RuntimeError):
                    self._deadline.reschedule(now() + self._timeout)
                yield part[start : start + _PIECE]


class GCSReader(Reader):
    """One GET streamed; resumed from where it broke, of the same generation only."""

    def __init__(self, adapter: GCSAdapter, path: str, start: int, end: int | None) -> None:
        self._adapter, self._path, self._end = adapter, path, end
        self._loop = asyncio.get_running_loop()
        self._position = start
        self._response: aiohttp.ClientResponse | None = None
        self._left = adapter.limits.retries

    async def open(self) -> GCSReader:
        if self._end is not None and self._end <= self._position:
            self.stat = await self._adapter.stat(self._path)
            return self
        response = await self._request()
        if response.status == 416:
            response.release()
            self.stat = Stat(name=self._path)
            return self
        self._response = response
        self.stat = self._adapter.stat_from_headers(self._path, response.headers)
        return self

    async def _request(self) -> aiohttp.ClientResponse:
        # with this header stored bytes come as they are; without it gzip is unpacked on the way
        headers = {"Accept-Encoding": "gzip"}
        if self._position or self._end is not None:
            last = "" if self._end is None else self._end - 1
            headers["Range"] = f"bytes={self._position}-{last}"
        url = f"{self._adapter.fs._location}/download/storage/v1/{self._adapter.key(self._path)}"
        response = await self._adapter.send("GET", url, {"alt": "media"}, headers)
        if response.status not in (200, 206, 416):
            raise self._adapter.fault(self._path, response.status, await response.read())
        return response

    async def _resume(self) -> None:
        self._release()
        response = await self._request()
        if response.headers.get("X-Goog-Generation") != self.stat.version_id:
            response.close()
            raise StorageError(f"{self._path!r} was replaced while it was being read.")
        self._response = response

    async def read(self, size: int) -> bytes:
        parts, wanted = [], size
        while wanted and (chunk := await self._some(wanted)):
            parts.append(chunk)
            wanted -= len(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _some(self, size: int) -> bytes:
        while self._response is not None:
            try:
                chunk = await self._response.content.read(size)
            except (aiohttp.ClientError, TimeoutError):
                if self._left <= 0 or self.stat.version_id is None:
                    raise
                self._left -= 1
                await self._resume()
                continue
            self._position += len(chunk)
            if not chunk:
                self._release()
            return chunk
        return b""

    def _release(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def close(self) -> None:
        if self._response is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._release)


class GCSAdapter(LoopedAdapter):
    """GCS: one request an operation, create-only by ``ifGenerationMatch=0``."""

    dialect: ClassVar[Dialect] = Dialect(
        headers={
            "content_type": "contentType",
            "cache_control": "cacheControl",
            "content_disposition": "contentDisposition",
            "content_encoding": "contentEncoding",
            "acl": "predefinedAcl",
            "storage_class": "storageClass",
            "metadata": "metadata",
        },
        atomic_create=True,
        signs_get=True,
        signs_put=True,
        flat=True,
        bucketed=True,
        max_key_bytes=1024,
        max_segment_bytes=None,
        extra="gcs",
        delete_batch=DELETE_BATCH,
    )

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        return {"requests_timeout": timeout, **options, "use_listings_cache": False}

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        super().tune_instance(fs, timeout=timeout, retries=retries)
        # for what uses the filesystem directly, such as a cache on top of it
        once = getattr(type(fs)._request, "__wrapped__", None)
        if once is not None:
            fs._request = MethodType(retry_request(retries=retries + 1)(once), fs)

    # requests

    def split(self, path: str) -> tuple[str, str]:
        """Return bucket and key; gcsfs' own way of it may take ``#1`` for a generation."""
        bucket, _, key = path.partition("/")
        return bucket, key

    def key(self, path: str) -> str:
        """Return the object's address below the API's root."""
        bucket, key = self.split(path)
        return f"b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"

    async def send(
        self,
        method: str,
        url: str,
        query: Mapping[str, Any],
        headers: Mapping[str, str],
        body: Sequence[bytes] = (),
    ) -> aiohttp.ClientResponse:
        """Make a request and return the answer, its body unread; tried ``retries + 1`` times."""
        query = self.fs._get_params(dict(query))
        # encoded here and nowhere else: names must arrive as they are
        address = URL(f"{url}{'&' if '?' in url else '?'}{urlencode(query)}", encoded=True)
        for attempt in range(self.limits.retries + 1):
            last = attempt == self.limits.retries
            try:
                response = await self._send_once(method, address, headers, body)
            except (aiohttp.ClientError, TimeoutError):
                if last:
                    raise
            else:
                if last or response.status not in TRANSIENT:
                    return response
                response.close()
            await asyncio.sleep(min(2.0, 0.1 * 2**attempt) * (0.5 + random.random()))
        raise AssertionError  # pragma: no cover

    async def _send_once(
        self, method: str, url: URL, headers: Mapping[str, str], body: Sequence[bytes]
    ) -> aiohttp.ClientResponse:
        session = await self.fs._set_session()
        timeout = self.limits.timeout
        async with asyncio.timeout(timeout) as deadline:
            sent = await self._with_credentials(headers)
            sent["Content-Length"] = str(sum(map(len, body)))
            response: aiohttp.ClientResponse = await session.request(
                method,
                url,
                headers=sent,
                data=Body(body, deadline, timeout) if body else None,
                timeout=aiohttp.ClientTimeout(total=None, sock_read=timeout),
                allow_redirects=False,
                auto_decompress=False,
            )
        return response

    async def _with_credentials(self, headers: Mapping[str, str]) -> dict[str, str]:
        if self.fs.credentials.credentials is None:
            return dict(self.fs._get_headers(headers))
        # in a thread: an expired token is refreshed with requests, which blocks
        return dict(await asyncio.to_thread(self.fs._get_headers, headers))

    async def ask(
        self,
        method: str,
        url: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Sequence[bytes] = (),
    ) -> Answer:
        """Make a request about the object at `path` and read the answer."""
        if not url.startswith("http"):
            url = f"{self.fs._location}/{url}"
        response = await self.send(method, url, query or {}, headers or {}, body)
        async with response:
            answer = Answer(response.status, response.headers, await response.read())
        if answer.status >= 300 and answer.status != 308:
            raise self.fault(path, answer.status, answer.data)
        return answer

    def fault(self, path: str, status: int, data: bytes) -> Exception:
        """Return what the answer with this status and body means."""
        try:
            error = json.loads(data)["error"]
            message = error if isinstance(error, str) else str(error.get("message", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            message = data[:200].decode(errors="replace")
        if status == 404 and "bucket" in message.lower():
            return StorageError(f"The bucket {self.split(path)[0]!r} does not exist")
        if status == 404:
            return not_found(path)
        if status == 412:
            return exists_already(path)
        return HttpError({"code": status, "message": message})

    def classify(self, error: Exception) -> type[OSError] | None:
        # 409 is a conflict with another request here, not a taken name
        if isinstance(error, HttpError) and error.code == 409:
            return None
        return classify(error)

    # reading

    def stat_from(self, path: str, item: Mapping[str, Any]) -> Stat:
        """Return the ``Stat`` of the API's description of an object."""
        return Stat(
            name=path,
            size=int(item.get("size", 0)),
            last_modified=utc(item.get("updated")),
            created=utc(item.get("timeCreated")),
            content_type=item.get("contentType"),
            content_encoding=item.get("contentEncoding") or None,
            etag=str(item["etag"]).strip('"') if item.get("etag") else None,
            version_id=item.get("generation"),
            metadata=item.get("metadata") or {},
        )

    def stat_from_headers(self, path: str, headers: Mapping[str, str]) -> Stat:
        """Return the ``Stat`` that a download tells of."""
        size = headers.get("X-Goog-Stored-Content-Length") or headers.get("Content-Length")
        if content_range := headers.get("Content-Range"):
            size = content_range.rpartition("/")[2]
        encoding = headers.get("Content-Encoding")
        if encoding is None and headers.get("X-Goog-Stored-Content-Encoding") == "gzip":
            # unpacked by the server all the same: how much comes is not known
            size = None
        meta = "x-goog-meta-"
        return Stat(
            name=path,
            size=int(size) if size is not None else None,
            last_modified=utc(headers.get("Last-Modified")),
            content_type=headers.get("Content-Type"),
            content_encoding=encoding,
            etag=(headers.get("ETag") or "").strip('"') or None,
            version_id=headers.get("X-Goog-Generation"),
            metadata={
                name.lower()[len(meta) :]: value
                for name, value in headers.items()
                if name.lower().startswith(meta)
            },
        )

    async def stat(self, path: str) -> Stat:
        url = f"storage/v1/{self.key(path)}"
        answer = await self.ask("GET", url, path, {"fields": _FIELDS})
        return self.stat_from(path, json.loads(answer.data))

    async def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        return await GCSReader(self, path, start, end).open()

    async def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        reader = await self.reader(path, start, end)
        try:
            return b"".join([piece async for piece in pieces(reader, self.limits.chunk_size)])
        finally:
            reader.close()
