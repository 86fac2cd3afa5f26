"""Azure Blob Storage, through the asynchronous client that adlfs holds.

Two calls go below that client's public methods, by its generated ones: a download there is
several GETs of which the first is held in memory, and an upload of more than 1 MB warns.

adlfs never frees an instance (its finalizer holds it): there is one for each set of options and
process, however many storages use it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import aiohttp
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobBlock, BlobSasPermissions, generate_blob_sas
from django.core.exceptions import SuspiciousFileOperation

from django_fsspec.exceptions import StorageError
from django_fsspec.stat import Stat, utc

from .base import Dialect, Page, Reader, classify, exists_already, not_found
from .looped import LoopedAdapter, pieces
from .wire import TRANSIENT, Body, Download, Opened, tried

if TYPE_CHECKING:
    from django_fsspec.content import Source

T = TypeVar("T")

MAX_BLOCKS = 50_000
DELETE_BATCH = 256
#: seconds between looks at a copy that takes longer
_COPY_PAUSE = 0.5
_META = "x-ms-meta-"
#: how accounts with a hierarchical namespace mark directories
_FOLDER = "hdi_isfolder"
_TAKEN = frozenset((
    "BlobAlreadyExists",
    "ConditionNotMet",
    "TargetConditionNotMet",
    "PathAlreadyExists",
))
_NO_CONTAINER = frozenset(("ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"))


def error_code(error: BaseException) -> str:
    """Return Azure's own name of an error (``BlobNotFound``), or "" where there is none."""
    response = getattr(error, "response", None)
    code = getattr(error, "error_code", None)
    code = code or (response.headers.get("x-ms-error-code") if response is not None else "")
    return str(getattr(code, "value", code) or "")


def is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed when it is made again."""
    if isinstance(error, IncompleteReadError):
        return True
    if isinstance(error, HttpResponseError):
        return error.status_code in TRANSIENT
    return isinstance(
        error, ServiceRequestError | ServiceResponseError | aiohttp.ClientError | TimeoutError
    )


def split(path: str) -> tuple[str, str]:
    """Return container and blob name; raise ``SuspiciousFileOperation`` for what can't be one."""
    container, _, name = path.partition("/")
    if name.endswith(".") or "./" in name:
        raise SuspiciousFileOperation(
            f"The file name {name[:100]!r} has a part that ends with '.', which Azure cuts off."
        )
    return container, name


def stat_from_headers(path: str, headers: Mapping[str, str]) -> Stat:
    """Return the ``Stat`` that a response about one blob tells of."""
    size = headers.get("Content-Length")
    if "Content-Range" in headers:
        size = headers["Content-Range"].rpartition("/")[2]
    lowered = {name.lower(): value for name, value in headers.items()}
    return Stat(
        name=path,
        size=int(size) if size is not None and size.isdigit() else None,
        last_modified=utc(headers.get("Last-Modified")),
        created=utc(headers.get("x-ms-creation-time")),
        content_type=headers.get("Content-Type"),
        content_encoding=headers.get("Content-Encoding"),
        etag=headers.get("ETag", "").strip('"') or None,
        version_id=headers.get("x-ms-version-id"),
        metadata={
            name.removeprefix(_META): value
            for name, value in lowered.items()
            if name.startswith(_META)
        },
    )


def stat_from_properties(path: str, blob: Any) -> Stat:
    """Return the ``Stat`` of the client's ``BlobProperties``."""
    return Stat(
        name=path,
        size=blob.size,
        last_modified=utc(blob.last_modified),
        created=utc(blob.creation_time),
        content_type=blob.content_settings.content_type,
        content_encoding=blob.content_settings.content_encoding or None,
        etag=blob.etag.strip('"') if blob.etag else None,
        version_id=blob.version_id,
        metadata=blob.metadata or {},
    )


class AzureDownload(Download):
    """One GET of a blob's bytes as they are stored."""

    def __init__(self, adapter: AzureAdapter, path: str, start: int, end: int | None) -> None:
        super().__init__(path, start, end, adapter.limits.retries)
        self._adapter = adapter

    async def _get(self) -> Opened:
        if self._empty:
            return Opened(await self._adapter.stat(self._path), None)
        blob = self._adapter.blob(self._path)
        try:
            response: aiohttp.ClientResponse = await self._adapter.ask(
                self._path,
                blob._client.blob.download,
                range=self._range.get("Range"),
                cls=lambda answer, *_: answer.http_response.internal_response,
            )
        except HttpResponseError as error:
            if error.status_code != 416:
                raise
            return Opened(Stat(name=self._path), None)
        stat = stat_from_headers(self._path, response.headers)
        if _FOLDER in stat.metadata:
            response.close()
            raise not_found(self._path)
        return Opened(stat, response)


