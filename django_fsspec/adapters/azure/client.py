"""Requests to Azure Blob Storage, through the asynchronous client that adlfs holds.

Two calls go below that client's public methods, to its generated ones: its own download is
several GETs of which the first is held in memory, and its upload in one request warns above 1 MB
and does not notice a server that stopped reading. Where a release hides those, the public ones
are called.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import aiohttp
from azure.core.exceptions import (
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobBlock

from django_fsspec.adapters.aiohttp_client import TRANSIENT, RequestContent
from django_fsspec.adapters.base import Limits
from django_fsspec.adapters.errors import answer_lost, local_files_told, not_found
from django_fsspec.adapters.families import AZURE
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
from django_fsspec.exceptions import StorageError

from .delegation import DelegationKeys

if TYPE_CHECKING:
    from django_fsspec.adapters.connection_limit import ConnectionLimit
    from django_fsspec.core.source import Source

T = TypeVar("T")

MAX_BLOCKS = 50_000
DELETE_BATCH = AZURE.dialect.delete_batch
META = "x-ms-meta-"
#: how accounts with a hierarchical namespace mark directories
_FOLDER = "hdi_isfolder"
TAKEN = frozenset(
    (
        "BlobAlreadyExists",
        "ConditionNotMet",
        "TargetConditionNotMet",
        "PathAlreadyExists",
    )
)
#: what an object refuses that an earlier try may have made: blocks are committed once
MAY_BE_OWN = frozenset((*TAKEN, "InvalidBlockList"))
_NO_CONTAINER = frozenset(("ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"))


def error_code(error: BaseException) -> str:
    """Return Azure's error code (``BlobNotFound``), or "" where there is none."""
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
    """Return container and blob name."""
    container, _, name = path.partition("/")
    return container, name


def no_container(path: str) -> StorageError:
    """Return the exception for a 404 where only the container can be missing."""
    return StorageError(
        f"The container {path.partition('/')[0]!r} does not exist: create it or correct the prefix"
    )


def stat_from_headers(path: str, headers: Mapping[str, str]) -> Stat:
    """Return the ``Stat`` by the headers of a response about one blob."""
    lowered = {name.lower(): value for name, value in headers.items()}
    return Stat(
        name=path,
        size=total_size(headers.get("Content-Range"), headers.get("Content-Length")),
        last_modified=utc(headers.get("Last-Modified")),
        created=utc(headers.get("x-ms-creation-time")),
        content_type=headers.get("Content-Type"),
        content_encoding=headers.get("Content-Encoding"),
        etag=unquoted(headers.get("ETag")),
        version_id=headers.get("x-ms-version-id"),
        headers=kept_headers(headers, HEADERS),
        **split_metadata(
            {
                name.removeprefix(META): value
                for name, value in lowered.items()
                if name.startswith(META)
            }
        ),
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
        etag=unquoted(blob.etag),
        version_id=blob.version_id,
        headers=kept_headers(vars(blob.content_settings), {name: name for name in HEADERS}),
        **split_metadata(blob.metadata),
    )


def _checksum(data: bytes) -> dict[str, str]:
    """Return the header that the server compares with what arrived."""
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return {"Content-MD5": base64.b64encode(digest).decode()}


def is_folder(metadata: Mapping[str, str] | None) -> bool:
    """Return whether a blob's metadata mark it as a directory, in whatever capitals."""
    return any(name.lower() == _FOLDER for name in metadata or {})


class Generated(NamedTuple):
    """What lies below a client's public methods."""

    download: Callable[..., Awaitable[Any]]
    upload: Callable[..., Awaitable[Any]]


