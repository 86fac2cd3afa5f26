"""Amazon S3 and everything that speaks its protocol, through s3fs' client.

Requests are made with ``fs._call_s3`` rather than s3fs' file operations, which cost more of them
(``cat_file`` a HEAD, ``exists`` a LIST) and cut names at ``?versionId=``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError

from django_fsspec.adapters.asynchronous import LoopedAdapter
from django_fsspec.adapters.base import Dialect, Page, Reader, object_store
from django_fsspec.adapters.errors import classify, exists_already, not_found
from django_fsspec.adapters.loops import on_own_loop
from django_fsspec.adapters.readers import AsyncResumingReader, Opened
from django_fsspec.adapters.retries import RetryPolicy
from django_fsspec.core.stat import Stat, utc

from .direct import S3Direct
from .small_puts import SMALL, Puts

if TYPE_CHECKING:
    from django_fsspec.core.source import Source

MIN_PART = 5 * 1024 * 1024
MAX_PARTS = 10_000
DELETE_BATCH = 1000


class Outgoing(io.BytesIO):
    """Bytes on their way out, read in pieces.

    Bytes as they are would be copied into the buffer of the connection, and ``getbuffer()``, by
    which aiohttp asks for the size, copies too: writing there must not change the bytes.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data

    def getbuffer(self) -> memoryview:
        """Return what was given, to be read only."""
        return memoryview(self._data)


def _unquoted(etag: str | None) -> str | None:
    return etag.strip('"') if etag else None


def _expect_nothing(params: Mapping[str, Any], **event: Any) -> None:
    """Send without waiting for "100 Continue", which doubles the time of a small PUT."""
    params["headers"].pop("Expect", None)


