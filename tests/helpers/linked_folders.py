"""Folders on real disks and servers, with links, FIFOs and sockets in them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import _paramiko, _sftp, folder, scratch, server


@dataclass(frozen=True)
class Disk:
    """A filesystem under test. `options` and `root` are of a folder's name."""

    name: str
    options: Callable[[str], dict[str, Any]]
    root: Callable[[str], Path]

    def __str__(self) -> str:
        return self.name


def _on_scratch(**options: Any) -> Callable[[str], dict[str, Any]]:
    return lambda name: {"prefix": str(scratch() / name), **options}


def _cached(name: str) -> dict[str, Any]:
    cache = {"cache_storage": str(scratch() / f"{name}-cache")}
    return _on_scratch(fs="filecache::file", fs_options={"filecache": cache})(name)


def _ftp(kind: type[servers.PyFTP]) -> Disk:
    return Disk(
        kind.__name__,
        lambda name: {"fs": "ftp", "prefix": name, "fs_options": server(kind).fs_options},
        lambda name: server(kind).root / name,
    )


def _on_ssh(name: str) -> Path:
    return server(servers.OpenSSH).root / name


LOCAL = Disk("local", _on_scratch(fs="file"), lambda name: scratch() / name)
DISKS = [
    LOCAL,
    Disk("local by its class", _on_scratch(fs=LocalFileSystem), lambda name: scratch() / name),
    Disk("a cache of the disk", _cached, lambda name: scratch() / name),
    Disk("asyncssh", _sftp(servers.OpenSSH), _on_ssh),
    Disk("paramiko", _paramiko(servers.OpenSSH), _on_ssh),
    _ftp(servers.PyFTP),
    _ftp(servers.OldFTP),
    _ftp(servers.LinkTellingFTP),
]


class Linked:
    """A storage, and the folder on the disk that it stores files in."""

    def __init__(self, disk: Disk) -> None:
        name = folder()
        self.options = {**disk.options(name), "timeout": 5, "retries": 0}
        self.storage = FSSpecStorage(**self.options)
        self.root = disk.root(name)
        self.root.mkdir(parents=True)
        #: a folder beside the storage's own, on the same server
        self.outside = disk.root(f"{name}-outside")
        self.outside.mkdir()

    def put(self, *names: str) -> None:
        """Make files by other means than the storage, each with content of its own."""
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n")

    def link(self, name: str, target: str | Path) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def make_special_files(self, at: str = "") -> list[str]:
        """Make a FIFO and a socket; return their names."""
        (self.root / at).mkdir(parents=True, exist_ok=True)
        os.mkfifo(self.root / at / "fifo")
        with socket.socket(socket.AF_UNIX) as unix:
            here = Path.cwd()
            try:
                os.chdir(self.root / at)  # the path of a socket is at most 108 bytes long
                unix.bind("socket")
            finally:
                os.chdir(here)
        return [f"{at}/{name}" if at else name for name in ("fifo", "socket")]

    def files(self) -> list[str]:
        """Return the files on the disk, links and special files not followed."""
        return sorted(
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if path.is_file() and not path.is_symlink()
        )

    def walked(self, prefix: str = "") -> list[str]:
        return [stat.name for stat in self.storage.walk(prefix)]
