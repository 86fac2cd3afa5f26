"""HTTP messages read whole, and what an S3 server makes of them."""

from __future__ import annotations

import asyncio
import hashlib
import re
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


@dataclass
class Message:
    """A request or an answer, as it was sent."""

    raw: bytes
    first: str
    body: bytes

    @classmethod
    async def read(cls, reader: asyncio.StreamReader, to: Self | None = None) -> Self | None:
        """Return the next message, an answer `to` a request if that is given; None at the end."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        headers = {name.lower(): value.strip().lower() for name, _, value in pairs}
        body = b""
        if to is not None and to.method == "HEAD":
            pass
        elif "chunked" in headers.get("transfer-encoding", ""):
            body = await _chunks(reader)
        elif length := int(headers.get("content-length", "0")):
            body = await reader.readexactly(length)
        return cls(head + body, first, body)

    @property
    def halved(self) -> bytes:
        """The message with half of its body, and the length of that."""
        head = self.raw[: len(self.raw) - len(self.body)]
        half = self.body[: len(self.body) // 2]
        whole = b"content-length: %d" % len(self.body)
        lowered = re.sub(whole, b"Content-Length: %d" % len(half), head, flags=re.IGNORECASE)
        assert lowered != head, "a body of chunks has no length to lower"
        return lowered + half

    @property
    def status(self) -> int:
        return int(self.first.split()[1])

    @property
    def method(self) -> str:
        return self.first.split()[0]

    @property
    def key(self) -> str:
        """The path without the bucket."""
        path = self.first.split()[1].partition("?")[0]
        return urllib.parse.unquote(path.lstrip("/").partition("/")[2])

    @property
    def query(self) -> str:
        return self.first.split()[1].partition("?")[2]

    @property
    def deletes(self) -> bool:
        return self.method == "DELETE" or self.query.startswith("delete")

    @property
    def uploads(self) -> bool:
        """Whether it makes an object, or has a part in that."""
        return self.method in ("PUT", "POST") and not self.deletes

    @property
    def completes(self) -> bool:
        """Whether an object is there once it is answered."""
        if self.method == "PUT":
            return "partNumber" not in self.query
        return self.method == "POST" and "uploadId" in self.query

    @property
    def identity(self) -> str:
        """What a request has in common with those that try it again."""
        return self.key if self.uploads else f"{self.first} {hashlib.md5(self.body).hexdigest()}"


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a chunked body, as it is."""
    raw = b""
    while size := int((line := await reader.readline()).partition(b";")[0], 16):
        raw += line + await reader.readexactly(size + 2)
    raw += line
    while (line := await reader.readline()) not in (b"\r\n", b""):
        raw += line
    return raw + b"\r\n"
