"""An FTP server unlike others: of before RFC 3659, with another clock, or for some users only.

Run as a module: the port, the folder to serve, user, password, and options.
"""

from __future__ import annotations

import argparse
import os

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

from .ports import HOST


class ShiftedFS(AbstractedFS):  # type: ignore[misc]
    """Tells times as a machine does whose clock is `seconds` ahead."""

    seconds = 0

    def stat(self, path: str) -> os.stat_result:
        return self._shifted(super().stat(path))

    def lstat(self, path: str) -> os.stat_result:
        return self._shifted(super().lstat(path))

    def getmtime(self, path: str) -> float:
        return float(super().getmtime(path)) + self.seconds

    def _shifted(self, result: os.stat_result) -> os.stat_result:
        values = list(result[:10])
        values[8] += self.seconds
        return os.stat_result(values)


class Handler(FTPHandler):  # type: ignore[misc]
    """Speaks FTP, with machine-readable listings or without."""

    abstracted_fs = ShiftedFS


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("port", "root", "user", "password"):
        parser.add_argument(name)
    parser.add_argument("--without", nargs="*", default=(), help="commands that are not known")
    parser.add_argument("--seconds", type=int, default=0, help="how far the clock is ahead")
    parser.add_argument("--perm", default="elradfmwMT", help="what the user may do")
    options = parser.parse_args()
    ShiftedFS.seconds = options.seconds
    Handler.proto_cmds = {
        command: description
        for command, description in FTPHandler.proto_cmds.items()
        if command not in options.without
    }
    Handler.authorizer = DummyAuthorizer()
    Handler.authorizer.add_user(options.user, options.password, options.root, perm=options.perm)
    FTPServer((HOST, int(options.port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
