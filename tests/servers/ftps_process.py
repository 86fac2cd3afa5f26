"""FTP behind TLS: pyftpdlib's own TLS needs pyOpenSSL, which nothing else here does.

Run as a module: the port, the folder, user, password, a PEM file, and ``--implicit``. It stands
in front of pyftpdlib and answers what is about TLS; file data that is not private is refused.
"""

from __future__ import annotations

import argparse
import contextlib
import queue
import re
import socket
import socketserver
import ssl
import threading
from pathlib import Path
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

from .certificates import server_context
from .ports import HOST

#: commands that move data
_TRANSFERS = (b"RETR", b"STOR", b"MLSD", b"LIST", b"NLST")


def pump(source: socket.socket, target: socket.socket) -> None:
    """Hand on bytes until there are no more."""
    while chunk := source.recv(1 << 16):
        target.sendall(chunk)


class Session(socketserver.BaseRequestHandler):
    """One control connection."""

    context: ssl.SSLContext
    behind: int
    implicit: bool

    def handle(self) -> None:
        self.private = False
        self.transfers: queue.Queue[bytes] = queue.Queue()
        sock = self.request
        if self.implicit:
            sock = self.context.wrap_socket(sock, server_side=True)
        inner = socket.create_connection((HOST, self.behind))
        self.answers = inner.makefile("rb")
        self.inner = inner
        self._say(sock, self._answer())
        lines = sock.makefile("rb")
        with contextlib.suppress(OSError):
            while line := lines.readline():
                verb = line[:4].strip().upper()
                if verb == b"AUTH" and not isinstance(sock, ssl.SSLSocket):
                    self._say(sock, b"234 TLS now.\r\n")
                    sock = self.context.wrap_socket(sock, server_side=True)
                    lines = sock.makefile("rb")
                else:
                    answer = self._answered(verb, line, sock)
                    self._say(sock, answer)
                    if verb in _TRANSFERS and answer.startswith(b"1"):
                        self._say(sock, self._answer())
        inner.close()
        sock.close()

    def _say(self, sock: socket.socket, answer: bytes) -> None:
        sock.sendall(answer)

    def _answered(self, verb: bytes, line: bytes, sock: socket.socket) -> bytes:
        if not isinstance(sock, ssl.SSLSocket) and verb in (b"USER", b"PASS"):
            return b"550 Not without TLS.\r\n"
        if verb == b"PBSZ":
            return b"200 PBSZ=0\r\n"
        if verb == b"PROT":
            self.private = line.strip().endswith(b"P")
            return b"200 Protection set.\r\n"
        if verb == b"PASV" and not self.private:
            return b"521 Only private data.\r\n"
        if verb in _TRANSFERS:
            self.transfers.put(verb)
        self.inner.sendall(line)
        answer = self._answer()
        return self._passive(answer) if verb == b"PASV" and answer[:3] == b"227" else answer

    def _answer(self) -> bytes:
        answer = self.answers.readline()
        code = answer[:3]
        while answer[3:4] == b"-" and not re.search(rb"(?m)^%s " % code, answer):
            answer += self.answers.readline()
        return answer

    def _passive(self, answer: bytes) -> bytes:
        """Listen in place of the server behind; return the answer that says where."""
        numbers = re.findall(rb"\d+", answer[4:])
        port = int(numbers[-2]) * 256 + int(numbers[-1])
        listener = socket.create_server((HOST, 0))
        threading.Thread(target=self._relay, args=(listener, port), daemon=True).start()
        own = listener.getsockname()[1]
        address = ",".join([*HOST.split("."), str(own // 256), str(own % 256)])
        return f"227 Entering passive mode ({address}).\r\n".encode()

    def _relay(self, listener: socket.socket, port: int) -> None:
        with contextlib.suppress(OSError), listener:
            inner = socket.create_connection((HOST, port))
            raw, _ = listener.accept()
            with inner, raw:
                upload = self.transfers.get() == b"STOR"
                outer = self.context.wrap_socket(raw, server_side=True)
                with outer:
                    pump(outer, inner) if upload else pump(inner, outer)
                    inner.shutdown(socket.SHUT_WR)
                    outer.settimeout(2)
                    outer.unwrap().close()


class Gateway(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us hangs up."""


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("port", "root", "user", "password", "pem"):
        parser.add_argument(name)
    parser.add_argument("--implicit", action="store_true")
    options = parser.parse_args()
    FTPHandler.authorizer = DummyAuthorizer()
    FTPHandler.authorizer.add_user(options.user, options.password, options.root, perm="elradfmwMT")
    behind = FTPServer((HOST, 0), FTPHandler)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    Session.behind = behind.socket.getsockname()[1]
    Session.context = server_context(Path(options.pem))
    Session.implicit = options.implicit
    Gateway((HOST, int(options.port)), Session).serve_forever()


if __name__ == "__main__":
    main()
