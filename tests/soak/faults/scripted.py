"""A way to a server that fails as it is told, request by request."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import TypeAlias

from tests.servers.ports import HOST

from .message import Message
from .middleman import Middleman

#: an answer that the server is kept from giving: status and S3 error code
Refusal: TypeAlias = tuple[int, str]
#: what happens to a request: refused; "lost", which is its answer; "short", of which the answer
#: has half the body and says so; or nothing, with None
Fate: TypeAlias = Refusal | str | None


class Scripted(Middleman):
    """Stands before a server, and does to each request what `fate` tells.

    With "lost" the server does what it was asked for, and the connection breaks without an answer.
    """

    def __init__(self, port: int, fate: Callable[[Message], Fate] = lambda _: None) -> None:
        super().__init__(HOST, port, "")
        self.fate = fate
        self.seen: list[Message] = []

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def methods(self) -> list[str]:
        """The methods of the requests, in their order."""
        return [request.method for request in self.seen]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await Message.read(reader):
            self.seen.append(request)
            fate = self.fate(request)
            if isinstance(fate, tuple):
                writer.write(_refusal(request, *fate))
                await writer.drain()
                continue
            self.busy += 1
            try:
                answer = await self._answer(request)
            finally:
                self.busy -= 1
            if fate is not None:
                self.faults[fate] += 1
            if fate == "lost":
                _reset(writer)
                raise EOFError
            writer.write(answer.halved if fate == "short" else answer.raw)
            await writer.drain()

    async def _answer(self, request: Message) -> Message:
        reader, writer = await asyncio.open_connection(*self._target, limit=1 << 20)
        try:
            writer.write(request.raw)
            await writer.drain()
            answer = await Message.read(reader, to=request)
            if answer is None:
                raise EOFError
            return answer
        finally:
            writer.transport.abort()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _refusal(request: Message, status: int, code: str) -> bytes:
    text = (
        f"<Error><Code>{code}</Code><Message>told so</Message></Error>".encode() if code else b""
    )
    head = (
        f"HTTP/1.1 {status} Refused\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + (b"" if request.method == "HEAD" else text)
