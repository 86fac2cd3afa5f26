"""The process behind `CountingProxy`: `python -m … PORT TARGET CONTROL LATENCY BANDWIDTH`."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from typing import Any

from .ports import HOST
from .proxy_line import DelayLine, PreciseSelector, Shape
from .proxy_wire import RequestWatcher

_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Accepts connections, passes them on, and keeps the account."""

    def __init__(self, port: int, target: int, shape: Shape) -> None:
        self.target = target
        self.shape = shape
        self.requests: list[tuple[str, str]] = []
        self.accepted = self.most = 0
        self.open: set[Client] = set()
        self.cut_after: int | None = None
        self.cuts = 0
        self._port = port
        self._listener: asyncio.Server | None = None
        self._reservation = self._bound()  # Keeps the port ours while we refuse.

    def _bound(self) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((HOST, self._port))
        return bound

    async def set_down(self, down: bool) -> None:
        """Refuse connections and break the open ones, or accept again."""
        if down and self._listener is not None:
            self._listener.close()
            self._listener = None
            for client in list(self.open):
                client.reset()
        elif not down and self._listener is None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(
                lambda: Client(self), sock=self._bound(), backlog=1024
            )

    async def obey(self, order: dict[str, Any]) -> Any:
        """Carry out an order from the control socket."""
        match order:
            case {"do": "requests"}:
                return self.requests
            case {"do": "reset"}:
                self.requests, self.accepted, self.cuts = [], 0, 0
                self.most = len(self.open)
                self.cut_after = None
            case {"do": "connections"}:
                return [self.accepted, len(self.open)]
            case {"do": "most"}:
                return self.most
            case {"do": "cuts"}:
                return self.cuts
            case {"do": "set_down", "value": bool(value)}:
                await self.set_down(value)
            case {"do": "shape", "latency": float(latency), "bandwidth": float(bandwidth)}:
                self.shape.latency, self.shape.bandwidth = latency, bandwidth
            case {"do": "cut_after", "value": value}:
                self.cut_after = value
            case _:
                raise ValueError(f"Unknown order {order!r}.")
        return None

    async def listen_to_orders(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one order on the control socket."""
        try:
            answer = {"result": await self.obey(json.loads(await reader.readline()))}
        except Exception as error:  # The other side must hear of it.
            answer = {"error": repr(error)}
        writer.write(json.dumps(answer).encode())
        await writer.drain()
        writer.close()


class Side(asyncio.Protocol):
    """One end of a proxied connection."""

    transport: asyncio.Transport
    outgoing: DelayLine

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.peer: Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport
        self.outgoing = DelayLine(self.proxy.shape, transport)

    def eof_received(self) -> bool:
        self.outgoing.send(None)
        return True

    def pause_writing(self) -> None:
        if self.peer:
            self.peer.outgoing.hold(True)

    def resume_writing(self) -> None:
        if self.peer:
            self.peer.outgoing.hold(False)

    def connection_lost(self, exc: Exception | None) -> None:
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.transport.close()


class Client(Side):
    """The client's end: watches requests."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(proxy)
        self.watcher = RequestWatcher(self._note)
        self.response_size = 0

    def _note(self, method: str, target: str) -> None:
        self.response_size = 0
        self.proxy.requests.append((method, target))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.proxy.accepted += 1
        self.proxy.open.add(self)
        self.proxy.most = max(self.proxy.most, len(self.proxy.open))
        self._opening = asyncio.ensure_future(self._open_target())

    async def _open_target(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: Target(self), HOST, self.proxy.target)
        except OSError:
            self.reset()

    def data_received(self, data: bytes) -> None:
        self.watcher.feed(data)
        self.outgoing.send(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.open.discard(self)
        self._opening.cancel()
        super().connection_lost(exc)

    def reset(self) -> None:
        """Break the connection as a crashed machine does: RST, nothing more."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class Target(Side):
    """The server's end: watches responses."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.proxy)
        self.client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.client.transport.is_closing():
            self.transport.abort()
            return
        self.peer, self.client.peer = self.client, self
        self.outgoing.connect(self.client.transport, self.client.outgoing)
        self.client.outgoing.connect(self.transport, self.outgoing)

    def data_received(self, data: bytes) -> None:
        self.client.watcher.answered(data)
        limit = self.proxy.cut_after
        if limit is not None and self.client.response_size + len(data) > limit:
            self.proxy.cut_after = None
            self.proxy.cuts += 1
            self.outgoing.send(data[: limit - self.client.response_size])
            self.outgoing.send(None)
            self.peer = None
            self.transport.abort()
            return
        self.client.response_size += len(data)
        self.outgoing.send(data)


async def main(port: int, target: int, control: str, shape: Shape) -> None:
    """Serve for ever."""
    proxy = Proxy(port, target, shape)
    await proxy.set_down(False)
    orders = await asyncio.start_unix_server(proxy.listen_to_orders, control, limit=1 << 20)
    await orders.serve_forever()


if __name__ == "__main__":
    asyncio.SelectorEventLoop(PreciseSelector()).run_until_complete(
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Shape(*map(float, sys.argv[4:6])))
    )
