"""A way to an S3 server that fails, and how often."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from dataclasses import dataclass

from tests.servers.ports import HOST

from .message import Message
from .middleman import Middleman

#: seconds that the storage waits for an answer, and how often it tries again
TIMEOUT, RETRIES = 3, 2


@dataclass(frozen=True)
class Climate:
    """How often what happens to requests."""

    #: new objects whose every upload fails
    doomed: float = 0.05
    #: requests that fail, deletions never more often than they are tried again
    faulty: float = 0.08
    #: uploads that succeed, and nobody is told
    untold: float = 0.0
    #: deletions of which every try fails
    kept: float = 0.0


class Weather(Middleman):
    """Stands before an S3 server: passes requests on, or does not.

    A request is read whole before the server hears of it, so that it is known for each whether
    it got there, and whether its answer came back.
    """

    FAULTS = ("503", "reset", "broken off", "stall")

    def __init__(self, host: str, port: int, climate: Climate, seed: str) -> None:
        super().__init__(host, port, seed)
        self._climate = climate
        self._fates: dict[str, bool] = {}
        self._tries: Counter[str] = Counter()
        #: keys of objects that the server stored, and nobody was told
        self.untold: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await Message.read(reader):
            await asyncio.sleep(self._random.random() * 0.01)
            fault = self._fault(request)
            if fault in self.FAULTS:
                self.faults[fault] += 1
                await self._fail(fault, reader, writer)
                continue
            self.busy += 1
            try:
                answer = await self._answer(request)
            finally:
                self.busy -= 1
            if fault is None and not reader.at_eof() and not writer.is_closing():
                writer.write(answer.raw)
                await writer.drain()
                continue
            if request.completes and answer.status < 300:
                self.untold.append(request.key)
            self.faults["answer lost" if fault else "nobody waited for the answer"] += 1
            await self._fail(self._random.choice(self.FAULTS), reader, writer)

    def _fault(self, request: Message) -> str | None:
        """Return what shall happen to a request; None for nothing."""
        identity, climate, roll = request.identity, self._climate, self._random.random
        chance = climate.doomed if request.uploads else climate.kept if request.deletes else 0.0
        doomed = self._fates.setdefault(identity, roll() < chance)
        self._tries[identity] += 1
        spared = request.deletes and self._tries[identity] > RETRIES
        if doomed or (not spared and roll() < climate.faulty):
            # waiting takes long
            return self._random.choices(self.FAULTS, (6, 4, 4, 1))[0]
        return "untold" if request.completes and roll() < climate.untold else None

    async def _fail(
        self, fault: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if fault == "503":
            writer.write(_UNAVAILABLE)
            await writer.drain()
            return
        if fault == "stall":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), TIMEOUT * 3)
        elif fault == "broken off":
            writer.write(_UNAVAILABLE[:30])
            await writer.drain()
        else:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise EOFError

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


_BODY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
