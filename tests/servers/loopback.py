"""What the HTTP servers written here have in common."""

from __future__ import annotations

import http.server
import json
import re
import sys
from typing import Any

from .ports import HOST


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with JSON, or with bytes of which a range may be asked."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def body(self) -> bytes:
        """Return what the client sent."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send_json(self, value: Any, status: int = 200, **headers: str) -> None:
        """Answer with JSON."""
        self._send(json.dumps(value).encode(), status, "application/json", headers)

    def send_text(self, text: str, status: int) -> None:
        """Answer with plain text, as for a request that is malformed."""
        self._send(text.encode(), status, "text/plain; charset=utf-8", {})

    def send_bytes(self, data: bytes, **headers: str) -> None:
        """Answer with bytes, or with the range of them that the client asked for."""
        headers["Accept-Ranges"] = "bytes"
        start, end, status = self._range(len(data))
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        elif status == 416:
            headers["Content-Range"] = f"bytes */{len(data)}"
        self._send(data[start:end], status, "application/octet-stream", headers)

    def _range(self, size: int) -> tuple[int, int, int]:
        """Return start, end and status for the Range header, if there is one we know."""
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        if found is None or found[0] == "bytes=-":
            return 0, size, 200
        if not found[1]:
            return max(0, size - int(found[2])), size, 206
        start = int(found[1])
        end = min(size, int(found[2]) + 1) if found[2] else size
        return (start, end, 206) if start < end else (0, 0, 416)

    def _send(self, data: bytes, status: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write to the log, without looking up names."""
        sys.stderr.write(f"{format % args}\n")


class LoopbackServer(http.server.ThreadingHTTPServer):
    """Listens on the loopback address alone."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, handler: type[Handler]) -> None:
        super().__init__((HOST, port), handler)
