"""What can be told about HTTP/1.1 requests from the bytes that pass by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]")
_LONGEST_HEAD = 256 * 1024


class RequestWatcher:
    """Reads the client's half of a connection and reports each request once its head is complete.

    A connection that speaks something else (SSH, FTP) is noticed and left alone.
    """

    def __init__(self, report: Callable[[str, str], None]) -> None:
        self._report = report
        self._buffer = bytearray()
        self._expecting = False
        self._reader: Generator[None, None, None] | None = self._read()

    def feed(self, data: bytes) -> None:
        """Read the next bytes from the client."""
        if self._reader is None:
            return
        self._buffer += data
        try:
            next(self._reader)
        except StopIteration:
            self._reader = None
            self._buffer.clear()

    def answered(self, data: bytes) -> None:
        """Note that the server sent `data`.

        A client that asked `Expect: 100-continue` and got a refusal never sends its body.
        """
        if self._expecting and data.startswith(b"HTTP/1."):
            if data[9:12] != b"100" and not self._buffer:
                self._restart()
            self._expecting = False

    def _restart(self) -> None:
        self._expecting = False
        self._reader = self._read()
        self._buffer.clear()

    def _read(self) -> Generator[None, None, None]:
        """Read requests one after another; end when this is no HTTP."""
        while True:
            head = yield from self._read_head()
            if head is None:
                return
            line, *lines = head.split(b"\r\n")
            found = _REQUEST_LINE.fullmatch(line)
            if found is None:
                return
            pairs = [field.partition(b":") for field in lines]
            headers = {name.strip().lower(): value.strip().lower() for name, _, value in pairs}
            self._expecting = headers.get(b"expect") == b"100-continue"
            self._report(found[1].decode("ascii"), found[2].decode("latin-1"))
            if b"chunked" in headers.get(b"transfer-encoding", b""):
                yield from self._skip_chunks()
            else:
                # An aws-chunked body is counted by its Content-Length like any other.
                yield from self._skip(int(headers.get(b"content-length", b"0")))
            self._expecting = False

    def _read_head(self) -> Generator[None, None, bytes | None]:
        while True:
            while self._buffer.startswith(b"\r\n"):
                del self._buffer[:2]
            line, newline, _ = self._buffer.partition(b"\r\n")
            if (newline and not _REQUEST_LINE.fullmatch(line)) or len(line) > _LONGEST_HEAD:
                return None
            end = self._buffer.find(b"\r\n\r\n")
            if end >= 0:
                head = bytes(self._buffer[:end])
                del self._buffer[: end + 4]
                return head
            yield

    def _skip(self, size: int) -> Generator[None, None, None]:
        while size > len(self._buffer):
            size -= len(self._buffer)
            self._buffer.clear()
            yield
        del self._buffer[:size]

    def _skip_chunks(self) -> Generator[None, None, None]:
        while True:
            line = yield from self._read_line()
            size = int(line.partition(b";")[0], 16)
            if size == 0:
                break
            yield from self._skip(size + 2)
        while (yield from self._read_line()):
            pass

    def _read_line(self) -> Generator[None, None, bytes]:
        while (end := self._buffer.find(b"\r\n")) < 0:
            yield
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line
