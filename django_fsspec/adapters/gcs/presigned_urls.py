"""Presigned GCS URLs (V4): for a GET, for a PUT, and for a direct upload.

For a direct upload ``x-goog-if-generation-match: 0`` and ``x-goog-content-length-range`` are
signed too: it creates an object of a given size and replaces none (Cloud Storage, "XML API
headers"). Parts go to a resumable upload, whose address is its own permission for a week.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gcsfs.retry import HttpError
from google.auth.exceptions import GoogleAuthError

from django_fsspec.adapters.direct_uploads import Direct, Part, SignedPut, StoredPart
from django_fsspec.adapters.errors import NotSigned, not_found
from django_fsspec.exceptions import NotSupported

from .client import split, stored_bytes
from .signers import MAX_LIFE, is_remote, not_signed

if TYPE_CHECKING:
    from google.auth.credentials import Signing

    from .client import GCSApi

#: statuses of a resumable upload that was cancelled, or has expired
_GONE = frozenset((410, 499))
#: object option -> what a URL for a GET can set of the answer
_ANSWERED = {"content_type": "response_type", "content_disposition": "response_disposition"}
#: object option -> header that a PUT must send
_SENT = {
    "cache_control": "Cache-Control",
    "content_disposition": "Content-Disposition",
    "content_encoding": "Content-Encoding",
    "acl": "x-goog-acl",
    "storage_class": "x-goog-storage-class",
}


async def _presigned_url(
    api: GCSApi, path: str, expires_in: int, options: Mapping[str, Any]
) -> str | None:
    """Return a URL for one method, None where nothing signs: 1 request without a private key.

    Raises ``NotSigned`` where that request fails.
    """
    signer = api.signers.of(api.fs)
    if signer is None:
        return None
    if not is_remote(signer):
        return await asyncio.to_thread(_signed_url, api, path, expires_in, signer, options)
    seconds = min(expires_in, MAX_LIFE)
    asked = _by_request(api, path, seconds, signer, options)
    return await api.signers.once((path, seconds, repr(sorted(options.items()))), asked)


async def _by_request(
    api: GCSApi, path: str, seconds: int, signer: Signing, options: Mapping[str, Any]
) -> str:
    try:
        # it blocks, and tries again by itself
        async with asyncio.timeout(api.timeout):
            return await asyncio.to_thread(_signed_url, api, path, seconds, signer, options)
    except GoogleAuthError as error:
        raise not_signed(error, signer) from error
    except TimeoutError as error:
        raise NotSigned(f"the IAM API did not answer in {api.timeout:g} s") from error


def _signed_url(
    api: GCSApi, path: str, expires_in: int, signer: Signing, options: Mapping[str, Any]
) -> str:
    from google.cloud import storage

    fs = api.fs
    bucket, key = split(path)
    # a project is never used, but looked for when there is none
    client = storage.Client(project=fs.project or "none", credentials=fs.credentials.credentials)
    url: str = (
        client.bucket(bucket)
        .blob(key)
        .generate_signed_url(
            version="v4",
            expiration=timedelta(seconds=expires_in),
            query_parameters=api.payer,
            api_access_endpoint=fs.storage_options.get("endpoint_url"),
            credentials=signer,
            **options,
        )
    )
    return url


async def get_url(
    api: GCSApi, path: str, expires_in: int, headers: Mapping[str, Any]
) -> str | None:
    """Return a URL for one GET, answered with `headers`; None where nothing signs.

    Raises ``NotSupported`` for headers that GCS can't set, and as ``_presigned_url()``.
    """
    if api.signers.of(api.fs) is None:
        return None
    if unable := headers.keys() - _ANSWERED.keys():
        raise NotSupported(f"A signed URL of GCS can't set {min(unable)!r} of the answer.")
    answered = {_ANSWERED[name]: value for name, value in headers.items()}
    return await _presigned_url(api, path, expires_in, {"method": "GET", **answered})


async def signature_life(api: GCSApi, expires_in: int) -> float:
    """Return the seconds that a URL signed now is valid: fewer where the IAM API signs it."""
    signer = api.signers.of(api.fs)
    return min(expires_in, MAX_LIFE) if signer is not None and is_remote(signer) else expires_in


async def put_url(
    api: GCSApi,
    path: str,
    expires_in: int,
    options: Mapping[str, Any],
    conditions: Mapping[str, str],
) -> SignedPut | None:
    """Return a URL for one PUT that sends object options and conditions; None if nothing signs.

    Raises as ``_presigned_url()``.
    """
    content_type = options.get("content_type")
    headers = {_SENT[name]: value for name, value in options.items() if name in _SENT}
    metadata = options.get("metadata") or {}
    headers |= {f"x-goog-meta-{name}": value for name, value in metadata.items()}
    headers |= conditions
    # a copy of the headers: Google's library adds a Host
    signed = {"method": "PUT", "content_type": content_type, "headers": {**headers}}
    url = await _presigned_url(api, path, expires_in, signed)
    if url is None:
        return None
    if content_type:
        headers = {"Content-Type": content_type, **headers}
    return SignedPut(url=url, headers=headers)


class GCSDirect(Direct):
    """Direct uploads to GCS, in one request or in parts one after another.

    `describe` returns the API's description of a new object, and the query that goes with it.
    """

    in_parts = in_order = True

    def __init__(
        self,
        api: GCSApi,
        describe: Callable[[str, Mapping[str, Any]], tuple[dict[str, Any], dict[str, Any]]],
    ) -> None:
        self._api, self._describe = api, describe

    async def sign(
        self,
        path: str,
        expires_in: int,
        *,
        size: int,
        options: Mapping[str, Any],
        sha256: str = "",
    ) -> SignedPut | None:
        conditions = {
            "x-goog-if-generation-match": "0",
            "x-goog-content-length-range": f"{size},{size}",
        }
        return await put_url(self._api, path, expires_in, options, conditions)

    async def begin(
        self, path: str, options: Mapping[str, Any], *, size: int, origin: str
    ) -> str | None:
        item, query = self._describe(path, options)
        headers = {"X-Upload-Content-Length": str(size)}
        if origin:
            # to pages of this origin alone browsers may send (Cloud Storage, "CORS")
            headers["Origin"] = origin
        return await self._api.begin(path, item, {**query, "ifGenerationMatch": "0"}, headers)

    async def sign_part(self, path: str, upload_id: str, part: Part, expires_in: int) -> SignedPut:
        last = part.offset + part.size - 1
        headers = {"Content-Range": f"bytes {part.offset}-{last}/{part.total}"}
        return SignedPut(url=upload_id, headers=headers)

    async def offset(self, path: str, upload_id: str, size: int) -> int:
        headers = {"Content-Range": f"bytes */{size}"}
        try:
            answer = await self._api.ask("PUT", upload_id, path, None, headers)
        except HttpError as error:
            if error.code in _GONE:
                raise not_found(path) from error
            raise
        return stored_bytes(answer) if answer.status == 308 else size

    async def complete(
        self,
        path: str,
        upload_id: str,
        parts: Sequence[StoredPart],
        *,
        target: str,
        options: Mapping[str, Any],
    ) -> None:
        """Do nothing: the last part makes the object."""

    async def abort(self, path: str, upload_id: str) -> None:
        await self._api.cancel(path, upload_id)
