"""What a backend offers to clients that write to it by themselves, with URLs signed for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPut:
    """A URL for one PUT, and the headers that the client must send with it."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPart:
    """A part that a backend has; `size` in bytes."""

    number: int
    size: int
    etag: str


class Direct(ABC):
    """Uploads past us. Methods are coroutines on the filesystem's loop; paths are whole ones."""

    #: whether large files can go in parts
    in_parts = False

    @abstractmethod
    async def sign(
        self, path: str, expires_in: int, *, size: int, options: Mapping[str, Any]
    ) -> SignedPut | None:
        """Return a URL that creates an object of `size` bytes, and replaces none; no request.

        `options` are neutral object options. None where the credentials can't sign.
        """

    async def begin(self, path: str, options: Mapping[str, Any]) -> str:
        """Begin an upload in parts and return its id: 1 request."""
        raise NotImplementedError

    async def sign_part(
        self, path: str, upload_id: str, number: int, expires_in: int, *, size: int
    ) -> str:
        """Return a URL that takes part `number`, from 1, of `size` bytes; no request."""
        raise NotImplementedError

    async def parts(self, path: str, upload_id: str) -> Sequence[StoredPart]:
        """Return the parts that arrived: 1 request a thousand."""
        raise NotImplementedError

    async def complete(self, path: str, upload_id: str, parts: Sequence[StoredPart]) -> None:
        """Make the parts one object: 1 request. ``FileExistsError`` where there is one."""
        raise NotImplementedError

    async def abort(self, path: str, upload_id: str) -> None:
        """Forget an upload in parts: 1 request. One that is gone is no error."""
        raise NotImplementedError
