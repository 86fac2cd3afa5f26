"""Amazon S3 and everything that speaks its protocol, through s3fs' client."""

from __future__ import annotations

import errno
import functools
import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django_fsspec.adapters import families
from django_fsspec.adapters.asynchronous import LoopedAdapter
from django_fsspec.adapters.base import Dialect, Page, Reader
from django_fsspec.adapters.errors import answer_lost, classify, exists_already, not_found
from django_fsspec.adapters.loops import on_own_loop
from django_fsspec.adapters.resuming_readers import AsyncResumingReader, OpenedRange
from django_fsspec.core.flows import Flow, call
from django_fsspec.core.stat import Stat, split_metadata, unquoted, utc
from django_fsspec.exceptions import StorageError

from . import part_copies
from .again_later import AGAIN_LATER, answer_of, may_be_own, status_of
from .client import S3Api, error_code, stat_from_headers
from .presigned_urls import S3Direct, get_url, put_url, signature_life, url_at_once

if TYPE_CHECKING:
    from django_fsspec.core.source import Source

DELETE_BATCH = families.S3.dialect.delete_batch
#: connections of a botocore client that is made without a number
BOTOCORE_LIMIT = 10

_ARCHIVED = (
    "the object is archived (S3 Glacier, or an archive tier of Intelligent-Tiering): restore it, "
    "for example with 'aws s3api restore-object', and read it when that is done"
)


class S3Reader(AsyncResumingReader):
    """One GET streamed; at the end of an object of several parts, one HEAD for its size."""

    def __init__(self, adapter: S3Adapter, path: str, start: int, end: int | None) -> None:
        super().__init__(path, start, end, adapter.limits.retries, adapter.connection_limit)
        self._adapter = adapter
        #: the object's size, where more than the length of a body tells it
        self._told_size: int | None = None

    async def _open(self) -> OpenedRange:
        try:
            headers, body = await self._adapter.api.open(self._path, **self._range)
        except OSError as error:
            if error_code(error) != "InvalidRange":
                raise
            return OpenedRange(Stat(name=self._path))
        stat = stat_from_headers(self._path, headers)
        # botocore compares the checksum of a whole object, except of one uploaded in parts
        if "content-range" in headers or "-" not in (stat.etag or ""):
            self._told_size = stat.size
        return OpenedRange(stat, body, stat.etag)

    def _size(self) -> Flow[int | None]:
        if self._told_size is None:
            try:
                stat = yield from call(self._adapter.stat, self._path)
            except FileNotFoundError:
                # deleted meanwhile: nothing tells its size any more
                return None
            self._told_size = stat.size if stat.etag == self.stat.etag else None
        return self._told_size


#: codes of refusals (403) that no other credentials would change
_EXPLAINED = {
    "InvalidObjectState": _ARCHIVED,
    "ObjectNotInActiveTierError": _ARCHIVED,
    "RequestTimeTooSkewed": "the clock of this machine and that of the service differ by more "
    "than 15 minutes: set this machine's clock",
}


