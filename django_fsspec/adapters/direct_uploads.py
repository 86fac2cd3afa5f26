"""Direct uploads: presigned URLs by which a client uploads to a service itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SignedPut:
    """A presigned URL for one PUT, and the headers that the client must send with it."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPart:
    """A part of a multipart upload that the service has stored; `size` in bytes."""

    number: int
    size: int
    etag: str


class Direct(ABC):
    """Makes presigned URLs for one filesystem.

    Methods are coroutines on the filesystem's loop; paths are paths inside the filesystem.
    """

    #: whether multipart uploads are supported; the methods about parts raise without
    in_parts = False

    @abstractmethod
    async def sign(
        self, path: str, expires_in: int, *, size: int, options: Mapping[str, Any]
    ) -> SignedPut | None:
        """Return a URL that creates an object of `size` bytes, and replaces none; no request.

        `options` are neutral object options. None where the credentials can't sign.
        """

    async def begin(self, path: str, options: Mapping[str, Any]) -> str:
        """Begin a multipart upload and return its id: 1 request."""
        raise NotImplementedError

    async def sign_part(
        self, path: str, upload_id: str, number: int, expires_in: int, *, size: int
    ) -> str:
        """Return a presigned URL for part `number`, from 1, of `size` bytes; no request."""
        raise NotImplementedError

    async def parts(self, path: str, upload_id: str) -> Sequence[StoredPart]:
        """Return the parts that are stored: 1 request per 1000 parts."""
        raise NotImplementedError

    async def complete(self, path: str, upload_id: str, parts: Sequence[StoredPart]) -> None:
        """Make an object of the parts: 1 request.

        Raises ``FileExistsError`` where there is an object of that name.
        """
        raise NotImplementedError

    async def abort(self, path: str, upload_id: str) -> None:
        """Abort a multipart upload: 1 request. One that is gone already is no error."""
        raise NotImplementedError
