"""Requests to Google Cloud Storage's JSON API, over the session and credentials of gcsfs.

gcsfs' own requests are tried six times without a time limit, and its uploads are framed with a
fixed boundary that content may contain.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import gcsfs
import google_crc32c
from gcsfs.retry import HttpError
from yarl import URL

from django_fsspec.adapters.aiohttp_client import TRANSIENT, RequestContent
from django_fsspec.adapters.base import Limits
from django_fsspec.adapters.errors import answer_lost, exists_already, not_found
from django_fsspec.adapters.retries import RetryPolicy
from django_fsspec.core.stat import Stat, split_metadata, total_size, unquoted, utc
from django_fsspec.exceptions import StorageError

from .signers import Signers

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_fsspec.adapters.connection_limit import ConnectionLimit

#: resumable uploads take multiples of this
CHUNK_UNIT = 256 * 1024
#: seconds spent on tidying up after a failure
_CANCEL = 5.0
_AGENT = f"python-gcsfs/{gcsfs.__version__}"
_GOOD = frozenset((200, 201, 204, 206, 308))
_PART = re.compile(rb"response-\D*(\d+)>.*?HTTP/[0-9.]+ (\d+)", re.DOTALL)


class Answer(NamedTuple):
    """A response whose body was read."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def split(path: str) -> tuple[str, str]:
    """Return bucket and key; gcsfs' own way of it may take ``#1`` for a generation."""
    bucket, _, key = path.partition("/")
    return bucket, key


def address(path: str) -> str:
    """Return an object's address in the API."""
    bucket, key = split(path)
    return f"b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"


def fault(path: str, status: int, data: bytes) -> Exception:
    """Return the exception for a response with this status and body."""
    try:
        error = json.loads(data)["error"]
        message = error if isinstance(error, str) else str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        message = data[:200].decode(errors="replace")
    if status == 404 and message.lower().startswith("the specified bucket"):
        return no_bucket(path)
    if status == 404:
        return not_found(path)
    if status == 412:
        return exists_already(path)
    refused: Exception = HttpError({"code": status, "message": message})
    return refused


def no_bucket(path: str) -> StorageError:
    """Return the exception for a 404 where only the bucket can be missing."""
    return StorageError(
        f"The bucket {split(path)[0]!r} does not exist: create it or correct the prefix"
    )


def is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed when it is made again."""
    if isinstance(error, HttpError):
        return error.code in TRANSIENT
    return isinstance(error, aiohttp.ClientError | TimeoutError)


class Crc:
    """The checksum by which the API verifies what it was sent; in Python alone too slow."""

    def __init__(self) -> None:
        checksum: Any = google_crc32c.Checksum
        self._sum = checksum() if google_crc32c.implementation == "c" else None

    def update(self, data: bytes) -> bytes:
        if self._sum is not None:
            self._sum.update(data)
        return data

    @property
    def digest(self) -> str:
        return base64.b64encode(self._sum.digest()).decode() if self._sum is not None else ""


def stat_from_item(path: str, item: Mapping[str, Any]) -> Stat:
    """Return the ``Stat`` of the API's description of an object."""
    return Stat(
        name=path,
        size=int(item.get("size", 0)),
        last_modified=utc(item.get("updated")),
        created=utc(item.get("timeCreated")),
        content_type=item.get("contentType"),
        content_encoding=item.get("contentEncoding") or None,
        etag=unquoted(item.get("etag")),
        version_id=item.get("generation"),
        **split_metadata(item.get("metadata")),
    )


def stat_from_headers(path: str, headers: Mapping[str, str]) -> Stat:
    """Return the ``Stat`` by the headers of a download."""
    length = headers.get("X-Goog-Stored-Content-Length") or headers.get("Content-Length")
    size = total_size(headers.get("Content-Range"), length)
    encoding = headers.get("Content-Encoding")
    if encoding is None and headers.get("X-Goog-Stored-Content-Encoding") == "gzip":
        # unpacked by the server all the same: how much will come is not known
        size = None
    meta = "x-goog-meta-"
    return Stat(
        name=path,
        size=size,
        last_modified=utc(headers.get("Last-Modified")),
        content_type=headers.get("Content-Type"),
        content_encoding=encoding,
        etag=unquoted(headers.get("ETag")),
        version_id=headers.get("X-Goog-Generation"),
        **split_metadata(
            {
                name.lower().removeprefix(meta): value
                for name, value in headers.items()
                if name.lower().startswith(meta)
            }
        ),
    )


