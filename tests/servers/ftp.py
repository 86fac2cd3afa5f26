"""A server that speaks FTP."""

from __future__ import annotations

import ftplib
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .base import MissingServer, Server
from .module import ModuleServer
from .ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class PyFTP(Server):
    """pyftpdlib over a folder."""

    user = "u"
    password = "p"

    @property
    def url(self) -> str:
        """The address clients talk to."""
        return f"ftp://{HOST}:{self.port}"

    @property
    def root(self) -> Path:
        """The folder that is served."""
        return self.directory / "data"

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("ftp", ...)`."""
        return {
            "host": HOST,
            "port": self.port,
            "username": self.user,
            "password": self.password,
        }

    def client(self) -> ftplib.FTP:
        """Return a client of the standard library, logged in."""
        client = ftplib.FTP()
        client.connect(HOST, self.port, timeout=5)
        client.login(self.user, self.password)
        return client

    def _prepare(self) -> None:
        self.root.mkdir(exist_ok=True)

    def _command(self) -> Sequence[str]:
        if find_spec("pyftpdlib") is None:
            raise MissingServer("pyftpdlib was not found: pip install pyftpdlib")
        return [
            *(sys.executable, "-m", "pyftpdlib", "-i", HOST, "-p", str(self.port), "-w"),
            *("-d", str(self.root), "-u", self.user, "-P", self.password),
        ]

    def _answers(self) -> bool:
        with self.client():
            return True


class OldFTP(ModuleServer, PyFTP):
    """pyftpdlib over a folder, as a server that has no MLST and no MLSD."""

    module = "ftp_process"

    def _command(self) -> Sequence[str]:
        return [*super()._command(), str(self.root), self.user, self.password]
