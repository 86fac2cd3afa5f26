"""A line that takes its time."""

from __future__ import annotations

import asyncio
import select
import selectors
from collections import deque
from dataclasses import dataclass

_HELD_AT_MOST = 32 * 1024 * 1024


@dataclass
class Shape:
    """The round trip in seconds, and the bytes a second of a line; 0 for no limit."""

    latency: float = 0.0
    bandwidth: float = 0.0


class PreciseSelector(selectors.DefaultSelector):
    """A selector that keeps time in microseconds; epoll alone rounds up to milliseconds."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


class DelayLine:
    """Carries bytes from one side to the other, each `latency / 2` after it arrived.

    As on a real line, what is under way does not hinder what follows it: latency
    costs no throughput. `bandwidth` is bytes a second for this line alone.
    """

    def __init__(self, shape: Shape, source: asyncio.Transport) -> None:
        self._shape = shape
        self._source = source
        self._sink: asyncio.Transport | None = None
        self._opposite: DelayLine | None = None
        self._held: deque[tuple[float, bytes | None]] = deque()
        self._size = 0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._sink_is_full = False
        self.ended = False
        self._loop = asyncio.get_running_loop()

    def connect(self, sink: asyncio.Transport, opposite: DelayLine) -> None:
        """Name the other end, and the line that carries what it sends."""
        self._sink = sink
        self._opposite = opposite
        self._deliver()

    def send(self, data: bytes | None) -> None:
        """Take bytes, or None for the end of the stream."""
        now = self._loop.time()
        sent = now
        if self._shape.bandwidth and data:
            sent = self._free_at = max(now, self._free_at) + len(data) / self._shape.bandwidth
        self._held.append((max(sent, self._free_at) + self._shape.latency / 2, data))
        self._size += len(data or b"")
        self._deliver()

    def hold(self, full: bool) -> None:
        """Note whether the other end takes more."""
        self._sink_is_full = full
        self._deliver()

    def _end(self, sink: asyncio.Transport) -> None:
        self.ended = True
        if self._source.is_closing() or (self._opposite and self._opposite.ended):
            sink.close()
            self._source.close()
        else:
            sink.write_eof()

    def _deliver(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        sink = self._sink
        if sink is not None:
            while self._held and not self._sink_is_full and not sink.is_closing():
                due, data = self._held[0]
                if due > self._loop.time():
                    self._timer = self._loop.call_at(due, self._deliver)
                    break
                self._held.popleft()
                if data is None:
                    self._end(sink)
                else:
                    self._size -= len(data)
                    sink.write(data)
        if self._source.is_closing():
            return
        if self._size > _HELD_AT_MOST or (sink is None and self._size > 0):
            self._source.pause_reading()
        elif self._size <= _HELD_AT_MOST // 2:
            self._source.resume_reading()