class S3Adapter(LoopedAdapter):
    """S3: one request an operation, create-only by ``If-None-Match: *``."""

    dialect: ClassVar[Dialect] = families.S3.dialect

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.api = S3Api(lambda: self.fs, self.limits, lambda: self.connection_limit)

    @property
    def client_limit(self) -> int:
        return int(self.fs.config_kwargs.get("max_pool_connections", BOTOCORE_LIMIT))

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        """See `Adapter.tune`. Raises ``ValueError`` for signatures of version 2."""
        config = {
            "connect_timeout": timeout,
            "read_timeout": timeout,
            "retries": {"total_max_attempts": retries + 1, "mode": "standard"},
            "max_pool_connections": 100,
            "signature_version": "s3v4",
            **(options.get("config_kwargs") or {}),
        }
        version = config["signature_version"]
        if isinstance(version, str) and version.removesuffix("-query") in ("s3", "v2"):
            raise ValueError(
                f"config_kwargs has the signature_version {version!r}, which signs neither size "
                "nor content type of an upload, so that anything could be stored: write 's3v4', "
                "or leave it out"
            )
        return {**options, "config_kwargs": config, "use_listings_cache": False}

    @classmethod
    def further_options(cls) -> Collection[str]:
        from aiobotocore.session import AioSession

        return inspect.signature(AioSession).parameters.keys()

    @classmethod
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        super().tune_instance(fs, timeout=timeout, retries=retries)
        # botocore retries already; s3fs' own loop around it would multiply them
        fs.retries = 1
        # s3fs has its session closed by this, which is documented nowhere
        if hasattr(fs, "close_session"):
            fs.close_session = functools.partial(on_own_loop, fs.close_session)

    def classify(self, error: Exception) -> type[OSError] | None:
        code = error_code(error)
        if code == "PreconditionFailed":
            return FileExistsError
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"):
            return PermissionError
        if code == "NoSuchBucket" or status_of(answer_of(error)) in AGAIN_LATER:
            return None
        return classify(error)

    def explained(self, error: Exception) -> StorageError | None:
        reason = _EXPLAINED.get(error_code(error))
        return StorageError(reason) if reason else None

    def key_of(self, path: str) -> str:
        # the ARN of an access point, which counts as a bucket, has slashes
        return self.api.split(path)[1] if path.startswith("arn:") else super().key_of(path)

    async def stat(self, path: str) -> Stat:
        return stat_from_headers(path, (await self.api.head(path)).headers)

    async def _look(self, path: str) -> object:
        return await self.api.head(path)

    async def reader(self, path: str, start: int = 0, end: int | None = None) -> Reader:
        return await S3Reader(self, path, start, end).open()

    async def _put(
        self, path: str, source: Source, options: Mapping[str, Any], *, exclusive: bool
    ) -> Stat:
        native = {**self.native(options), **options.get("extra", {})}
        condition = {"IfNoneMatch": "*"} if exclusive else {}
        try:
            if source.data is not None:
                response = await self.api.put_small(path, source.data, {**native, **condition})
            else:
                response = await self.api.put_parts(path, source, native, condition)
        except OSError as error:
            if may_be_own(error):
                raise answer_lost(path) from error
            raise
        http = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return Stat(
            name=path,
            size=source.size,
            last_modified=utc(http.get("date")),
            content_type=options.get("content_type"),
            content_encoding=options.get("content_encoding"),
            etag=unquoted(response.get("ETag")),
            version_id=response.get("VersionId"),
            checksum=source.checksum,
            **split_metadata(options.get("metadata")),
        )

    async def delete(self, path: str) -> None:
        await self.api.delete(path)

    async def delete_many(self, paths: Sequence[str]) -> dict[str, Exception]:
        failed: dict[str, Exception] = {}
        for start in range(0, len(paths), DELETE_BATCH):
            failed |= await self._delete_batch(paths[start : start + DELETE_BATCH])
        return failed

    async def _delete_batch(self, paths: Sequence[str]) -> dict[str, Exception]:
        by_key = {self.api.split(path)[1]: path for path in paths}
        bucket = self.api.split(paths[0])[0]
        objects = {"Objects": [{"Key": key} for key in by_key], "Quiet": True}
        try:
            response = await self.api.request("delete_objects", Bucket=bucket, Delete=objects)
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
        bucket, key = self.api.split(path)
        arguments: dict[str, Any] = {"Bucket": bucket, "Prefix": key and key.rstrip("/") + "/"}
        if not recursive:
            arguments["Delimiter"] = "/"
        if after is not None:
            arguments["ContinuationToken"] = after
        response = await self.api.request("list_objects_v2", **arguments)
        entries = [
            Stat(name=f"{bucket}/{prefix['Prefix']}".rstrip("/"), is_dir=True)
            for prefix in response.get("CommonPrefixes", [])
        ]
        entries += [
            Stat(
                name=f"{bucket}/{item['Key']}",
                size=item["Size"],
                last_modified=utc(item["LastModified"]),
                etag=unquoted(item.get("ETag")),
            )
            for item in response.get("Contents", [])
            if not item["Key"].endswith("/")
        ]
        keys = [item["Key"] for item in response.get("Contents", [])]
        if not recursive and arguments["Prefix"] in keys:
            entries.append(Stat(name=path, is_dir=True))
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
        try:
            await self._copy(source, target, condition)
        except OSError as error:
            if error_code(error) in ("NoSuchKey", "404"):
                raise not_found(source) from error
            if may_be_own(error):
                raise answer_lost(target) from error
            raise

    async def _copy(self, source: str, target: str, condition: Mapping[str, Any]) -> None:
        bucket, key = self.api.split(source)
        origin = {"Bucket": bucket, "Key": key}
        try:
            copied = self.api.call("copy_object", target, CopySource=origin, **condition)
            await self._made(target, copied, new=bool(condition))
        except OSError as error:
            if error_code(error) not in ("EntityTooLarge", "InvalidRequest"):
                raise
            head = await self.api.call("head_object", source)
            if head["ContentLength"] <= part_copies.COPY_LIMIT:
                raise
            await part_copies.copy_parts(self.api, source, target, head, condition)

    @property
    def direct(self) -> S3Direct:
        return S3Direct(self.api, self.native)

    async def sign(
        self, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
    ) -> str | None:
        make_url = put_url if for_upload else get_url
        return await make_url(self.api, path, expires_in, self.native(headers))

    def sign_at_once(
        self, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
    ) -> tuple[str, float] | None:
        native = self.native(headers)
        return url_at_once(self.api, path, expires_in, native, for_upload=for_upload)

    async def signature_life(self, expires_in: int) -> float:
        return await signature_life(self.api, expires_in)
