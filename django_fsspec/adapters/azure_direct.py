"""Azure URLs for browsers: one PUT with a signature that may create and nothing else.

The length is not in the signature: Azure has no place for it (Put Blob, "Service SAS").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .direct import Direct, SignedPut

if TYPE_CHECKING:
    from .azure import AzureAdapter

_HEADERS = {
    "content_type": "x-ms-blob-content-type",
    "cache_control": "x-ms-blob-cache-control",
    "content_disposition": "x-ms-blob-content-disposition",
    "content_encoding": "x-ms-blob-content-encoding",
    "storage_class": "x-ms-access-tier",
}


class AzureDirect(Direct):
    """Signed URLs of one Azure account."""

    def __init__(self, adapter: AzureAdapter) -> None:
        self._adapter = adapter

    async def sign(
        self, path: str, expires_in: int, *, size: int, options: Mapping[str, Any]
    ) -> SignedPut | None:
        url = await self._adapter.sign(path, expires_in, for_upload=True, headers={})
        if url is None:
            return None
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": options["content_type"]}
        headers |= {_HEADERS[name]: str(v) for name, v in options.items() if name in _HEADERS}
        metadata = options.get("metadata") or {}
        headers |= {f"x-ms-meta-{name}": value for name, value in metadata.items()}
        return SignedPut(url=url, headers=headers)
