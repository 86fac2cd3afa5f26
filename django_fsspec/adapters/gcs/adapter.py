"""Google Cloud Storage, create-only by ``ifGenerationMatch=0``.

Importing gcsfs unpickles ``~/.gcs_tokens`` when there is one, which can't be prevented from
here: nobody but the site's own user may be able to write that file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar

from django_fsspec.adapters import families
from django_fsspec.adapters.aiohttp_client import AioReader, opened
from django_fsspec.adapters.asynchronous import LoopedAdapter
from django_fsspec.adapters.base import Dialect, Page, Reader
from django_fsspec.adapters.cancellation import undoable
from django_fsspec.adapters.errors import classify, exists_already, not_found, short_write
from django_fsspec.adapters.resuming_readers import OpenedRange
from django_fsspec.core.flows import in_thread
from django_fsspec.core.stat import Stat, kept_headers
from django_fsspec.exceptions import StorageError

from .client import (
    CHUNK_UNIT,
    Crc,
    GCSApi,
    address,
    no_bucket,
    split,
    stat_from_headers,
    stat_from_item,
)
from .presigned_urls import GCSDirect, get_url, put_url, signature_life

if TYPE_CHECKING:
    from django_fsspec.core.source import Source

DELETE_BATCH = families.GCS.dialect.delete_batch
#: what a rewrite between locations moves in one request, to stay within its time
REWRITE_BYTES = 256 * 1024 * 1024
#: object options that are query parameters; the others are fields of the object
_PARAMETERS = frozenset(("predefinedAcl", "kmsKeyName"))
_FIELDS = (
    "name,size,updated,timeCreated,etag,generation,contentType,contentEncoding,metadata,crc32c"
)
#: names of an object's fields for the headers that it is answered with
_HEADERS = {
    "cache_control": "cacheControl",
    "content_disposition": "contentDisposition",
    "content_language": "contentLanguage",
}
_LISTED = f"nextPageToken,prefixes,items({_FIELDS})"


class GCSReader(AioReader):
    """A media download; gzipped content stays as it is stored."""

    def __init__(self, adapter: GCSAdapter, path: str, start: int, end: int | None) -> None:
        super().__init__(path, start, end, adapter.limits.retries, adapter.connection_limit)
        self._adapter = adapter

    async def _open(self) -> OpenedRange:
        if self._end is not None and self._end <= self._position:
            # a server takes a range that ends before it begins for none, and gives everything
            return OpenedRange(await self._adapter.unlimited_stat(self._path))
        # with this header bytes come as they are stored; without it gzip is unpacked on the way
        headers = {"Accept-Encoding": "gzip", **self._range}
        url = f"download/storage/v1/{address(self._path)}"
        response = await self._adapter.api.send("GET", url, self._path, {"alt": "media"}, headers)
        stat = stat_from_headers(self._path, response.headers)
        if response.status == 416:
            response.close()
            return OpenedRange(stat)
        return opened(stat, response)


class GCSAdapter(LoopedAdapter):
    """GCS: one request an operation, by the JSON API."""

    dialect: ClassVar[Dialect] = families.GCS.dialect

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.api = GCSApi(lambda: self.fs, self.limits, lambda: self.connection_limit)

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        token = options.get("token")
        path = token if isinstance(token, str) else ""
        # gcsfs takes the path of a missing file for an access token
        if (path.startswith("/") or path.endswith(".json")) and not Path(path).exists():
            raise ValueError("'token' is the path of a file that does not exist.")
        return {"requests_timeout": timeout, **options, "use_listings_cache": False}

    @classmethod
    def further_options(cls) -> Collection[str]:
        # what gcsfs takes for hierarchical and zonal buckets without an argument of that name
        retries = ("initial", "maximum", "multiplier", "timeout")
        return {"memmove_max_workers", *(f"retry_{name}" for name in retries)}

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        super().tune_instance(fs, timeout=timeout, retries=retries)
        # for what uses the filesystem itself, such as a cache in front of it: gcsfs has no option
        # for its tries, which are six again where it changes inside
        with contextlib.suppress(ImportError, AttributeError):
            from gcsfs.retry import retry_request

            once = type(fs)._request.__wrapped__
            fs._request = MethodType(retry_request(retries=retries + 1)(once), fs)

    def classify(self, error: Exception) -> type[OSError] | None:
        # the cause of the first is a 404 of the bucket, not of a file; and 409 is a conflict
        # with another request here, not a taken name
        if isinstance(error, StorageError) or getattr(error, "code", None) == 409:
            return None
        return classify(error)

    async def stat(self, path: str) -> Stat:
        async with self.connection_limit:
            return await self.unlimited_stat(path)

    async def unlimited_stat(self, path: str) -> Stat:
        """See stat(); for a caller that has a connection of the limit."""
        answer = await self.api.answer(
            "GET",
            f"storage/v1/{address(path)}",
            path,
            {"fields": ",".join([_FIELDS, *_HEADERS.values()])},
        )
        item = json.loads(answer.data)
        return replace(stat_from_item(path, item), headers=kept_headers(item, _HEADERS))

    async def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        return await GCSReader(self, path, start, end).open()

    async def _put(
        self, path: str, source: Source, options: Mapping[str, Any], *, exclusive: bool
    ) -> Stat:
        item, query = self._described(path, options)
        if exclusive:
            query["ifGenerationMatch"] = "0"
        crc = Crc()
        try:
            if source.data is not None:
                crc.update(source.data)
                hashed = {**item, "crc32c": crc.digest} if crc.digest else item
                stored = await self.api.upload(path, hashed, query, source.data)
            else:
                stored = await self._put_chunks(path, source, item, query, crc)
        except FileNotFoundError as error:
            raise no_bucket(path) from error
        await self._verify(path, stored, source, crc)
        return replace(stat_from_item(path, stored), checksum=source.checksum)

    def _described(
        self, path: str, options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the API's description of a new object, and the query that goes with it."""
        native = {**self.native(options), **options.get("extra", {})}
        query = {"fields": _FIELDS, **{k: v for k, v in native.items() if k in _PARAMETERS}}
        item = {"name": split(path)[1]}
        return item | {k: v for k, v in native.items() if k not in _PARAMETERS}, query

    async def _put_chunks(
        self,
        path: str,
        source: Source,
        item: Mapping[str, Any],
        query: Mapping[str, Any],
        crc: Crc,
    ) -> Any:
        if "ifGenerationMatch" in query:
            # the condition is decided at the end: not worth sending gigabytes to hear no
            with contextlib.suppress(FileNotFoundError):
                await self.stat(path)
                raise exists_already(path)
        begun = self.api.begin(path, item, query)
        location = await undoable(begun, lambda url: self.api.cancel(path, url), path)
        headers = {"Content-Type": str(item.get("contentType", "application/octet-stream"))}
        size = max(self.limits.chunk_size // CHUNK_UNIT, 1) * CHUNK_UNIT

        def following() -> tuple[bytes, bool]:
            chunk = source.read(size)
            crc.update(chunk)
            return chunk, source.ended()

        try:
            position, last = 0, False
            while not last:
                chunk, last = await in_thread(following)
                if last and crc.digest:
                    headers["X-Goog-Hash"] = f"crc32c={crc.digest}"
                total = source.size if last else None
                sent = self.api.resume(path, location, headers, chunk, position, total)
                new = last and "ifGenerationMatch" in query
                stored = await self._made(path, sent, new=new)
                position += len(chunk)
                # or it would be held while the next is read
                del chunk, sent
            return stored
        except BaseException:
            # shielded: a cancelled save must not leave its session behind
            await asyncio.shield(self.api.cancel(path, location))
            raise

    async def _verify(
        self, path: str, stored: Mapping[str, Any], source: Source, crc: Crc
    ) -> None:
        """Compare size and checksum; delete the object and raise where they differ."""
        size = int(stored.get("size", 0))
        if size == source.size and stored.get("crc32c") in (None, crc.digest or stored["crc32c"]):
            return
        with contextlib.suppress(FileNotFoundError):
            generation = {"generation": stored.get("generation")}
            await self.api.ask("DELETE", f"storage/v1/{address(path)}", path, generation)
        raise short_write(path, source.size, size)

    async def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await self.api.ask("DELETE", f"storage/v1/{address(path)}", path)

    async def delete_many(self, paths: Sequence[str]) -> dict[str, Exception]:
        left: list[str] = []
        for start in range(0, len(paths), DELETE_BATCH):
            left += await self.api.delete_batch(paths[start : start + DELETE_BATCH])
        # one by one, for the reason; files that were missing end here too
        return await super().delete_many(left)

    async def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Page:
        bucket, key = split(path)
        query = {"fields": _LISTED, "prefix": key and key.rstrip("/") + "/", "pageToken": after}
        if not recursive:
            query["delimiter"] = "/"
        url = address(path).partition("/o/")[0]
        try:
            answer = await self.api.ask("GET", f"storage/v1/{url}/o", path, query)
        except FileNotFoundError as error:
            raise no_bucket(path) from error
        listing = json.loads(answer.data)
        entries = [
            Stat(name=f"{bucket}/{prefix}".rstrip("/"), is_dir=True)
            for prefix in listing.get("prefixes", [])
        ]
        entries += [
            stat_from_item(f"{bucket}/{item['name']}", item)
            for item in listing.get("items", [])
            if not item["name"].endswith("/")
        ]
        if not recursive and query["prefix"] in [
            item["name"] for item in listing.get("items", [])
        ]:
            entries.append(Stat(name=path, is_dir=True))
        return Page(entries=entries, next=listing.get("nextPageToken"))

    async def copy(self, source: str, target: str, *, exclusive: bool) -> None:
        query: dict[str, Any] = {"maxBytesRewrittenPerCall": REWRITE_BYTES}
        if exclusive:
            query["ifGenerationMatch"] = "0"
            if not self.fs.on_google:
                # emulators copy regardless of the condition
                with contextlib.suppress(FileNotFoundError):
                    await self.stat(target)
                    raise exists_already(target)
        url = f"storage/v1/{address(source)}/rewriteTo/{address(target)}"

        async def rewrite() -> dict[str, Any]:
            answer = await self.api.ask("POST", url, target, query)
            step: dict[str, Any] = json.loads(answer.data)
            return step

        async def undo(step: Mapping[str, Any]) -> None:
            # before the last step there is no copy, but another's file may be there
            if exclusive and step["done"]:
                await self.delete(target)

        while True:
            try:
                step = await undoable(rewrite(), undo, target)
            except FileNotFoundError as error:
                raise not_found(source) from error
            if step["done"]:
                return
            query["rewriteToken"] = step["rewriteToken"]

    @property
    def direct(self) -> GCSDirect:
        return GCSDirect(self.api, self._described)

    async def sign(
        self, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
    ) -> str | None:
        if not for_upload:
            return await get_url(self.api, path, expires_in, headers)
        signed = await put_url(self.api, path, expires_in, headers, {})
        return signed.url if signed else None

    async def signature_life(self, expires_in: int) -> float:
        return await signature_life(self.api, expires_in)
