"""Presigned Azure URLs (SAS): for a GET, and for a PUT that creates a blob and replaces none.

The size of an upload is not signed, because a SAS can't hold it (Put Blob, "Service SAS"). A SAS
for blocks may also replace a blob, so they go to a name of their own; the blob made of them is
copied inside the service.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from django_fsspec.adapters.direct_uploads import Direct, Part, SignedPut, StoredPart
from django_fsspec.core.stat import parse_number

from .client import split
from .delegation import MAX_LIFE

if TYPE_CHECKING:
    from .client import AzureApi

#: object options that a URL for a GET can set of the answer
_ANSWERED = ("content_type", "content_disposition", "cache_control", "content_encoding")


async def presigned_url(
    api: AzureApi, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
) -> str | None:
    """Return a signed URL, None where the credentials can't sign; 1 request an hour without a key.

    Raises ``NotSigned`` where that request fails.
    """
    # create, not write: such a URL never replaces a blob
    allowed = BlobSasPermissions(create=True) if for_upload else BlobSasPermissions(read=True)
    return await _signed(api, path, expires_in, allowed, {} if for_upload else headers)


def _account_key(api: AzureApi) -> str | None:
    return getattr(api.client.credential, "account_key", None)


def _can_delegate(api: AzureApi) -> bool:
    """Return whether the credentials are those of a user or service, who may ask for a key."""
    return hasattr(api.client.credential, "get_token")


def signature_life(api: AzureApi, expires_in: int) -> float:
    """Return the seconds that a URL signed now is valid: those of the key that signs it."""
    return min(expires_in, MAX_LIFE) if _can_delegate(api) else expires_in


async def _signed(
    api: AzureApi,
    path: str,
    expires_in: int,
    allowed: BlobSasPermissions,
    headers: Mapping[str, Any],
) -> str | None:
    expires = datetime.now(UTC) + timedelta(seconds=expires_in)
    if account_key := _account_key(api):
        key: dict[str, Any] = {"account_key": account_key}
    elif _can_delegate(api):
        delegated, expires = await api.delegation.key(expires_in)
        key = {"user_delegation_key": delegated}
    else:
        # a SAS can't sign another
        return None
    container, name = split(path)
    sas = generate_blob_sas(
        account_name=api.account_name,
        container_name=container,
        blob_name=name,
        permission=allowed,
        expiry=expires,
        **key,
        **{k: v for k, v in headers.items() if k in _ANSWERED},
    )
    return f"{api.blob(path).url.partition('?')[0]}?{sas}"


class AzureDirect(Direct):
    """Direct uploads to one Azure account, in one request or as blocks.

    `upload_headers` returns what is sent with a blob for object options, `copy` copies a blob
    with further arguments of the client.
    """

    in_parts = staged = True

    def __init__(
        self,
        api: AzureApi,
        upload_headers: Callable[[Mapping[str, Any]], dict[str, str]],
        copy: Callable[..., Awaitable[None]],
    ) -> None:
        self._api, self._upload_headers, self._copy = api, upload_headers, copy

    async def sign(
        self,
        path: str,
        expires_in: int,
        *,
        size: int,
        options: Mapping[str, Any],
        sha256: str = "",
    ) -> SignedPut | None:
        url = await presigned_url(self._api, path, expires_in, for_upload=True, headers={})
        if url is None:
            return None
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": options["content_type"]}
        headers |= self._upload_headers(options)
        return SignedPut(url=url, headers=headers)

    async def begin(
        self, path: str, options: Mapping[str, Any], *, size: int, origin: str
    ) -> str | None:
        can_sign = _account_key(self._api) or _can_delegate(self._api)
        return secrets.token_hex(16) if can_sign else None

    async def sign_part(self, path: str, upload_id: str, part: Part, expires_in: int) -> SignedPut:
        allowed = BlobSasPermissions(write=True)
        url = await _signed(self._api, path, expires_in, allowed, {})
        # the ids of a blob's blocks are of one length
        block = base64.b64encode(_block(part.number).encode()).decode()
        return SignedPut(url=f"{url}&{urlencode({'comp': 'block', 'blockid': block})}")

    async def parts(self, path: str, upload_id: str) -> Sequence[StoredPart]:
        blob = self._api.blob(path)
        try:
            _, blocks = await self._api.ask(path, blob.get_block_list, "uncommitted")
        except FileNotFoundError:
            return []
        numbers = ((parse_number(block.id), block.size) for block in blocks)
        return [
            StoredPart(number=number, size=size) for number, size in numbers if number is not None
        ]

    async def complete(
        self,
        path: str,
        upload_id: str,
        parts: Sequence[StoredPart],
        *,
        target: str,
        options: Mapping[str, Any],
    ) -> None:
        headers = self._upload_headers(options)
        await self._api.commit(path, [_block(part.number) for part in parts], headers)
        tier = headers.get("x-ms-access-tier")
        more = {"standard_blob_tier": tier} if tier else {}
        try:
            await self._copy(path, target, exclusive=True, **more)
        finally:
            await self._delete(path)

    async def abort(self, path: str, upload_id: str) -> None:
        # blocks can't be deleted, but go with a blob that is made of none
        await self._api.commit(path, [], {})
        await self._delete(path)

    async def _delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await self._api.ask(path, self._api.blob(path).delete_blob)


def _block(number: int) -> str:
    return f"{number:06}"
