"""ConnectionLimit: how many connections a process opens to one service at a time.

A request takes one from its start to the end of its answer, and an open stream keeps one. Streams
that wait for a connection while they keep another would wait for each other for ever, and streams
that nobody reads would stop all requests. So where all connections are taken, a stream that is not
being read gives its own up, and opens the rest of the file when it is read again.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import Protocol

#: seconds that a stream keeps a connection at least, though others wait for one
TURN = 1.0


class Holder(Protocol):
    """A stream that keeps a connection."""

    def give_up(self) -> None:
        """Close the connection and release it; called on the event loop."""


class ConnectionLimit:
    """At most `limit` connections at a time; for the event loop of one filesystem.

    Example::

        async with ConnectionLimit(64):
            await asyncio.sleep(0)  # a request
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: deque[asyncio.Future[None]] = deque()
        #: streams that are not being read, and since when each has its connection
        self._unread: weakref.WeakKeyDictionary[Holder, float] = weakref.WeakKeyDictionary()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self.take()

    async def __aexit__(self, *exc_info: object) -> None:
        self.release()

    async def take(self) -> None:
        """Return when there is a connection for the caller: first come, first served."""
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give a connection back."""
        self._free += 1
        if self._waiting:
            # soon: a stream releases while _serve() has it give up
            asyncio.get_running_loop().call_soon(self._serve)

    def unread(self, stream: Holder, since: float) -> None:
        """Note that a stream, which has its connection `since` then, is not being read."""
        self._unread[stream] = since
        self._serve()

    def read(self, stream: Holder) -> None:
        """Note that a stream is being read, or closed."""
        self._unread.pop(stream, None)

    def _serve(self) -> None:
        """Hand out what is free, and have streams give up what is still waited for."""
        while self._waiting and self._free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                self._free -= 1
                turn.set_result(None)
        if not self._waiting:
            return
        now, due = asyncio.get_running_loop().time(), list[float]()
        for stream, since in list(self._unread.items()):
            if since + TURN > now:
                due.append(since + TURN)
            elif self._free < len(self._waiting):
                del self._unread[stream]
                stream.give_up()
        if due and self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(min(due), self._serve_later)

    def _serve_later(self) -> None:
        self._timer = None
        self._serve()
