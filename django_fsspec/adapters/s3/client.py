"""Requests to S3 through s3fs' client.

Requests are made with ``fs._call_s3`` rather than s3fs' file operations, which cost more of them
(``cat_file`` a HEAD, ``exists`` a LIST) and cut names at ``?versionId=``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from django_fsspec.adapters.errors import exists_already
from django_fsspec.adapters.retries import RetryPolicy
from django_fsspec.core.stat import Stat, utc

from .small_puts import SMALL, Puts

if TYPE_CHECKING:
    from django_fsspec.adapters.base import Limits
    from django_fsspec.core.source import Source

MIN_PART = 5 * 1024 * 1024
MAX_PARTS = 10_000


class Outgoing(io.BytesIO):
    """The body of a request, which aiohttp sends in pieces without a copy.

    aiohttp copies plain bytes into the buffer of the connection. It asks for the size by
    ``getbuffer()``, which copies too, because what it gives could be written to.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data

    def getbuffer(self) -> memoryview:
        """Return a read-only view of the bytes."""
        return memoryview(self._data)


def unquoted(etag: str | None) -> str | None:
    """Return an ETag without its quotes."""
    return etag.strip('"') if etag else None


def _expect_nothing(params: Mapping[str, Any], **event: Any) -> None:
    """Send without waiting for "100 Continue", which doubles the time of a small PUT."""
    params["headers"].pop("Expect", None)


def error_code(error: BaseException) -> str:
    """Return S3's error code (``NoSuchKey``) of an error that s3fs translated; "" without one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ClientError):
        cause = cause.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if cause is not None else ""


def _is_conflict(error: Exception) -> bool:
    """Return whether another conditional write is under way, whose end decides (409)."""
    return error_code(error) == "ConditionalRequestConflict"


def stat_from_response(path: str, response: Mapping[str, Any]) -> Stat:
    """Return the ``Stat`` of the answer to a GET or HEAD."""
    size = response.get("ContentLength")
    if content_range := response.get("ContentRange"):
        size = int(content_range.rpartition("/")[2])
    return Stat(
        name=path,
        size=size,
        last_modified=utc(response.get("LastModified")),
        content_type=response.get("ContentType"),
        content_encoding=response.get("ContentEncoding"),
        etag=unquoted(response.get("ETag")),
        version_id=response.get("VersionId"),
        metadata=response.get("Metadata") or {},
    )


class S3Api:
    """S3 as one s3fs instance reaches it; `filesystem` gives that of this process."""

    def __init__(self, filesystem: Callable[[], Any], limits: Limits) -> None:
        self._filesystem, self._limits = filesystem, limits
        self.puts: Puts | None = None

    @property
    def fs(self) -> Any:
        """The filesystem of this process."""
        return self._filesystem()

    def split(self, path: str) -> tuple[str, str]:
        """Return bucket and key; access point ARNs count as buckets."""
        bucket: str = self.fs.split_path(path)[0]
        # not the key of split_path(), which ends at "?versionId="
        return bucket, path[len(bucket) + 1 :]

    async def call(self, method: str, path: str, **arguments: Any) -> Mapping[str, Any]:
        """Make one request about the object at `path`."""
        bucket, key = self.split(path)
        return await self.request(method, Bucket=bucket, Key=key, **arguments)

    async def request(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Make one request; raise what s3fs makes of the client's errors."""
        await self._ready()
        response: Mapping[str, Any] = await self.fs._call_s3(method, **arguments)
        return response

    async def _ready(self) -> Puts:
        """Open the client and return its fast path for small PUTs."""
        client = await self.fs.set_session()
        if self.puts is None or self.puts.client is not client:
            events = client.meta.events
            # last, after botocore's handler; once, whatever the number of storages of a client
            events.register_last("before-call.s3", _expect_nothing, "django-fsspec-expect")
            self.puts = Puts(client)
        return self.puts

    async def put_small(
        self, path: str, data: bytes, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Store `data` in one request, retried while another conditional write is under way.

        Raises ``FileExistsError`` where that goes on, and what request() does.
        """
        policy = RetryPolicy(self._limits.retries, _is_conflict, first_pause=0.05)
        try:
            return await policy.arun(lambda: self._put_object(path, data, arguments))
        except OSError as error:
            if _is_conflict(error):
                raise exists_already(path) from error
            raise

    async def _put_object(
        self, path: str, data: bytes, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        if len(data) > SMALL:
            return await self.call("put_object", path, Body=Outgoing(data), **arguments)
        by_botocore = functools.partial(self.call, "put_object", path, Body=data, **arguments)
        puts = await self._ready()
        return await puts.put(*self.split(path), data, arguments, by_botocore)

    async def put_parts(
        self,
        path: str,
        source: Source,
        native: Mapping[str, Any],
        condition: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Store content as a multipart upload, which is aborted where it fails."""
        upload = await self.call("create_multipart_upload", path, **native)
        upload_id = upload["UploadId"]
        try:
            parts = await self._send_parts(path, source, upload_id)
            return await self.call(
                "complete_multipart_upload",
                path,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                **condition,
            )
        except BaseException:
            # shielded: a cancelled save must not leave its parts behind
            with contextlib.suppress(Exception):
                await asyncio.shield(self.call("abort_multipart_upload", path, UploadId=upload_id))
            raise

    async def _send_parts(self, path: str, source: Source, upload_id: str) -> list[dict[str, Any]]:
        async def send(number: int, chunk: bytes) -> dict[str, Any]:
            response = await self.call(
                "upload_part", path, UploadId=upload_id, PartNumber=number, Body=Outgoing(chunk)
            )
            checksums = {k: v for k, v in response.items() if k.startswith("Checksum")}
            return {"PartNumber": number, "ETag": response["ETag"], **checksums}

        loop = asyncio.get_running_loop()
        # one thread an upload: parts allocated in many threads stay with malloc, one arena each
        reader = ThreadPoolExecutor(1, "django-fsspec-reader")
        tasks: list[asyncio.Task[dict[str, Any]]] = []
        free = asyncio.Semaphore(self._limits.max_concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                number = 0
                while True:
                    await free.acquire()
                    size = self._part_size(source)
                    chunk = await loop.run_in_executor(reader, source.read, size)
                    if not chunk:
                        break
                    number += 1
                    task = group.create_task(send(number, chunk))
                    del chunk
                    task.add_done_callback(lambda _: free.release())
                    tasks.append(task)
        except BaseExceptionGroup as group_error:
            first = group_error.exceptions[0]
            raise first from first.__cause__
        finally:
            reader.shutdown(wait=False)
        return [task.result() for task in tasks]

    def _part_size(self, source: Source) -> int:
        size = max(self._limits.chunk_size, MIN_PART)
        return max(size, -(-(source.size_hint or 0) // MAX_PARTS))
