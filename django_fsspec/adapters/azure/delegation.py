"""User delegation keys sign URLs of Azure where the credentials hold no account key.

One request gives a key, which signs for an hour without another ("Create a user delegation SAS").
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from django_fsspec.adapters.errors import NotSigned

if TYPE_CHECKING:
    from azure.storage.blob import UserDelegationKey

#: seconds for which new URLs are signed with one key
_REUSE = 60 * 60
#: how much the clocks of Azure and of this machine may differ
_SKEW = timedelta(minutes=15)
#: seconds for which a key is valid at most: Azure's 7 days, less that
MAX_LIFE = 7 * 24 * 60 * 60 - 15 * 60


class DelegationKeys:
    """The user delegation key of a client: 1 request an hour. Runs on the filesystem's loop.

    `current` gives the client of this process, and `ask` makes a request (``AzureApi.ask()``).
    """

    def __init__(self, current: Callable[[], Any], ask: Callable[..., Awaitable[Any]]) -> None:
        self._current, self._ask = current, ask
        self._forget(None)

    def _forget(self, client: Any) -> None:
        self._client, self._lock = client, asyncio.Lock()
        self._key: UserDelegationKey | None = None
        self._used_until = self._expires = 0.0

    async def key(self, expires_in: int) -> tuple[UserDelegationKey, datetime]:
        """Return a key for URLs of `expires_in` seconds, and when such a URL expires.

        That is earlier where Azure gives no key for so long. Raises ``NotSigned``.
        """
        client = self._current()
        if self._client is not client:
            # the lock belongs to the loop from before a fork
            self._forget(client)
        async with self._lock:
            now = time.time()
            wanted = now + min(expires_in, MAX_LIFE - _REUSE)
            if self._key is None or now >= self._used_until or wanted > self._expires:
                # a URL of an hour that follows a shorter one must not need a new key
                expires = int(now) + min(max(expires_in, _REUSE) + _REUSE, MAX_LIFE)
                self._key = await self._request(client, expires)
                self._used_until, self._expires = now + _REUSE, expires
            ends = min(now + expires_in, self._expires)
            return self._key, datetime.fromtimestamp(ends, UTC)

    async def _request(self, client: Any, expires: int) -> UserDelegationKey:
        start = datetime.now(UTC) - _SKEW
        end = datetime.fromtimestamp(expires, UTC)
        try:
            key: UserDelegationKey = await self._ask(
                "", client.get_user_delegation_key, start, end
            )
        except (AzureError, aiohttp.ClientError, OSError) as error:
            raise _not_signed(error) from error
        return key


def _not_signed(error: Exception) -> NotSigned:
    """Return the error of a key that Azure did not give, with what to do."""
    detail = str(error).strip().partition("\n")[0][:120] or type(error).__name__
    if isinstance(error, HttpResponseError) and error.status_code == 403:
        return NotSigned(
            f"Azure gives no user delegation key ({detail}); grant the credentials the role "
            "Storage Blob Delegator on the account"
        )
    if isinstance(error, HttpResponseError) and error.status_code == 400:
        return NotSigned(
            f"Azure gives no user delegation key ({detail}); set this machine's clock"
        )
    if isinstance(error, ClientAuthenticationError):
        return NotSigned(f"the credentials can't be used for a user delegation key ({detail})")
    return NotSigned(f"Azure gave no user delegation key ({detail})")
