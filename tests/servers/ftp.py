"""A server that speaks FTP."""

from __future__ import annotations

import ftplib
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from .base import MissingServer, Server
from .certificates import self_signed
from .module import ModuleServer
from .ports import HOST, accepts

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


class OtherFTP(ModuleServer, PyFTP):
    """pyftpdlib over a folder, with options of ours."""

    module = "ftp_process"
    options: ClassVar[tuple[str, ...]] = ()

    def _command(self) -> Sequence[str]:
        return [*super()._command(), str(self.root), self.user, self.password, *self.options]


class OldFTP(OtherFTP):
    """A server that has no MLST and no MLSD."""

    options = ("--without", "MLST", "MLSD")


class LinkTellingFTP(OtherFTP):
    """A server that tells which entries are links, as pure-ftpd does."""

    options = ("--own-types",)


class TwoUsersFTP(OtherFTP):
    """A server with two users, each with a folder of its own."""

    second = "v"

    @property
    def second_root(self) -> Path:
        """The folder of the second user."""
        return self.directory / "second"

    def _prepare(self) -> None:
        super()._prepare()
        self.second_root.mkdir(exist_ok=True)

    def _command(self) -> Sequence[str]:
        return [*super()._command(), "--second", self.second, str(self.second_root)]


class BehindFTP(OtherFTP):
    """A server whose clock is two days behind."""

    options = ("--seconds=-172800",)


class AheadFTP(OtherFTP):
    """A server whose clock is two days ahead."""

    options = ("--seconds=172800",)


class DeletingFTP(OtherFTP):
    """A server whose user may list, read and delete, and not store."""

    options = ("--perm=elrd",)


class FoldingFTP(OtherFTP):
    """A server that finds a file under its name in other case, or in another Unicode form."""

    options = ("--folding",)


class DecomposingFTP(OtherFTP):
    """A server that stores names with their accents as characters of their own (NFD)."""

    options = ("--folding", "--decomposing")


class FTPS(ModuleServer, PyFTP):
    """FTP with TLS, whose self-signed certificate is in ``pem``; data must be private."""

    module = "ftps_process"
    tls: ClassVar[bool | str] = True

    @property
    def pem(self) -> Path:
        """The file with the certificate."""
        return self.directory / "server.pem"

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("ftp", ...)`."""
        return {**super().fs_options, "tls": self.tls}

    def _prepare(self) -> None:
        super()._prepare()
        if not self.pem.exists():
            self_signed(self.directory)

    def _command(self) -> Sequence[str]:
        places = str(self.root), self.user, self.password, str(self.pem)
        return [*super()._command(), *places]

    def _answers(self) -> bool:
        return accepts(self.port)


class ImplicitFTPS(FTPS):
    """FTP inside TLS from the first byte."""

    tls = "tls"

    def _command(self) -> Sequence[str]:
        return [*super()._command(), "--implicit"]
