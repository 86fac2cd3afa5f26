"""Presigned GCS URLs for one PUT that creates an object of a given size and replaces none.

``x-goog-if-generation-match: 0`` and ``x-goog-content-length-range`` are signed (Cloud Storage,
"XML API headers").
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django_fsspec.adapters.direct_uploads import Direct, SignedPut

from .client import upload_headers

if TYPE_CHECKING:
    from .client import GCSApi


class GCSDirect(Direct):
    """Presigned URLs of one service account."""

    def __init__(self, api: GCSApi) -> None:
        self._api = api

    async def sign(
        self, path: str, expires_in: int, *, size: int, options: Mapping[str, Any]
    ) -> SignedPut | None:
        if not self._api.can_sign:
            return None
        headers = {
            **upload_headers(options),
            "x-goog-if-generation-match": "0",
            "x-goog-content-length-range": f"{size},{size}",
        }
        content_type = options["content_type"]
        url = await asyncio.to_thread(
            self._api.sign_url,
            path,
            expires_in,
            method="PUT",
            content_type=content_type,
            headers={**headers},  # to which Google's library adds a Host
        )
        return SignedPut(url=url, headers={"Content-Type": content_type, **headers})
