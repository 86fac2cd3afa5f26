"""Requests to S3 through s3fs' client.

Requests are made with ``fs._call_s3`` rather than s3fs' file operations, which cost more of them
(``cat_file`` a HEAD, ``exists`` a LIST) and cut names at ``?versionId=``.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import io
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from django_fsspec.adapters.cancellation import undoable
from django_fsspec.adapters.errors import local_files_told
from django_fsspec.adapters.retries import RetryPolicy
from django_fsspec.core.flows import in_thread
from django_fsspec.core.source import part_size
from django_fsspec.core.stat import (
    HEADERS,
    Stat,
    kept_headers,
    split_metadata,
    total_size,
    unquoted,
    utc,
)

from .again_later import (
    COMPLETE,
    CONFLICT,
    answer_of,
    code_of,
    operation_of,
    pause_after,
    tries_of,
)
from .small_requests import SMALL, Answer, SmallRequests
from .url_templates import PresignedURLs, presigned_urls_of

if TYPE_CHECKING:
    from django_fsspec.adapters.base import Limits
    from django_fsspec.adapters.connection_limit import ConnectionLimit
    from django_fsspec.core.source import Source

MIN_PART = 5 * 1024 * 1024
MAX_PARTS = 10_000
_PAYER = "x-amz-request-payer"
#: where an answer has the headers that S3 keeps with an object
_KEPT = {name: header.lower() for name, header in HEADERS.items()}
_METADATA = "x-amz-meta-"


@functools.cache
def _shared_data(data_path: str | None) -> Any:
    """Return botocore's loader, which keeps what it read of a folder (``AWS_DATA_PATH``)."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


def session_with_shared_data(**options: Any) -> Any:
    """Return a session as s3fs makes it, without reading botocore's descriptions of AWS anew.

    That took 50 ms of CPU and some megabytes for each alias.
    """
    from aiobotocore.session import AioSession

    session = AioSession(**options)
    shared = _shared_data(session.get_config_variable("data_path"))
    session.register_component("data_loader", shared)
    return session


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


def _expect_nothing(params: Mapping[str, Any], **event: Any) -> None:
    """Send without waiting for "100 Continue", which doubles the time of a small PUT."""
    params["headers"].pop("Expect", None)


def _payer_in_url(request: Any, signature_version: Any, **event: Any) -> None:
    """Say in a presigned URL who pays for the request; botocore wants a header from its client."""
    payer = request.headers.get(_PAYER)
    if payer is not None and str(signature_version).endswith("v4-query"):
        del request.headers[_PAYER]
        request.params = {**(request.params or {}), _PAYER: payer}


def error_code(error: BaseException) -> str:
    """Return S3's error code (``NoSuchKey``) of an error that s3fs translated; "" without one."""
    return code_of(answer_of(error))


def _is_conflict(error: Exception) -> bool:
    """Return whether a multipart upload could not end as another write was under way."""
    return operation_of(error) == COMPLETE and error_code(error) == CONFLICT


def stat_from_headers(path: str, headers: Mapping[str, str]) -> Stat:
    """Return the ``Stat`` of the answer to a GET or HEAD; names of headers are in lower case."""
    metadata = {
        name.removeprefix(_METADATA): value
        for name, value in headers.items()
        if name.startswith(_METADATA)
    }
    return Stat(
        name=path,
        size=total_size(headers.get("content-range"), headers.get("content-length")),
        last_modified=utc(headers.get("last-modified")),
        content_type=headers.get("content-type"),
        content_encoding=headers.get("content-encoding"),
        etag=unquoted(headers.get("etag")),
        version_id=headers.get("x-amz-version-id"),
        headers=kept_headers(headers, _KEPT),
        **split_metadata(metadata),
    )


