"""Presigned Azure URLs (SAS): for a GET, and for a PUT that creates a blob and replaces none.

The size of an upload is not signed, because a SAS can't hold it (Put Blob, "Service SAS").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from django_fsspec.adapters.direct_uploads import Direct, SignedPut

from .client import split

if TYPE_CHECKING:
    from .client import AzureApi

#: object options that a URL for a GET can set of the answer
_ANSWERED = ("content_type", "content_disposition", "cache_control", "content_encoding")


def presigned_url(
    api: AzureApi, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
) -> str | None:
    """Return a signed URL, None where the credentials can't sign; no request."""
    client = api.client
    key = getattr(client.credential, "account_key", None)
    if key is None:
        # a token or a SAS can't sign without a request
        return None
    container, name = split(path)
    # create, not write: such a URL never replaces a blob
    allowed = BlobSasPermissions(create=True) if for_upload else BlobSasPermissions(read=True)
    sas = generate_blob_sas(
        account_name=client.account_name,
        container_name=container,
        blob_name=name,
        account_key=key,
        permission=allowed,
        expiry=datetime.now(UTC) + timedelta(seconds=expires_in),
        **{} if for_upload else {k: v for k, v in headers.items() if k in _ANSWERED},
    )
    return f"{api.blob(path).url.partition('?')[0]}?{sas}"


class AzureDirect(Direct):
    """Direct uploads to one Azure account."""

    def __init__(
        self, api: AzureApi, upload_headers: Callable[[Mapping[str, Any]], dict[str, str]]
    ) -> None:
        self._api, self._upload_headers = api, upload_headers

    async def sign(
        self, path: str, expires_in: int, *, size: int, options: Mapping[str, Any]
    ) -> SignedPut | None:
        url = presigned_url(self._api, path, expires_in, for_upload=True, headers={})
        if url is None:
            return None
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": options["content_type"]}
        headers |= self._upload_headers(options)
        return SignedPut(url=url, headers=headers)
