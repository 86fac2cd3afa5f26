"""Signature Version 4 (AWS, "Create a signed AWS API request"), and what botocore signs itself."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

ALGORITHM = "AWS4-HMAC-SHA256"

#: where the request that botocore signs in this context leaves how
_seen: ContextVar[dict[str, Any] | None] = ContextVar("seen", default=None)


def _note(**event: Any) -> None:
    if (seen := _seen.get()) is not None:
        seen.update(event)


def watch(client: Any, operation: str) -> None:
    """Have `signed_by_botocore()` see the requests of one of botocore's operations."""
    # by an id, because a client that serves several storages comes here for each
    client.meta.events.register(f"before-sign.s3.{operation}", _note, f"django-fsspec-{operation}")


@contextlib.contextmanager
def signed_by_botocore() -> Iterator[dict[str, Any]]:
    """Give what botocore's event of signing tells of a request (`request`, `request_signer`)."""
    seen: dict[str, Any] = {}
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


def timestamp() -> str:
    """Return the time as a signature has it."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


class SigningKey:
    """Signs requests to S3 in one `region`, with botocore's frozen `credentials`."""

    __slots__ = ("_derived", "credentials", "region")

    def __init__(self, credentials: Any, region: str) -> None:
        self.credentials, self.region = credentials, region
        #: the key of a day, in one piece as several threads sign
        self._derived = ("", b"")

    def scope(self, stamp: str) -> str:
        """Return who signs and what for: the value of ``Credential``."""
        return f"{self.credentials.access_key}/{self._scope(stamp)}"

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self.region}/s3/aws4_request"

    def signature(self, stamp: str, canonical: str) -> str:
        """Return the signature, in hexadecimal, of a canonical request made at `stamp`."""
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{ALGORITHM}\n{stamp}\n{self._scope(stamp)}\n{digest}"
        return hmac.digest(self._key_of(stamp[:8]), text.encode(), "sha256").hex()

    def _key_of(self, day: str) -> bytes:
        derived_for, key = self._derived
        if derived_for != day:
            key = f"AWS4{self.credentials.secret_key}".encode()
            for part in (day, self.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._derived = (day, key)
        return key
