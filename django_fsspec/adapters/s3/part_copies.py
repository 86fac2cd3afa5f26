"""Copies of S3 objects above 5 GB, which S3 makes in parts only (UploadPartCopy)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django_fsspec.adapters.errors import changed_while_read

from .client import MAX_PARTS, error_code

if TYPE_CHECKING:
    from .client import S3Api

#: bytes up to which S3 copies in one request
COPY_LIMIT = 5 * 1024**3
#: bytes of a part, which S3 is to copy within the timeout
COPY_PART = 128 * 1024**2
#: what CopyObject takes along from its source
_TAKEN_ALONG = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
)


async def copy_parts(
    api: S3Api, source: str, target: str, head: Mapping[str, Any], condition: Mapping[str, Any]
) -> None:
    """Copy the object at `source`, which HEAD described by `head`, to `target`.

    With its headers, metadata and tags, as CopyObject does. Raises ``StorageError`` where it
    changes meanwhile, and what ``S3Api.request()`` raises.
    """
    native = {name: head[name] for name in _TAKEN_ALONG if head.get(name)}
    if expires := head.get("ExpiresString"):
        native["Expires"] = expires
    if head.get("TagCount"):
        tags = (await api.call("get_object_tagging", source))["TagSet"]
        native["Tagging"] = urlencode({tag["Key"]: tag["Value"] for tag in tags})
    send = functools.partial(_send, api, source, target, head)
    await api.in_parts(target, native, condition, send)


async def _send(
    api: S3Api, source: str, target: str, head: Mapping[str, Any], upload_id: str
) -> list[dict[str, Any]]:
    """Have all parts copied, `max_concurrency` at a time; return what they are listed by."""
    size = head["ContentLength"]
    part = max(COPY_PART, -(-size // MAX_PARTS))
    bucket, key = api.split(source)
    free = asyncio.Semaphore(api.limits.max_concurrency)

    async def copy(number: int, start: int) -> dict[str, Any]:
        async with free:
            try:
                answer = await api.call(
                    "upload_part_copy",
                    target,
                    UploadId=upload_id,
                    PartNumber=number,
                    CopySource={"Bucket": bucket, "Key": key},
                    CopySourceRange=f"bytes={start}-{min(start + part, size) - 1}",
                    CopySourceIfMatch=head["ETag"],
                )
            except OSError as error:
                if error_code(error) == "PreconditionFailed":
                    # without the cause, whose code means that a name is taken
                    raise changed_while_read(source) from None
                raise
        copied = answer["CopyPartResult"]
        checksums = {k: v for k, v in copied.items() if k.startswith("Checksum")}
        return {"PartNumber": number, "ETag": copied["ETag"], **checksums}

    try:
        async with asyncio.TaskGroup() as group:
            starts = enumerate(range(0, size, part), 1)
            tasks = [group.create_task(copy(number, start)) for number, start in starts]
    except BaseExceptionGroup as group_error:
        first = group_error.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]
