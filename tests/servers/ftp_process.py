"""An FTP server of before RFC 3659: it has no MLST and no MLSD, so that clients read LIST.

Run as a module: the port, the folder to serve, user and password.
"""

from __future__ import annotations

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

from .ports import HOST


class OldHandler(FTPHandler):  # type: ignore[misc]
    """Speaks FTP without machine-readable listings."""

    proto_cmds = {  # noqa: RUF012 - as in its parent
        command: description
        for command, description in FTPHandler.proto_cmds.items()
        if command not in ("MLST", "MLSD")
    }


def main() -> None:
    port, root, user, password = sys.argv[1:]
    OldHandler.authorizer = DummyAuthorizer()
    OldHandler.authorizer.add_user(user, password, root, perm="elradfmwMT")
    FTPServer((HOST, int(port)), OldHandler).serve_forever()


if __name__ == "__main__":
    main()
