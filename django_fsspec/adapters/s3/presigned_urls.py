"""Presigned S3 URLs: for a GET, for a PUT, and for the parts of a direct upload.

For a direct upload type, length and ``If-None-Match: *`` are signed: S3 refuses a request that
differs with 403, and one for a name that is taken with 412 (S3 user guide, "Sharing objects with
presigned URLs").
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from django_fsspec.adapters.direct_uploads import Direct, Part, SignedPut, StoredPart
from django_fsspec.adapters.errors import NotSigned
from django_fsspec.exceptions import NotSupported

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
    "ChecksumSHA256": "x-amz-checksum-sha256",
}

#: seconds that a presigned URL lives at most
_LONGEST = 7 * 86400


def _sent(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that the client must send for what was signed."""
    headers = {_HEADERS[name]: str(v) for name, v in arguments.items() if name in _HEADERS}
    metadata = arguments.get("Metadata") or {}
    return headers | {f"x-amz-meta-{name}": value for name, value in metadata.items()}


def url_at_once(
    api: S3Api, path: str, expires_in: int, native: Mapping[str, Any], *, for_upload: bool
) -> tuple[str, float] | None:
    """Return a URL and its life in seconds; None where that takes the client and its loop."""
    if api.urls is None:
        return None
    bucket, key = api.split(path)
    method, arguments = _asked(api, native, for_upload=for_upload)
    return api.urls.at_once(method, bucket, key, expires_in, arguments)


def _asked(
    api: S3Api, native: Mapping[str, Any], *, for_upload: bool
) -> tuple[str, Mapping[str, Any]]:
    """Return method and arguments of a URL for one GET, or one PUT, about one object."""
    if for_upload:
        return "put_object", _paid(api, native)
    # S3 refuses a request without a signature that asks for headers (GetObject, "Overriding
    # response header values")
    answered = {} if api.fs.anon else {f"Response{name}": value for name, value in native.items()}
    return "get_object", _paid(api, answered)


def _paid(api: S3Api, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    pays = api.fs.storage_options.get("requester_pays")
    return {**arguments, "RequestPayer": "requester"} if pays else arguments


async def _presigned_url(
    api: S3Api, method: str, path: str, expires_in: int, arguments: Mapping[str, Any]
) -> str:
    """Return a URL for one call of the client, valid for `expires_in` seconds; no request."""
    bucket, key = api.split(path)
    client, urls = await api.presigning()
    made = urls.at_once(method, bucket, key, expires_in, arguments)
    if made:
        return made[0]
    # asked before it is signed: credentials are renewed meanwhile, they grow no older
    lasting = await signature_life(api, _LONGEST)
    with _credentials_loaded():
        return await urls.make(client, method, bucket, key, expires_in, arguments, lasting=lasting)


@contextlib.contextmanager
def _credentials_loaded() -> Iterator[None]:
    """Raise ``NotSigned`` where credentials are missing, or whoever gives them refuses."""
    try:
        yield
    except (ParamValidationError, NotSupported):
        raise
    except (BotoCoreError, ClientError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise NotSigned(f"the credentials can't be loaded ({reason})") from error


async def _upload_url(
    api: S3Api, method: str, path: str, expires_in: int, arguments: Mapping[str, Any]
) -> str:
    """Return a URL as `_presigned_url()` does. Raises ``NotSupported`` where it signs no headers.

    A filesystem that was made elsewhere, without `signature_version`, signs by version 2.
    """
    url = await _presigned_url(api, method, path, expires_in, _paid(api, arguments))
    if "X-Amz-SignedHeaders=" not in url:
        raise NotSupported(
            "The S3 filesystem signs neither size nor content type of an upload, so that anything "
            "could be stored: make it with config_kwargs={'signature_version': 's3v4'}."
        )
    return url


async def get_url(api: S3Api, path: str, expires_in: int, native: Mapping[str, Any]) -> str:
    """Return a URL for one GET, answered with the headers in `native` (``ContentType``)."""
    method, arguments = _asked(api, native, for_upload=False)
    return await _presigned_url(api, method, path, expires_in, arguments)


async def put_url(api: S3Api, path: str, expires_in: int, native: Mapping[str, Any]) -> str:
    """Return a URL for one PUT, which must send the headers in `native`."""
    return await _upload_url(api, "put_object", path, expires_in, native)


async def signature_life(api: S3Api, expires_in: int) -> float:
    """Return the seconds that a URL signed now is valid: S3 refuses it when its token expires.

    The life of a token that is renewed (of a role, of ``credential_process``) is estimated to
    between half of what is left and all of it. No more is known of one in ``fs_options``.
    """
    await api.connect()
    if api.fs.anon or api.fs.key or not api.fs.session:
        return expires_in
    with _credentials_loaded():
        credentials = await api.fs.session.get_credentials()
        if not hasattr(credentials, "refresh_needed"):
            return expires_in
        # renews them where that is due, as signing does
        await credentials.get_frozen_credentials()
    seconds = float(expires_in)
    while seconds > 1 and credentials.refresh_needed(seconds):
        seconds /= 2
    return seconds


class S3Direct(Direct):
    """Direct uploads to S3, in one request or in parts."""

    in_parts = True

    def __init__(self, api: S3Api, native: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self._api, self._native = api, native

    async def sign(
        self,
        path: str,
        expires_in: int,
        *,
        size: int,
        options: Mapping[str, Any],
        sha256: str = "",
    ) -> SignedPut | None:
        arguments = {**self._native(options), "IfNoneMatch": "*"}
        config = (await self._api.client()).meta.config
        # "when_required" is the setting for stores that refuse such headers
        if sha256 and config.request_checksum_calculation == "when_supported":
            arguments["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        signed = {"ContentLength": size, **arguments}
        url = await put_url(self._api, path, expires_in, signed)
        return SignedPut(url=url, headers=_sent(arguments))

    async def begin(
        self, path: str, options: Mapping[str, Any], *, size: int, origin: str
    ) -> str | None:
        return await self._api.begin_upload(path, self._native(options))

    async def sign_part(self, path: str, upload_id: str, part: Part, expires_in: int) -> SignedPut:
        about = {"UploadId": upload_id, "PartNumber": part.number, "ContentLength": part.size}
        url = await _upload_url(self._api, "upload_part", path, expires_in, about)
        return SignedPut(url=url)

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

    async def complete(
        self,
        path: str,
        upload_id: str,
        parts: Sequence[StoredPart],
        *,
        target: str,
        options: Mapping[str, Any],
    ) -> None:
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        await self._api.call(
            "complete_multipart_upload",
            path,
            UploadId=upload_id,
            MultipartUpload={"Parts": listed},
            IfNoneMatch="*",
        )

    async def abort(self, path: str, upload_id: str) -> None:
        await self._api.abort_upload(path, upload_id)
