"""Ports of the loopback address."""

from __future__ import annotations

import contextlib
import random
import socket

HOST = "127.0.0.1"

# not `random` itself: pytest-randomly gives all workers the same seed
_random = random.SystemRandom()
_FIRST, _LAST = 12000, 22000  # Under the ephemeral ports, even with 10000 added.


def free_ports(count: int, *, paired_with: int = 0) -> tuple[int, ...]:
    """Return ports nobody listens on now; `port + paired_with` is free as well."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for _ in range(1000):
            if len(found) == count:
                return tuple(found)
            port = _random.randint(_FIRST, _LAST)
            with contextlib.suppress(OSError):
                for number in {port, port + paired_with}:
                    taken = held.enter_context(socket.socket())
                    taken.bind((HOST, number))
                found.append(port)
    raise RuntimeError("No free ports.")


def accepts(port: int) -> bool:
    """Tell whether something accepts connections on the port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


_reserved: list[socket.socket] = []


def closed_port() -> int:
    """Return a port that refuses connections, and stays reserved while this process lives."""
    reserved = socket.socket()
    reserved.bind((HOST, 0))
    _reserved.append(reserved)
    port: int = reserved.getsockname()[1]
    return port