class AzureApi:
    """Blob Storage as one adlfs instance reaches it.

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
        self.delegation = DelegationKeys(lambda: self.client, self.ask)

    @property
    def client(self) -> Any:
        """The client of the account."""
        return self._filesystem().service_client

    @property
    def account_name(self) -> str:
        """The name of the account, which the client does not know behind a domain of one's own."""
        name: str = self.client.account_name or self._filesystem().account_name
        return name

    def blob(self, path: str) -> Any:
        """Return the client of the blob at `path`."""
        return self.client.get_blob_client(*split(path))

    def generated(self, path: str) -> Generated | None:
        """Return how the client of the blob at `path` makes requests, or None."""
        try:
            client = self.blob(path)._client
            return Generated(client.blob.download, client.block_blob.upload)
        except AttributeError:
            return None

    async def ask(
        self, path: str, method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any
    ) -> T:
        """Make one request about `path`, retried while that may help; bytes in `body` are sent.

        Raises ``FileNotFoundError`` or ``StorageError`` (no such container) for a 404, and
        otherwise what the client raises.
        """
        async with self._connections():
            return await self.send(path, method, *args, **kwargs)

    async def send(
        self, path: str, method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any
    ) -> T:
        """See ask(); for a caller that has a connection of the limit."""
        timeout, data = self._limits.timeout, kwargs.pop("body", None)
        tries = 0

        async def once() -> T:
            nonlocal tries
            tries += 1
            async with asyncio.timeout(timeout) as deadline:
                sent = {} if data is None else {"body": RequestContent([data], deadline, timeout)}
                return await method(
                    *args,
                    **{**kwargs, **sent, "headers": dict(kwargs.get("headers") or {})},
                    retry_total=0,
                    # the service has none; a token would be sent wherever one leads
                    permit_redirects=False,
                    connection_timeout=timeout,
                    read_timeout=timeout,
                )

        try:
            with local_files_told():
                return await self._policy.arun(once)
        except HttpResponseError as error:
            if error_code(error) in _NO_CONTAINER:
                raise no_container(path) from error
            if error.status_code == 404:
                raise not_found(path) from error
            # aiohttp sends a PUT once more by itself, unless its content is a stream as ours
            if (tries > 1 or data is None) and error_code(error) in MAY_BE_OWN:
                raise answer_lost(path) from error
            raise

    async def download(
        self, path: str, generated: Generated, byte_range: str
    ) -> aiohttp.ClientResponse:
        """Return the answer to a GET, its body unread and as it is stored.

        `generated` is that of `path`. The reader keeps a connection of the limit.
        """
        return await self.send(
            path,
            generated.download,
            range=byte_range,
            cls=lambda answer, *_: answer.http_response.internal_response,
        )

    async def upload(
        self, path: str, data: bytes, headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Store `data` in one request; return the headers of the answer."""
        headers = {**headers, **_checksum(data)}
        generated = self.generated(path)
        if generated is None:
            return await self._upload_whole(path, data, headers)
        return await self.ask(
            path,
            generated.upload,
            content_length=len(data),
            body=data,
            headers=headers,
            cls=lambda answer, *_: answer.http_response.headers,
        )

    async def _upload_whole(
        self, path: str, data: bytes, headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Store `data` by the client's public method."""
        answers: list[Mapping[str, str]] = []
        await self.ask(
            path,
            partial(self.blob(path).upload_blob, data, length=len(data), overwrite=True),
            headers=headers,
            raw_response_hook=lambda response: answers.append(response.http_response.headers),
        )
        return answers[-1]

    async def stage(self, path: str, source: Source, headers: Mapping[str, str]) -> list[str]:
        """Send content as blocks, several at a time; nothing exists before they are committed."""
        # blocks of all writers of a blob lie together: names must not meet
        upload, blocks = uuid.uuid4().hex, list[str]()
        scope = {k: v for k, v in headers.items() if k.lower() == "x-ms-encryption-scope"}
        blob, free = self.blob(path), asyncio.Semaphore(self._limits.max_concurrency)

        async def send(block: str, data: bytes, checksum: Mapping[str, str]) -> None:
            def stage(body: RequestContent, **kwargs: Any) -> Awaitable[Any]:
                staged: Awaitable[Any] = blob.stage_block(block, body, len(data), **kwargs)
                return staged

            await self.ask(path, stage, body=data, headers={**scope, **checksum})

        def take() -> tuple[bytes, Mapping[str, str]]:
            number, least = len(blocks) + 1, self._limits.chunk_size
            data = source.read(part_size(number, least, MAX_BLOCKS, source.size_hint))
            return data, _checksum(data)

        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await free.acquire()
                    data, checksum = await in_thread(take)
                    if not data:
                        break
                    blocks.append(f"{upload}-{len(blocks):06}")
                    task = group.create_task(send(blocks[-1], data, checksum))
                    del data
                    task.add_done_callback(lambda _: free.release())
        except BaseExceptionGroup as group_error:
            first = group_error.exceptions[0]
            raise first from first.__cause__
        return blocks

    async def commit(
        self, path: str, blocks: Sequence[str], headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Make a blob of blocks; return the headers of the answer."""
        return await self.ask(
            path,
            self.blob(path).commit_block_list,
            [BlobBlock(block) for block in blocks],
            headers=headers,
            cls=lambda answer, *_: answer.http_response.headers,
        )

    async def delete_batch(self, paths: Sequence[str]) -> list[str]:
        """Delete up to 256 blobs of one container in a request; return those left."""
        names = [split(path)[1] for path in paths]
        container = self.client.get_container_client(split(paths[0])[0])
        try:
            parts = await self.ask(
                paths[0],
                container.delete_blobs,
                *names,
                delete_snapshots="include",
                raise_on_any_failure=False,
            )
            statuses = [part.status_code async for part in parts]
        except HttpResponseError as error:
            if error.status_code in (401, 403):
                raise
            # an account, or a stand-in for one, without batches
            return list(paths)
        if len(statuses) != len(paths):
            return list(paths)
        return [p for p, status in zip(paths, statuses, strict=True) if status not in (202, 404)]
