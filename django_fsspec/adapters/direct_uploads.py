"""Direct uploads: presigned URLs by which a client uploads to a service itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SignedPut:
    """A presigned URL for one PUT, and the headers that the client must send with it."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a file of `total` bytes: `number` from 1, `size` and `offset` in bytes."""

    number: int
    size: int
    offset: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPart:
    """A part of a multipart upload that the service has stored; `size` in bytes."""

    number: int
    size: int
    etag: str = ""


class Direct(ABC):
    """Makes presigned URLs for one filesystem.

    Methods are coroutines on the filesystem's loop; paths are paths inside the filesystem.
    """

    #: whether multipart uploads are supported; the methods about parts raise without
    in_parts = False
    #: whether parts must come one after another: then ``offset()`` tells how far it is, else
    #: ``parts()`` which are there
    in_order = False
    #: whether parts are sent to a name of their own, since a URL for them could replace a file
    staged = False

    @abstractmethod
    async def sign(
        self,
        path: str,
        expires_in: int,
        *,
        size: int,
        options: Mapping[str, Any],
        sha256: str = "",
    ) -> SignedPut | None:
        """Return a URL that creates an object of `size` bytes, and replaces none; no request.

        `options` are neutral object options; where the service can check a `sha256` of the bytes
        (hexadecimal), it is signed, too. None where the credentials can't sign.
        """

    async def begin(
        self, path: str, options: Mapping[str, Any], *, size: int, origin: str
    ) -> str | None:
        """Begin a multipart upload of `size` bytes and return its id: at most 1 request.

        `origin` is that of the page, "" for clients that are no browser. None where the
        credentials can't sign.
        """
        raise NotImplementedError

    async def sign_part(self, path: str, upload_id: str, part: Part, expires_in: int) -> SignedPut:
        """Return a presigned URL for a part; no request."""
        raise NotImplementedError

    async def parts(self, path: str, upload_id: str) -> Sequence[StoredPart]:
        """Return the parts that are stored: 1 request per 1000 parts.

        Raises ``FileNotFoundError`` where the upload is gone.
        """
        raise NotImplementedError

    async def offset(self, path: str, upload_id: str, size: int) -> int:
        """Return how many of the `size` bytes are stored, where parts come in order: 1 request.

        Raises ``FileNotFoundError`` where the upload is gone.
        """
        raise NotImplementedError

    async def complete(
        self,
        path: str,
        upload_id: str,
        parts: Sequence[StoredPart],
        *,
        target: str,
        options: Mapping[str, Any],
    ) -> None:
        """Make an object of the parts: 1 request, 3 where they are staged.

        `target` is the name of the object, `path` where it is `staged`. Raises
        ``FileExistsError`` where there is an object of that name.
        """
        raise NotImplementedError

    async def abort(self, path: str, upload_id: str) -> None:
        """Abort a multipart upload: 1 or 2 requests. One that is gone already is no error."""
        raise NotImplementedError