def stored_bytes(answer: Answer) -> int:
    """Return how many bytes of a resumable upload the answer to a part says are stored."""
    return int(answer.headers.get("Range", "=-").rpartition("-")[2] or -1) + 1


class GCSApi:
    """The JSON API as one gcsfs instance reaches it.

    `filesystem` gives that of this process, `connections` the limit on its connections.
    """

    def __init__(
        self,
        filesystem: Callable[[], Any],
        limits: Limits,
        connections: Callable[[], ConnectionLimit],
    ) -> None:
        self._filesystem, self._limits, self._connections = filesystem, limits, connections
        self._policy = RetryPolicy(limits.retries, is_transient)
        self.signers = Signers(limits.timeout)

    @property
    def timeout(self) -> float:
        """The seconds that a try takes at most."""
        return self._limits.timeout

    @property
    def fs(self) -> Any:
        """The filesystem of this process."""
        return self._filesystem()

    async def send(
        self,
        method: str,
        url: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Sequence[bytes] = (),
    ) -> aiohttp.ClientResponse:
        """Return the response to a request about `path`, its body unread.

        Raises ``FileNotFoundError``, ``FileExistsError``, ``StorageError`` (no such bucket) or
        gcsfs' ``HttpError`` by the status.
        """
        fs = self.fs
        if not url.startswith("http"):
            # the address of another API of the same service
            url = fs.base.removesuffix("storage/v1/") + url
        if encoded := self._query(query or {}):
            url += f"{'&' if '?' in url else '?'}{encoded}"

        tries = count(1)

        async def once() -> aiohttp.ClientResponse:
            repeated = next(tries) > 1
            # the address is encoded already: names must arrive as they are
            response = await self._once(method, URL(url, encoded=True), headers or {}, body)
            if response.status in _GOOD or (response.status == 416 and "Range" in (headers or {})):
                return response
            async with response:
                if response.status == 412 and repeated:
                    raise answer_lost(path)
                raise fault(path, response.status, await response.read())

        return await self._policy.arun(once)

    async def _once(
        self, method: str, url: URL, headers: Mapping[str, str], body: Sequence[bytes]
    ) -> aiohttp.ClientResponse:
        # gcsfs opens it at its first request; the public `session` is None before that
        session = await self.fs._set_session()
        timeout = self._limits.timeout
        async with asyncio.timeout(timeout) as deadline:
            data = RequestContent(body, deadline, timeout)
            response: aiohttp.ClientResponse = await session.request(
                method,
                url,
                headers={**await self._authorized(headers), "Content-Length": str(len(data))},
                data=data if body else None,
                timeout=aiohttp.ClientTimeout(total=None, sock_read=timeout),
                allow_redirects=False,
                auto_decompress=False,
            )
        return response

    async def _authorized(self, headers: Mapping[str, str]) -> dict[str, str]:
        credentials = self.fs.credentials
        # answers of the API are small: unpacked ones need no decoding
        complete = {"User-Agent": _AGENT, "Accept-Encoding": "identity", **headers}
        if credentials.credentials is None:
            credentials.apply(complete)
        else:
            # in a thread: an expired token is refreshed by a request that blocks
            await asyncio.to_thread(credentials.apply, complete)
        return complete

    def _query(self, parameters: Mapping[str, Any]) -> str:
        """Return a query, encoded, with who pays for it where that is not the bucket's owner."""
        query = {name: value for name, value in parameters.items() if value is not None}
        return urlencode(query | self.payer)

    @property
    def payer(self) -> dict[str, str]:
        """What a query says of who pays, where that is not the bucket's owner."""
        payer = self.fs.requester_pays
        if not payer:
            return {}
        return {"userProject": payer if isinstance(payer, str) else self.fs.project}

    async def ask(self, *args: Any, **kwargs: Any) -> Answer:
        """See send(); with the body read, over a connection of the limit."""
        async with self._connections():
            return await self.answer(*args, **kwargs)

    async def answer(self, *args: Any, **kwargs: Any) -> Answer:
        """See ask(); for a caller that has a connection of the limit."""
        async with await self.send(*args, **kwargs) as response:
            return Answer(response.status, response.headers, await response.read())

    async def upload(
        self, path: str, item: Mapping[str, Any], query: Mapping[str, Any], data: bytes
    ) -> Any:
        """Store `data` in one request; return the API's description of the object."""
        boundary = secrets.token_hex(16)
        head = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
            f"{json.dumps(item)}\r\n--{boundary}\r\n"
            f"Content-Type: {item.get('contentType', 'application/octet-stream')}\r\n\r\n"
        )
        answer = await self.ask(
            "POST",
            f"upload/storage/v1/{self._objects(path)}",
            path,
            {**query, "uploadType": "multipart"},
            {"Content-Type": f"multipart/related; boundary={boundary}"},
            [head.encode(), data, f"\r\n--{boundary}--".encode()],
        )
        return json.loads(answer.data)

    def _objects(self, path: str) -> str:
        return f"b/{quote(split(path)[0], safe='')}/o"

    async def begin(
        self,
        path: str,
        item: Mapping[str, Any],
        query: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Begin a resumable upload and return its address; nothing exists before its end."""
        answer = await self.ask(
            "POST",
            f"upload/storage/v1/{self._objects(path)}",
            path,
            {**query, "uploadType": "resumable"},
            {
                "Content-Type": "application/json; charset=UTF-8",
                "X-Upload-Content-Type": str(item.get("contentType", "")),
                **(headers or {}),
            },
            [json.dumps(item).encode()],
        )
        return answer.headers["Location"]

    async def resume(
        self,
        path: str,
        location: str,
        headers: Mapping[str, str],
        data: bytes,
        start: int,
        total: int | None,
    ) -> Any:
        """Send the bytes at `start` of an upload; with a `total` they are the last ones.

        Returns the description of the object when it is complete.
        """
        end = start + len(data)
        for _ in range(self._limits.retries + 1):
            span = f"{start}-{end - 1}" if start < end else "*"
            which = {"Content-Range": f"bytes {span}/{'*' if total is None else total}"}
            # a try that got lost is just repeated: the API skips bytes that it has
            rest = [data[len(data) - (end - start) :]]
            answer = await self.ask("PUT", location, path, None, {**headers, **which}, rest)
            if answer.status in (200, 201):
                return json.loads(answer.data)
            kept = stored_bytes(answer)
            if total is None and kept >= end:
                return None
            start = max(start, kept)
        raise StorageError(f"GCS did not store all of {path!r}: save it again.")

    async def cancel(self, path: str, location: str) -> None:
        """Drop an unfinished upload, as far as possible."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(min(_CANCEL, self._limits.timeout)):
                await self.ask("DELETE", location, path)

    async def delete_batch(self, paths: Sequence[str]) -> list[str]:
        """Delete up to 100 objects in one request; return those not known to be gone."""
        boundary = secrets.token_hex(16)
        query = self._query({})
        parts = [
            f"--{boundary}\r\nContent-Type: application/http\r\n"
            f"Content-ID: <item+{number}>\r\n\r\n"
            f"DELETE /storage/v1/{address(path)}{'?' if query else ''}{query} HTTP/1.1\r\n\r\n\r\n"
            for number, path in enumerate(paths)
        ]
        body = [part.encode() for part in parts] + [f"--{boundary}--".encode()]
        headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
        answer = await self.ask("POST", "batch/storage/v1", paths[0], None, headers, body)
        gone = {int(n) for n, status in _PART.findall(answer.data) if status[:1] == b"2"}
        return [path for number, path in enumerate(paths) if number not in gone]
