"""Azure Blob Storage, create-only by ``If-None-Match: *``.

adlfs never frees an instance (its finalizer holds it): there is one for each set of options and
process, however many storages use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError

from django_fsspec.adapters import families
from django_fsspec.adapters.aiohttp_client import AioReader, opened
from django_fsspec.adapters.asynchronous import LoopedAdapter
from django_fsspec.adapters.base import Dialect, Page, Reader
from django_fsspec.adapters.cancellation import undoable
from django_fsspec.adapters.errors import classify, exists_already, not_found
from django_fsspec.adapters.resuming_readers import OpenedRange
from django_fsspec.core.stat import Stat, split_metadata
from django_fsspec.exceptions import StorageError

from .client import (
    DELETE_BATCH,
    META,
    TAKEN,
    AzureApi,
    Generated,
    error_code,
    is_folder,
    no_container,
    split,
    stat_from_headers,
    stat_from_properties,
)
from .presigned_urls import AzureDirect, presigned_url, signature_life

if TYPE_CHECKING:
    from django_fsspec.core.source import Source

#: seconds between looks at a copy that takes longer
_COPY_PAUSE = 0.5


class AzureReader(AioReader):
    """One GET of a blob's bytes as they are stored; of an empty blob a HEAD, too."""

    def __init__(
        self, adapter: AzureAdapter, path: str, start: int, end: int | None, generated: Generated
    ) -> None:
        super().__init__(path, start, end, adapter.limits.retries, adapter.connection_limit)
        self._adapter, self._generated = adapter, generated

    async def _open(self) -> OpenedRange:
        if self._end is not None and self._end <= self._position:
            # a server takes a range that ends before it begins for none, and gives everything
            return OpenedRange(await self._adapter.unlimited_stat(self._path))
        # a range for the whole blob, too: to that alone the answer tells the size apart from its
        # own length, which a proxy may have lowered
        wanted = self._range.get("Range", "bytes=0-")
        try:
            response = await self._adapter.api.download(self._path, self._generated, wanted)
        except HttpResponseError as error:
            if error.status_code != 416:
                raise
            if self._position:
                return OpenedRange(Stat(name=self._path))
            # an empty blob has no range
            return OpenedRange(await self._adapter.unlimited_stat(self._path))
        stat = stat_from_headers(self._path, response.headers)
        if is_folder(stat.metadata):
            response.close()
            raise not_found(self._path)
        return opened(stat, response)


