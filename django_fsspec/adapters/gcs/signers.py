"""Who signs URLs of GCS: a private key, or the IAM API where the credentials have none.

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

#: the most seconds that a URL lives which the IAM API signed: Google replaces that key by itself
#: ("gcloud storage sign-url", "--duration")
MAX_LIFE = 12 * 60 * 60
#: connections kept open: as many as asyncio has threads at most
_CONNECTIONS = 32
_SCOPE = "https://www.googleapis.com/auth/iam"
#: what the API says, in JSON or in the repr of it
_MESSAGE = re.compile(r"""["']message["']:\s*(["'])(.+?)(?<!\\)\1""")


class IAMSigner(Signing):
    """Signs as the service account of `credentials`; each request takes `timeout` seconds."""

    def __init__(self, credentials: Any, timeout: float) -> None:
        session = Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._request = partial(Request(session), timeout=timeout)
        # those of the filesystem may only be used for storage
        scoped = isinstance(credentials, Scoped)
        self._credentials = credentials.with_scopes([_SCOPE]) if scoped else credentials

    @property
    def service_account_email(self) -> str:
        """The address of the service account, as far as it is known without a request."""
        return str(self._credentials.service_account_email)

    @property
    def signer_email(self) -> str:
        """The address of the service account; those of Google's machines ask for it: 1 request."""
        if self.service_account_email == "default":
            self._credentials.refresh(self._request)
        return self.service_account_email

    @property
    def signer(self) -> iam.Signer:
        """What makes the requests."""
        return iam.Signer(  # type: ignore[no-untyped-call]
            self._request, self._credentials, self.signer_email
        )

    def sign_bytes(self, message: bytes) -> bytes:
        """Return the signature of `message`: 1 request."""
        signature: bytes = self.signer.sign(message)
        return signature


class Signers:
    """The signer of a filesystem, kept for as long as that is the one of this process."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._made: tuple[Any, Signing | None] = (None, None)
        self._asked: dict[object, asyncio.Task[str]] = {}

    def of(self, fs: Any) -> Signing | None:
        """Return what signs with the credentials of `fs`; None where nothing can."""
        made_for, signer = self._made
        if made_for is not fs:
            signer = self._signer(fs.credentials.credentials)
            self._made, self._asked = (fs, signer), {}
        return signer

    async def once(self, what: object, request: Coroutine[Any, Any, str]) -> str:
        """Await `request`, or one for the same that others wait for. Runs on the loop."""
        task = self._asked.get(what)
        if task is None:
            task = self._asked[what] = asyncio.create_task(request)
            task.add_done_callback(lambda _: self._asked.pop(what, None))
        else:
            request.close()
        # who is cancelled leaves the others their answer
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
