"""Presigned Azure URLs (SAS) for one PUT that creates a blob and replaces none.

The size is not signed, because a SAS can't hold it (Put Blob, "Service SAS").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from django_fsspec.adapters.direct_uploads import Direct, SignedPut

if TYPE_CHECKING:
    from .client import AzureApi


class AzureDirect(Direct):
    """Presigned URLs of one Azure account."""

    def __init__(
        self, api: AzureApi, upload_headers: Callable[[Mapping[str, Any]], dict[str, str]]
    ) -> None:
        self._api, self._upload_headers = api, upload_headers

    async def sign(
        self, path: str, expires_in: int, *, size: int, options: Mapping[str, Any]
    ) -> SignedPut | None:
        url = self._api.sign(path, expires_in, for_upload=True, headers={})
        if url is None:
            return None
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": options["content_type"]}
        headers |= self._upload_headers(options)
        return SignedPut(url=url, headers=headers)