class AzureAdapter(LoopedAdapter):
    """Azure: one request an operation, create-only by ``If-None-Match: *``."""

    dialect: ClassVar[Dialect] = families.AZURE.dialect

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.api = AzureApi(lambda: self.fs, self.limits, lambda: self.connection_limit)

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        bounds = {"connection_timeout": timeout, "read_timeout": timeout}
        return {**bounds, **options, "use_listings_cache": False}

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        super().tune_instance(fs, timeout=timeout, retries=retries)
        # for what uses the filesystem itself, such as a cache in front of it
        # adlfs passes on no options for tries
        inside = getattr(fs.service_client, "_config", None)
        policy = getattr(inside, "retry_policy", None)
        if policy is not None:
            policy.total_retries, policy.initial_backoff = retries, 1

    def classify(self, error: Exception) -> type[OSError] | None:
        if isinstance(error, StorageError):
            # its cause is a 404 of the container, not of a file
            return None
        if isinstance(error, HttpResponseError) and error.status_code in (409, 412):
            # of the many conflicts (leases, snapshots, policies) few mean a taken name
            return FileExistsError if error_code(error) in TAKEN else None
        return classify(error)

    def explained(self, error: Exception) -> StorageError | None:
        if error_code(error) not in ("BlobArchived", "BlobBeingRehydrated"):
            return None
        return StorageError(
            "the blob is archived: set its access tier to Hot, Cool or Cold, and read it when it "
            "has been rehydrated"
        )

    async def stat(self, path: str) -> Stat:
        async with self.connection_limit:
            return await self.unlimited_stat(path)

    async def unlimited_stat(self, path: str) -> Stat:
        """See stat(); for a caller that has a connection of the limit."""
        properties = await self.api.send(path, self.api.blob(path).get_blob_properties)
        if is_folder(properties.metadata):
            raise not_found(path)
        return stat_from_properties(path, properties)

    async def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        generated = self.api.generated(path)
        if generated is None:
            return await super().reader(path, start, end)
        return await AzureReader(self, path, start, end, generated).open()

    # writing

    def upload_headers(self, options: Mapping[str, Any]) -> dict[str, str]:
        """Return what an upload must send with the bytes for these object options."""
        headers = {**self.native(options), **options.get("extra", {})}
        metadata = headers.pop("metadata", {})
        return headers | {META + name: text for name, text in metadata.items()}

    async def _put(
        self, path: str, source: Source, options: Mapping[str, Any], *, exclusive: bool
    ) -> Stat:
        headers = self.upload_headers(options)
        if exclusive:
            headers["If-None-Match"] = "*"
        try:
            if source.data is not None:
                answer = await self.api.upload(path, source.data, headers)
            else:
                answer = await self._put_blocks(path, source, headers)
        except HttpResponseError as error:
            # the blocks of the loser of a race are gone when it comes to commit them
            if exclusive and error_code(error) in {*TAKEN, "InvalidBlockList"}:
                raise exists_already(path) from error
            raise
        except FileNotFoundError as error:
            raise no_container(path) from error
        stat = stat_from_headers(path, answer)
        return replace(
            stat,
            size=source.size,
            content_type=options.get("content_type"),
            content_encoding=options.get("content_encoding"),
            checksum=source.checksum,
            **split_metadata(options.get("metadata")),
        )

    async def _put_blocks(
        self, path: str, source: Source, headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        if "If-None-Match" in headers:
            # the condition is decided at the end: not worth sending gigabytes to hear no
            with contextlib.suppress(FileNotFoundError):
                await self.stat(path)
                raise exists_already(path)
        # what is not committed is invisible, and Azure drops it after a week
        blocks = await self.api.stage(path, source, headers)
        committed = self.api.commit(path, blocks, headers)
        return await self._made(path, committed, new="If-None-Match" in headers)

    async def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await self.api.ask(path, self.api.blob(path).delete_blob, delete_snapshots="include")

    async def delete_many(self, paths: Sequence[str]) -> dict[str, Exception]:
        left: list[str] = []
        for start in range(0, len(paths), DELETE_BATCH):
            left += await self.api.delete_batch(paths[start : start + DELETE_BATCH])
        # one by one, for the reason
        return await super().delete_many(left)

    async def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        container, prefix = split(path)
        client = self.api.client.get_container_client(container)
        prefix = prefix and prefix.rstrip("/") + "/"

        async def page(**kwargs: Any) -> Page:
            walk = client.list_blobs if recursive else client.walk_blobs
            # metadata tells directories of hierarchical accounts from empty files
            pages = walk(name_starts_with=prefix, include=["metadata"], **kwargs).by_page(after)
            blobs = [blob async for blob in await anext(pages)]
            entries = [self._entry(container, blob) for blob in blobs]
            if recursive:
                entries = [entry for entry in entries if not entry.is_dir]
            return Page(entries=entries, next=pages.continuation_token or None)

        listing: Page = await self.api.ask(path, page)
        empty = not (listing.entries or listing.next or after)
        if prefix and empty and not recursive and await self._is_folder(path):
            return Page(entries=[Stat(name=path, is_dir=True)])
        return listing

    async def _is_folder(self, path: str) -> bool:
        """Return whether there is a blob that marks an empty directory."""
        try:
            properties = await self.api.ask(path, self.api.blob(path).get_blob_properties)
        except FileNotFoundError:
            return False
        return is_folder(properties.metadata)

    def _entry(self, container: str, blob: Any) -> Stat:
        path = f"{container}/{blob.name}"
        is_prefix = not hasattr(blob, "content_settings")
        if is_prefix or path.endswith("/") or is_folder(blob.metadata):
            return Stat(name=path.rstrip("/"), is_dir=True)
        return stat_from_properties(path, blob)

    async def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        await self._copy(source, target, exclusive=exclusive)

    async def _copy(self, source: str, target: str, *, exclusive: bool, **options: Any) -> None:
        """Copy a blob with further arguments of the client."""
        blob = self.api.blob(target)
        condition = {"match_condition": MatchConditions.IfMissing} if exclusive else {}

        async def undo(answer: Mapping[str, Any]) -> None:
            if answer["copy_status"] == "pending":
                await self.api.ask(target, blob.abort_copy, answer["copy_id"])
            await self.delete(target)

        begun = self.api.ask(
            target, blob.start_copy_from_url, self.api.blob(source).url, **condition, **options
        )
        try:
            answer = await (undoable(begun, undo, target) if exclusive else begun)
        except FileNotFoundError as error:
            raise not_found(source) from error
        status = answer["copy_status"]
        try:
            while status == "pending":
                await asyncio.sleep(_COPY_PAUSE)
                properties = await self.api.ask(target, blob.get_blob_properties)
                status = properties.copy.status
        except BaseException:
            with contextlib.suppress(Exception):
                await asyncio.shield(undo(answer))
            raise
        if status != "success":
            await self.delete(target)
            raise OSError(errno.EIO, f"Azure gave up copying {source!r}: {status}")

    @property
    def direct(self) -> AzureDirect:
        return AzureDirect(self.api, self.upload_headers, self._copy)

    async def sign(
        self, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
    ) -> str | None:
        return await presigned_url(
            self.api, path, expires_in, for_upload=for_upload, headers=headers
        )

    async def signature_life(self, expires_in: int) -> float:
        return signature_life(self.api, expires_in)