class S3Api:
    """S3 as one s3fs instance reaches it.

    `filesystem` gives that of this process, `connections` the limit on its connections.
    """

    def __init__(
        self,
        filesystem: Callable[[], Any],
        limits: Limits,
        connections: Callable[[], ConnectionLimit],
    ) -> None:
        self._filesystem, self.limits, self._connections = filesystem, limits, connections
        self.small: SmallRequests | None = None
        self.urls: PresignedURLs | None = None

    @property
    def fs(self) -> Any:
        """The filesystem of this process."""
        return self._filesystem()

    def split(self, path: str) -> tuple[str, str]:
        """Return bucket and key; access point ARNs count as buckets."""
        bucket: str = path.partition("/")[0]
        if path.startswith("arn:"):
            bucket = self.fs.split_path(path)[0]
        # not the key of split_path(), which ends at "?versionId="
        return bucket, path[len(bucket) + 1 :]

    async def call(self, method: str, path: str, **arguments: Any) -> Mapping[str, Any]:
        """Make one request about the object at `path`."""
        bucket, key = self.split(path)
        return await self.request(method, Bucket=bucket, Key=key, **arguments)

    async def request(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Make one request; raise what s3fs makes of the client's errors."""
        await self._ready()
        async with self._connections():
            with local_files_told():
                response: Mapping[str, Any] = await self.fs._call_s3(method, **arguments)
            return response

    async def open(self, path: str, **arguments: Any) -> Answer:
        """Make a GET whose body is unread; its reader keeps a connection of the limit."""
        return await self._small(self.fs._call_s3, "get_object", path, arguments)

    async def head(self, path: str) -> Answer:
        """Make a HEAD; raise what request() does."""
        return await self._small(self.request, "head_object", path, {})

    async def delete(self, path: str) -> None:
        """Delete the object at `path`; raise what request() does."""
        await self._small(self.request, "delete_object", path, {})

    async def _small(
        self,
        call: Callable[..., Awaitable[Mapping[str, Any]]],
        method: str,
        path: str,
        arguments: Mapping[str, Any],
    ) -> Answer:
        """Make a request by the fast path, or by a `call` of the client."""
        small = await self._ready()
        bucket, key = self.split(path)
        by_botocore = functools.partial(call, method, Bucket=bucket, Key=key, **arguments)
        with local_files_told():
            return await small.make(method, bucket, key, arguments, by_botocore)

    async def connect(self) -> Any:
        """Return the client, opened; all of a process share what describes AWS to them."""
        fs = self.fs
        if hasattr(fs, "kwargs") and fs.session is None:
            fs.session = session_with_shared_data(**fs.kwargs)
        return await fs.set_session()

    async def _ready(self) -> SmallRequests:
        """Open the client and return its fast path for small requests."""
        client = await self.connect()
        if self.small is None or self.small.client is not client:
            events = client.meta.events
            # last, after botocore's handler; once, whatever the number of storages of a client
            events.register_last("before-call.s3", _expect_nothing, "django-fsspec-expect")
            pause = functools.partial(pause_after, tries_of(client.meta.config))
            events.register_last("needs-retry.s3", pause, "django-fsspec-again-later")
            events.register("before-sign.s3", _payer_in_url, "django-fsspec-payer")
            self.small = SmallRequests(client, self._connections)
            self.urls = presigned_urls_of(client)
        return self.small

    async def client(self) -> Any:
        """Return the client, made ready."""
        return (await self._ready()).client

    async def presigning(self) -> tuple[Any, PresignedURLs]:
        """Return the client, made ready, and its presigned URLs."""
        client = await self.client()
        return client, presigned_urls_of(client)

    async def put_small(
        self, path: str, data: bytes, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Store `data` in one request; raise what request() does."""
        if len(data) > SMALL:
            return await self.call("put_object", path, Body=Outgoing(data), **arguments)
        arguments = {**arguments, "Body": data}
        headers, _ = await self._small(self.request, "put_object", path, arguments)
        return {
            "ETag": headers.get("etag"),
            "VersionId": headers.get("x-amz-version-id"),
            "ResponseMetadata": {"HTTPHeaders": headers},
        }

    async def put_parts(
        self,
        path: str,
        source: Source,
        native: Mapping[str, Any],
        condition: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Store content as a multipart upload, which is aborted where it fails.

        All of it is sent again where another conditional write got in its way, which S3 asks for.
        """
        tried = False

        async def attempt() -> Mapping[str, Any]:
            nonlocal tried
            if tried:
                await in_thread(source.rewind)
            tried = True
            send = functools.partial(self._send_parts, path, source)
            return await self.in_parts(path, native, condition, send)

        return await RetryPolicy(self.limits.retries, _is_conflict).arun(attempt)

    async def in_parts(
        self,
        path: str,
        native: Mapping[str, Any],
        condition: Mapping[str, Any],
        send: Callable[[str], Awaitable[list[dict[str, Any]]]],
    ) -> Mapping[str, Any]:
        """Make an object of the parts that `send` uploads; abort the upload where that fails."""
        upload_id = await self.begin_upload(path, native)
        try:
            parts = await send(upload_id)
            completed = self.call(
                "complete_multipart_upload",
                path,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                **condition,
            )
            if not condition:
                # a cancelled save that replaces a file has replaced it, or it has not
                return await completed
            return await undoable(completed, lambda _: self.delete(path), path)
        except BaseException:
            # shielded: a cancelled save must not leave its parts behind
            with contextlib.suppress(Exception):
                await asyncio.shield(self.abort_upload(path, upload_id))
            raise

    async def begin_upload(self, path: str, native: Mapping[str, Any]) -> str:
        """Begin a multipart upload and return its id; when cancelled, leave none behind."""

        async def created() -> str:
            answer = await self.call("create_multipart_upload", path, **native)
            upload_id: str = answer["UploadId"]
            return upload_id

        def undo(upload_id: str) -> Awaitable[None]:
            return self.abort_upload(path, upload_id)

        return await undoable(created(), undo, path)

    async def abort_upload(self, path: str, upload_id: str) -> None:
        """Abort a multipart upload; one that is gone already is no error."""
        with contextlib.suppress(FileNotFoundError):
            await self.call("abort_multipart_upload", path, UploadId=upload_id)

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
        # in the caller's context: content may read files of the caller's tenant
        context = contextvars.copy_context()
        tasks: list[asyncio.Task[dict[str, Any]]] = []
        free = asyncio.Semaphore(self.limits.max_concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                number, least = 0, max(self.limits.chunk_size, MIN_PART)
                while True:
                    await free.acquire()
                    size = part_size(number + 1, least, MAX_PARTS, source.size_hint)
                    chunk = await loop.run_in_executor(reader, context.run, source.read, size)
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
