"""Presigned S3 URLs for one PUT or for parts.

Type, length and ``If-None-Match: *`` are signed: S3 refuses a request that differs with 403, and
one for a name that is taken with 412 (S3 user guide, "Sharing objects with presigned URLs").
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django_fsspec.adapters.direct_uploads import Direct, SignedPut, StoredPart

if TYPE_CHECKING:
    from .client import S3Api

#: arguments of put_object and the headers they become
_HEADERS = {
    "ContentType": "Content-Type",
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ACL": "x-amz-acl",
    "StorageClass": "x-amz-storage-class",
    "IfNoneMatch": "If-None-Match",
}


def _sent(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that the client must send for what was signed."""
    headers = {_HEADERS[name]: str(v) for name, v in arguments.items() if name in _HEADERS}
    metadata = arguments.get("Metadata") or {}
    return headers | {f"x-amz-meta-{name}": value for name, value in metadata.items()}


class S3Direct(Direct):
    """Presigned URLs of one S3 client."""

    in_parts = True

    def __init__(self, api: S3Api, native: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self._api, self._native = api, native

    async def sign(
        self, path: str, expires_in: int, *, size: int, options: Mapping[str, Any]
    ) -> SignedPut | None:
        arguments = {**self._native(options), "IfNoneMatch": "*"}
        url = await self._api.sign("put_object", path, expires_in, ContentLength=size, **arguments)
        return SignedPut(url=url, headers=_sent(arguments))

    async def begin(self, path: str, options: Mapping[str, Any]) -> str:
        native = self._native(options)
        answer = await self._api.call("create_multipart_upload", path, **native)
        upload_id: str = answer["UploadId"]
        return upload_id

    async def sign_part(
        self, path: str, upload_id: str, number: int, expires_in: int, *, size: int
    ) -> str:
        part = {"UploadId": upload_id, "PartNumber": number, "ContentLength": size}
        return await self._api.sign("upload_part", path, expires_in, **part)

    async def parts(self, path: str, upload_id: str) -> Sequence[StoredPart]:
        parts: list[StoredPart] = []
        after: dict[str, int] = {}
        while True:
            answer = await self._api.call("list_parts", path, UploadId=upload_id, **after)
            parts += [
                StoredPart(number=part["PartNumber"], size=part["Size"], etag=part["ETag"])
                for part in answer.get("Parts", ())
            ]
            if not answer.get("IsTruncated"):
                return parts
            after = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    async def complete(self, path: str, upload_id: str, parts: Sequence[StoredPart]) -> None:
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        await self._api.call(
            "complete_multipart_upload",
            path,
            UploadId=upload_id,
            MultipartUpload={"Parts": listed},
            IfNoneMatch="*",
        )

    async def abort(self, path: str, upload_id: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await self._api.call("abort_multipart_upload", path, UploadId=upload_id)
