"""Signers of GCS URLs: a private key, or the IAM API where the credentials have none.

The credentials of Google's machines, of GKE and of other identity providers hold no key, but may
have the key of their service account sign (IAM Credentials API, ``signBlob``): one request a URL.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from functools import partial
from typing import Any

from google.auth import iam
from google.auth.credentials import Scoped, Signing
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.impersonated_credentials import Credentials as Impersonated
from google.auth.transport.requests import Request
from requests import Session
from requests.adapters import HTTPAdapter

from django_fsspec.adapters.errors import NotSigned

#: seconds that a URL signed by the IAM API is valid at most, since Google replaces its keys
#: ("gcloud storage sign-url", "--duration")
MAX_LIFE = 12 * 60 * 60
#: connections kept open: asyncio signs in at most as many threads
_CONNECTIONS = 32
_SCOPE = "https://www.googleapis.com/auth/iam"
#: the message of the API's error, in JSON or in the repr of a dict
_MESSAGE = re.compile(r"""["']message["']:\s*(["'])(.+?)(?<!\\)\1""")


class IAMSigner(Signing):
    """Signs as the service account of `credentials`, by one request of at most `timeout` seconds.

    Its methods raise Google's ``GoogleAuthError`` where that request fails.
    """

    def __init__(self, credentials: Any, timeout: float) -> None:
        session = Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._request = partial(Request(session), timeout=timeout)
        # the filesystem's own credentials may only be used for storage
        scoped = isinstance(credentials, Scoped)
        self._credentials = credentials.with_scopes([_SCOPE]) if scoped else credentials

    @property
    def service_account_email(self) -> str:
        """The address of the service account, as far as it is known without a request."""
        return str(self._credentials.service_account_email)

    @property
    def signer_email(self) -> str:
        """The address of the service account; credentials of Google's machines: 1 request."""
        if self.service_account_email == "default":
            self._credentials.refresh(self._request)
        return self.service_account_email

    @property
    def signer(self) -> iam.Signer:
        """Google's signer, which makes the request."""
        return iam.Signer(  # type: ignore[no-untyped-call]
            self._request, self._credentials, self.signer_email
        )

    def sign_bytes(self, message: bytes) -> bytes:
        """Return the signature of `message`: 1 request."""
        signature: bytes = self.signer.sign(message)
        return signature


class Signers:
    """The signer for the credentials of a filesystem: another one after a fork."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        #: a filesystem and its signer
        self._current: tuple[Any, Signing | None] = (None, None)
        self._pending: dict[object, asyncio.Task[str]] = {}

    def of(self, fs: Any) -> Signing | None:
        """Return what signs with the credentials of `fs`; None where nothing can."""
        filesystem, signer = self._current
        if filesystem is not fs:
            signer = self._signer(fs.credentials.credentials)
            self._current, self._pending = (fs, signer), {}
        return signer

    async def once(self, key: object, request: Coroutine[Any, Any, str]) -> str:
        """Await `request`, or the one with the same `key` that others await. Runs on the loop."""
        task = self._pending.get(key)
        if task is None:
            task = self._pending[key] = asyncio.create_task(request)
            task.add_done_callback(lambda _: self._pending.pop(key, None))
        else:
            request.close()
        # a caller that is cancelled must not cancel the request of the others
        return await asyncio.shield(task)

    def _signer(self, credentials: Any) -> Signing | None:
        if isinstance(credentials, Signing):
            return credentials
        if getattr(credentials, "service_account_email", None):
            return IAMSigner(credentials, self._timeout)
        return None


def is_remote(signer: Signing) -> bool:
    """Return whether each signature takes a request."""
    return isinstance(signer, IAMSigner | Impersonated)


def not_signed(error: GoogleAuthError, signer: Any) -> NotSigned:
    """Return the error of a signature that was not made, with what to do."""
    found = _MESSAGE.search(str(error))
    detail = (found[2] if found else str(error).partition("\n")[0])[:200]
    if isinstance(error, TransportError) and found:
        return NotSigned(
            f"the IAM API signs nothing as {signer.service_account_email} ({detail}); grant the "
            "credentials the permission iam.serviceAccounts.signBlob on that account (role "
            "Service Account Token Creator)"
        )
    return NotSigned(f"the credentials can't be used for the IAM API ({detail})")