class AzureAdapter(LoopedAdapter):
    """Azure: one request an operation, create-only by ``If-None-Match: *``."""

    dialect: ClassVar[Dialect] = Dialect(
        headers={
            "content_type": "x-ms-blob-content-type",
            "cache_control": "x-ms-blob-cache-control",
            "content_disposition": "x-ms-blob-content-disposition",
            "content_encoding": "x-ms-blob-content-encoding",
            "storage_class": "x-ms-access-tier",
            "metadata": "metadata",
        },
        atomic_create=True,
        signs_get=True,
        signs_put=True,
        flat=True,
        bucketed=True,
        max_key_bytes=1024,
        max_segment_bytes=None,
        extra="azure",
        delete_batch=DELETE_BATCH,
    )

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        bounds = {"connection_timeout": timeout, "read_timeout": timeout}
        return {**bounds, **options, "use_listings_cache": False}

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        super().tune_instance(fs, timeout=timeout, retries=retries)
        # for what uses the filesystem itself, such as a cache in front of it
        policy = getattr(fs.service_client._config, "retry_policy", None)
        if policy is not None:
            policy.total_retries, policy.initial_backoff = retries, 1

    def blob(self, path: str) -> Any:
        """Return the client of the blob at `path`."""
        return self.fs.service_client.get_blob_client(*split(path))

    async def ask(
        self, path: str, method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any
    ) -> T:
        """Make one request about `path`, tried ``retries + 1`` times; bytes in `body` are sent."""
        timeout, data = self.limits.timeout, kwargs.pop("body", None)

        async def once() -> T:
            async with asyncio.timeout(timeout) as deadline:
                sent = {} if data is None else {"body": Body([data], deadline, timeout)}
                return await method(
                    *args,
                    **{**kwargs, **sent, "headers": dict(kwargs.get("headers") or {})},
                    retry_total=0,
                    connection_timeout=timeout,
                    read_timeout=timeout,
                )

        try:
            return await tried(once, self.limits.retries, is_transient)
        except HttpResponseError as error:
            if error_code(error) in _NO_CONTAINER:
                where = f"the container {path.partition('/')[0]!r} does not exist"
                raise StorageError(f"ContainerNotFound: {where}") from error
            if error.status_code == 404:
                raise not_found(path) from error
            raise

    def classify(self, error: Exception) -> type[OSError] | None:
        if isinstance(error, HttpResponseError) and error.status_code in (409, 412):
            # of the many conflicts (leases, snapshots, policies) few mean a taken name
            return FileExistsError if error_code(error) in _TAKEN else None
        return classify(error)

    async def stat(self, path: str) -> Stat:
        found = await self.ask(path, self.blob(path).get_blob_properties)
        if _FOLDER in (found.metadata or {}):
            raise not_found(path)
        return stat_from_properties(path, found)

    async def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        return await AzureDownload(self, path, start, end).open()

    async def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        reader = await self.reader(path, start, end)
        try:
            return b"".join([piece async for piece in pieces(reader, self.limits.chunk_size)])
        finally:
            reader.close()

    # writing

    async def _put(
        self, path: str, source: Source, options: Mapping[str, Any], *, exclusive: bool
    ) -> Stat:
        headers = {**self.native(options), **options.get("extra", {})}
        headers |= {_META + name: text for name, text in headers.pop("metadata", {}).items()}
        if exclusive:
            headers["If-None-Match"] = "*"
        try:
            if source.data is not None:
                answer = await self._put_small(path, source.data, headers)
            else:
                answer = await self._put_blocks(path, source, headers)
        except HttpResponseError as error:
            # the blocks of the loser of a race are gone when it comes to commit them
            if exclusive and error_code(error) in {*_TAKEN, "InvalidBlockList"}:
                raise exists_already(path) from error
            raise
        except FileNotFoundError as error:
            raise StorageError(f"ContainerNotFound: nothing can be written to {path!r}") from error
        stat = stat_from_headers(path, answer)
        return replace(
            stat,
            size=source.size,
            content_type=options.get("content_type"),
            content_encoding=options.get("content_encoding"),
            checksum=source.checksum,
            metadata=options.get("metadata") or {},
        )

    async def _put_small(
        self, path: str, data: bytes, headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        return await self.ask(
            path,
            self.blob(path)._client.block_blob.upload,
            content_length=len(data),
            body=data,
            # the server compares it with what arrived
            transactional_content_md5=bytearray(hashlib.md5(data, usedforsecurity=False).digest()),
            headers=headers,
            cls=lambda answer, *_: answer.http_response.headers,
        )