def error_code(error: BaseException) -> str:
    """Return S3's own name of an error (``NoSuchKey``), through s3fs' translation of it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ClientError):
        cause = cause.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if cause is not None else ""


def _is_conflict(error: Exception) -> bool:
    """Return whether another conditional write is under way, whose end decides (409)."""
    return error_code(error) == "ConditionalRequestConflict"


class S3Reader(AsyncResumingReader):
    """One GET streamed."""

    def __init__(self, adapter: S3Adapter, path: str, start: int, end: int | None) -> None:
        super().__init__(path, start, end, adapter.limits.retries)
        self._adapter = adapter

    async def _open(self) -> Opened:
        try:
            response = await self._adapter.call("get_object", self._path, **self._range)
        except OSError as error:
            if error_code(error) != "InvalidRange":
                raise
            return Opened(Stat(name=self._path))
        stat = self._adapter.stat_from(self._path, response)
        return Opened(stat, response["Body"], stat.etag)


class S3Adapter(LoopedAdapter):
    """S3: one request an operation, create-only by ``If-None-Match: *``."""

    dialect: ClassVar[Dialect] = object_store(
        headers={
            "content_type": "ContentType",
            "cache_control": "CacheControl",
            "content_disposition": "ContentDisposition",
            "content_encoding": "ContentEncoding",
            "acl": "ACL",
            "storage_class": "StorageClass",
            "metadata": "Metadata",
        },
        extra="s3",
        delete_batch=DELETE_BATCH,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._puts: Puts | None = None

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        config = {
            "connect_timeout": timeout,
            "read_timeout": timeout,
            "retries": {"total_max_attempts": retries + 1, "mode": "standard"},
            "max_pool_connections": 100,
            "signature_version": "s3v4",
            **options.get("config_kwargs", {}),
        }
        return {**options, "config_kwargs": config, "use_listings_cache": False}

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        super().tune_instance(fs, timeout=timeout, retries=retries)
        # botocore retries already; s3fs' own loop around it would multiply them
        fs.retries = 1
        # s3fs has its session closed by this, which is documented nowhere
        if hasattr(fs, "close_session"):
            fs.close_session = functools.partial(on_own_loop, fs.close_session)

    def split(self, path: str) -> tuple[str, str]:
        """Return bucket and key; access point ARNs count as buckets."""
        bucket: str = self.fs.split_path(path)[0]
        # not the key of split_path(), which ends at "?versionId="
        return bucket, path[len(bucket) + 1 :]

    async def call(self, method: str, path: str, **arguments: Any) -> Mapping[str, Any]:
        """Make one request about the object at `path`."""
        bucket, key = self.split(path)
        return await self._request(method, Bucket=bucket, Key=key, **arguments)

    async def _request(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        await self._tune_client()
        response: Mapping[str, Any] = await self.fs._call_s3(method, **arguments)
        return response

    async def _tune_client(self) -> Puts:
        client = await self.fs.set_session()
        if self._puts is None or self._puts.client is not client:
            events = client.meta.events
            # last, after botocore's handler; once, whatever the number of storages of a client
            events.register_last("before-call.s3", _expect_nothing, "django-fsspec-expect")
            self._puts = Puts(client)
        return self._puts

    def classify(self, error: Exception) -> type[OSError] | None:
        code = error_code(error)
        if code in ("PreconditionFailed", "ConditionalRequestConflict"):
            return FileExistsError
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"):
            return PermissionError
        if code == "NoSuchBucket":
            return None
        return classify(error)

    def stat_from(self, path: str, response: Mapping[str, Any]) -> Stat:
        size = response.get("ContentLength")
        if content_range := response.get("ContentRange"):
            size = int(content_range.rpartition("/")[2])
        return Stat(
            name=path,
            size=size,
            last_modified=utc(response.get("LastModified")),
            content_type=response.get("ContentType"),
            content_encoding=response.get("ContentEncoding"),
            etag=_unquoted(response.get("ETag")),
            version_id=response.get("VersionId"),
            metadata=response.get("Metadata") or {},
        )

    async def stat(self, path: str) -> Stat:
        return self.stat_from(path, await self.call("head_object", path))

    async def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        return await S3Reader(self, path, start, end).open()

    async def _put(
        self, path: str, source: Source, options: Mapping[str, Any], *, exclusive: bool
    ) -> Stat:
        native = {**self.native(options), **options.get("extra", {})}
        condition = {"IfNoneMatch": "*"} if exclusive else {}
        if source.data is not None:
            response = await self._put_small(path, source.data, {**native, **condition})
        else:
            response = await self._put_parts(path, source, native, condition)
        http = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return Stat(
            name=path,
            size=source.size,
            last_modified=utc(http.get("date")),
            content_type=options.get("content_type"),
            content_encoding=options.get("content_encoding"),
            etag=_unquoted(response.get("ETag")),
            version_id=response.get("VersionId"),
            checksum=source.checksum,
            metadata=options.get("metadata") or {},
        )

    async def _put_small(
        self, path: str, data: bytes, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        policy = RetryPolicy(self.limits.retries, _is_conflict, first_pause=0.05)
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
        whole = functools.partial(self.call, "put_object", path, Body=data, **arguments)
        puts = await self._tune_client()
        return await puts.put(*self.split(path), data, arguments, whole)

    async def _put_parts(
        self,
        path: str,
        source: Source,
        native: Mapping[str, Any],
        condition: Mapping[str, Any],
    ) -> Mapping[str, Any]:
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
        free = asyncio.Semaphore(self.limits.max_concurrency)
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
        size = max(self.limits.chunk_size, MIN_PART)
        return max(size, -(-(source.size_hint or 0) // MAX_PARTS))

    async def delete(self, path: str) -> None:
        await self.call("delete_object", path)

    async def delete_many(self, paths: Sequence[str]) -> dict[str, Exception]:
        failed: dict[str, Exception] = {}
        for start in range(0, len(paths), DELETE_BATCH):
            failed |= await self._delete_batch(paths[start : start + DELETE_BATCH])
        return failed

    async def _delete_batch(self, paths: Sequence[str]) -> dict[str, Exception]:
        by_key = {self.split(path)[1]: path for path in paths}
        bucket = self.split(paths[0])[0]
        objects = {"Objects": [{"Key": key} for key in by_key], "Quiet": True}
        try:
            response = await self._request("delete_objects", Bucket=bucket, Delete=objects)
        except OSError as error:
            if error_code(error) not in ("NotImplemented", "MethodNotAllowed", "405", "501"):
                raise
            # a store without bulk delete: one request a file
            return await super().delete_many(paths)
        return {
            by_key[fault["Key"]]: OSError(errno.EIO, f"{fault['Code']}: {fault.get('Message')}")
            for fault in response.get("Errors", [])
        }

    async def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        bucket, key = self.split(path)
        arguments: dict[str, Any] = {"Bucket": bucket, "Prefix": key and key.rstrip("/") + "/"}
        if not recursive:
            arguments["Delimiter"] = "/"
        if after is not None:
            arguments["ContinuationToken"] = after
        response = await self._request("list_objects_v2", **arguments)
        entries = [
            Stat(name=f"{bucket}/{found['Prefix']}".rstrip("/"), is_dir=True)
            for found in response.get("CommonPrefixes", [])
        ]
        entries += [
            Stat(
                name=f"{bucket}/{found['Key']}",
                size=found["Size"],
                last_modified=utc(found["LastModified"]),
                etag=_unquoted(found.get("ETag")),
            )
            for found in response.get("Contents", [])
            if not found["Key"].endswith("/")
        ]
        return Page(entries=entries, next=response.get("NextContinuationToken"))

    async def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        condition = {"IfNoneMatch": "*"} if exclusive else {}
        if exclusive:
            # AWS and SeaweedFS refuse a copy onto a taken name by themselves; others do not look
            try:
                await self.stat(target)
            except FileNotFoundError:
                pass
            else:
                raise exists_already(target)
        bucket, key = self.split(source)
        try:
            origin = {"Bucket": bucket, "Key": key}
            await self.call("copy_object", target, CopySource=origin, **condition)
        except OSError as error:
            if error_code(error) in ("EntityTooLarge", "InvalidRequest"):
                # above 5 GB S3 copies in parts only, which s3fs does
                await self.fs._cp_file(source, target)
            elif error_code(error) in ("NoSuchKey", "404"):
                raise not_found(source) from error
            else:
                raise

    @property
    def direct(self) -> S3Direct:
        return S3Direct(self)

    async def sign(
        self, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
    ) -> str | None:
        bucket, key = self.split(path)
        client = await self.fs.set_session()
        url: str = await client.generate_presigned_url(
            ClientMethod="put_object" if for_upload else "get_object",
            Params={"Bucket": bucket, "Key": key, **self._signed(for_upload, headers)},
            ExpiresIn=expires_in,
        )
        return url

    def _signed(self, for_upload: bool, headers: Mapping[str, Any]) -> dict[str, Any]:
        native = self.native(headers)
        if for_upload:
            return native
        return {f"Response{name}": value for name, value in native.items()}
