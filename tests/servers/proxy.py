"""Between a client and a server: counted requests, latency, faults."""

from __future__ import annotations

import json
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from .base import ServerFailed
from .module import ModuleServer
from .ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


class Request(NamedTuple):
    """A request that passed; equal to the tuple `(method, target)`."""

    method: str
    target: str

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class Connections(NamedTuple):
    """The number of connections accepted since the last reset, and open now."""

    accepted: int
    open: int


class CountingProxy(ModuleServer):
    """A TCP proxy in a process of its own that takes note of the HTTP requests passing.

    `latency` is the round trip in seconds that it adds, half on the way there and
    half on the way back; `bandwidth` is bytes a second for each connection and
    direction. Bytes are passed unchanged: give its `url` to the clients, so that
    the Host header which they sign is the one the server sees.
    """

    module = "proxy_process"

    def __init__(
        self,
        target_port: int,
        *,
        latency: float = 0.0,
        bandwidth: float | None = None,
        wait: float = 20.0,
    ) -> None:
        super().__init__(wait=wait)
        self.target_port = target_port
        self._latency = latency
        self._bandwidth = bandwidth

    def requests(self) -> list[Request]:
        """Return the requests that passed, in the order in which their heads were complete."""
        return [Request(*pair) for pair in self._order("requests")]

    def connections(self) -> Connections:
        """Return how many connections were accepted, and how many are open now."""
        return Connections(*self._order("connections"))

    def most_connections(self) -> int:
        """Return how many connections were open at once, at most, since the last reset."""
        return int(self._order("most"))

    def cuts(self) -> int:
        """Return how many responses were cut since the last reset."""
        return int(self._order("cuts"))

    def reset(self) -> None:
        """Forget requests and counts, and a cut that did not happen yet."""
        self._order("reset")

    def set_down(self, down: bool) -> None:
        """Break open connections (RST) and refuse new ones; or accept again."""
        self._order("set_down", value=down)

    def cut_after(self, n_bytes: int | None) -> None:
        """Close the connection, once, after `n_bytes` of one response (its head counted)."""
        self._order("cut_after", value=n_bytes)

    def shape(self, *, latency: float = 0.0, bandwidth: float | None = None) -> None:
        """Change latency and bandwidth."""
        self._latency, self._bandwidth = latency, bandwidth
        self._order("shape", latency=float(latency), bandwidth=float(bandwidth or 0))

    @property
    def _control(self) -> str:
        return str(self.directory / "control")

    def _command(self) -> Sequence[str]:
        shape = (str(self._latency), str(self._bandwidth or 0))
        return [*super()._command(), str(self.target_port), self._control, *shape]

    def _prepare(self) -> None:
        (self.directory / "control").unlink(missing_ok=True)

    def _answers(self) -> bool:
        self._order("connections")
        return True

    def _order(self, do: str, **values: Any) -> Any:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(self._control)
            control.sendall(json.dumps({"do": do, **values}).encode() + b"\n")
            answer = json.loads(b"".join(iter(lambda: control.recv(1 << 16), b"")))
        if "error" in answer:
            raise ServerFailed(answer["error"])
        return answer["result"]


class BlackHole:
    """Accepts connections, reads them, and never answers."""

    def __init__(self) -> None:
        self._accepted = 0
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._waker: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address clients talk to."""
        return f"http://{HOST}:{self.port}"

    def connections(self) -> Connections:
        """Return how many connections were accepted, and how many are open now."""
        return Connections(self._accepted, len(self._open))

    def start(self) -> Self:
        """Begin to listen."""
        self._listener = socket.create_server((HOST, self.port), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self._waker, woken = socket.socketpair()
        self._thread = threading.Thread(
            target=self._serve, args=(self._listener, woken), name="black-hole", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close everything. Harmless when repeated."""
        if self._waker is not None and self._thread is not None:
            self._waker.close()
            self._thread.join(5)
            self._waker = self._thread = None

    def _serve(self, listener: socket.socket, woken: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, listener, woken:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                for event, _ in selector.select():
                    ready = event.fileobj
                    if ready is woken:
                        for client in self._open:
                            client.close()
                        self._open.clear()
                        return
                    if ready is listener:
                        client, _ = listener.accept()
                        selector.register(client, selectors.EVENT_READ)
                        self._accepted += 1
                        self._open.add(client)
                    elif isinstance(ready, socket.socket) and not _swallow(ready):
                        selector.unregister(ready)
                        self._open.discard(ready)
                        ready.close()


def _swallow(client: socket.socket) -> bool:
    """Read what is there; tell whether the client is still connected."""
    try:
        return bool(client.recv(1 << 16))
    except OSError:
        return False
