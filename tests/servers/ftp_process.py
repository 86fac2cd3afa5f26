"""An FTP server unlike others: of before RFC 3659, with another clock, or for some users only.

Run as a module: the port, the folder to serve, user, password, and options.
"""

from __future__ import annotations

import argparse
import os
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

from .ports import HOST


class OtherFS(AbstractedFS):  # type: ignore[misc]
    """Tells times as a machine does whose clock is `seconds` ahead.

    With `own_types`, it tells of links and FIFOs as pure-ftpd does. With `folding`, names that
    differ in case or Unicode form are one; with `decomposing`, names are stored in NFD.
    """

    seconds = 0
    own_types = False
    folding = False
    decomposing = False

    def ftp2fs(self, ftppath: str) -> str:
        path = str(super().ftp2fs(ftppath))
        if self.decomposing:
            path = unicodedata.normalize("NFD", path)
        return self._there(path) if self.folding else path

    def _there(self, path: str) -> str:
        """Return the path of what is there under the names of `path`, as far as it is there."""
        found = self.root
        for label in filter(None, os.path.relpath(path, self.root).split(os.sep)):
            try:
                labels = os.listdir(found)
            except OSError:
                labels = []
            alike = [other for other in labels if _folded(other) == _folded(label)]
            found = os.path.normpath(os.path.join(found, *alike[:1] or [label]))
        return str(found)

    def stat(self, path: str) -> os.stat_result:
        return self._shifted(super().stat(path))

    def lstat(self, path: str) -> os.stat_result:
        return self._shifted(super().lstat(path))

    def getmtime(self, path: str) -> float:
        return float(super().getmtime(path)) + self.seconds

    def format_mlsx(
        self, basedir: str, listing: list[str], *args: Any, **kwargs: Any
    ) -> Iterator[bytes]:
        for name in listing:
            for line in super().format_mlsx(basedir, [name], *args, **kwargs):
                yield self._typed(os.path.join(basedir, name), line)

    def _typed(self, path: str, line: bytes) -> bytes:
        if self.own_types and self.islink(path):
            return re.sub(rb"type=\w+", b"type=OS.unix=slink:", line)
        if self.own_types and not (self.isfile(path) or self.isdir(path)):
            return re.sub(rb"type=\w+", b"type=unknown", line)
        return line

    def _shifted(self, result: os.stat_result) -> os.stat_result:
        values = list(result[:10])
        values[8] += self.seconds
        return os.stat_result(values)


def _folded(label: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", label).casefold())


class Handler(FTPHandler):  # type: ignore[misc]
    """Speaks FTP, with machine-readable listings or without."""

    abstracted_fs = OtherFS
    #: seconds before a wrong password is answered
    auth_failed_timeout = 0


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("port", "root", "user", "password"):
        parser.add_argument(name)
    parser.add_argument("--without", nargs="*", default=(), help="commands that are not known")
    parser.add_argument("--seconds", type=int, default=0, help="how far the clock is ahead")
    parser.add_argument("--own-types", action="store_true", help="types as pure-ftpd has them")
    parser.add_argument("--folding", action="store_true", help="names are found as on Windows")
    parser.add_argument("--decomposing", action="store_true", help="names are stored in NFD")
    parser.add_argument("--perm", default="elradfmwMT", help="what the user may do")
    parser.add_argument("--second", nargs=2, help="another user, and the folder that it has")
    options = parser.parse_args()
    OtherFS.seconds, OtherFS.own_types = options.seconds, options.own_types
    OtherFS.folding, OtherFS.decomposing = options.folding, options.decomposing
    Handler.proto_cmds = {
        command: description
        for command, description in FTPHandler.proto_cmds.items()
        if command not in options.without
    }
    Handler.authorizer = DummyAuthorizer()
    Handler.authorizer.add_user(options.user, options.password, options.root, perm=options.perm)
    if options.second:
        user, root = options.second
        Handler.authorizer.add_user(user, options.password, root, perm=options.perm)
    FTPServer((HOST, int(options.port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
