"""Clients of a site that read slowly, and go away; what the site takes for them."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.ports import HOST

if TYPE_CHECKING:
    from typing import Self


class Reader:
    """A client that asks for `target` and reads as it is told to."""

    def __init__(self, port: int, target: str) -> None:
        self.got = 0
        self._socket = socket.socket()
        # small, so that what is not read waits at the site
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        self._socket.settimeout(30)
        self._socket.connect((HOST, port))
        self._socket.sendall(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        head = self._socket.recv(1024)
        status = re.match(rb"HTTP/1\.1 (\d+)", head)
        assert status is not None
        assert status[1] == b"200", head
        self.got += len(head)

    def read(self, size: int) -> None:
        """Read up to `size` bytes of what is there."""
        if select.select([self._socket], [], [], 0.2)[0]:
            self.got += len(self._socket.recv(size))

    def die(self) -> None:
        """Go away without a word: a reset, as a killed process leaves."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


class Readers:
    """Many of them at once."""

    def __init__(self, count: int, port: int, target: str) -> None:
        self._all = [Reader(port, target) for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for reader in self._all:
            reader.die()

    def read_slowly(self, seconds: float) -> int:
        """Read a little from each, over and over; return the bytes that arrived."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for reader in self._all:
                reader.read(64 * 1024)
            time.sleep(0.05)
        return sum(reader.got for reader in self._all)


def resident(pid: int, field: str = "VmRSS") -> int:
    """Return the memory of a process in bytes; ``VmHWM`` is its peak."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def forget_peak(pid: int) -> None:
    """Have ``VmHWM`` begin anew."""
    with contextlib.suppress(PermissionError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")
