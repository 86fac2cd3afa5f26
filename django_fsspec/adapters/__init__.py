"""Adapters: one set of verbs for each family of fsspec filesystems.

This module is the registry: which adapter serves which filesystem. Adapters are named by dotted
path and imported when first needed, so that a site imports no client library that it does not
use. A third party adds its own adapter with :func:`register`.
"""

from __future__ import annotations

from typing import Any

from django.utils.module_loading import import_string

from .base import Adapter

_HERE = __name__

#: protocol, or dotted path of a filesystem class -> dotted path of its adapter class
_table: dict[str, str] = {
    **dict.fromkeys(("s3", "s3a"), f"{_HERE}.s3.adapter.S3Adapter"),
    **dict.fromkeys(("gs", "gcs"), f"{_HERE}.gcs.adapter.GCSAdapter"),
    **dict.fromkeys(("abfs", "az", "abfss"), f"{_HERE}.azure.adapter.AzureAdapter"),
    **dict.fromkeys(("file", "local"), f"{_HERE}.local.LocalAdapter"),
    "memory": f"{_HERE}.memory.MemoryAdapter",
    # two filesystems claim these protocols: the class decides
    "fsspec.implementations.sftp.SFTPFileSystem": f"{_HERE}.sftp.paramiko_adapter.ParamikoAdapter",
    **dict.fromkeys(("sftp", "ssh"), f"{_HERE}.sftp.asyncssh_adapter.SSHFSAdapter"),
    **dict.fromkeys(("ftp", "ftps"), f"{_HERE}.ftp.adapter.FTPAdapter"),
    **dict.fromkeys(("webdav", "dav"), f"{_HERE}.webdav.adapter.WebDAVAdapter"),
    **dict.fromkeys(("http", "https"), f"{_HERE}.http.HTTPAdapter"),
    "github": f"{_HERE}.github.GitHubAdapter",
    "dropbox": f"{_HERE}.dropbox.DropboxAdapter",
    # it claims no protocol of its own
    "dropboxdrivefs.core.DropboxDriveFileSystem": f"{_HERE}.dropbox.DropboxAdapter",
    **dict.fromkeys(("zip", "tar", "libarchive"), f"{_HERE}.archive.ArchiveAdapter"),
    **dict.fromkeys(
        ("filecache", "simplecache", "blockcache", "cached"), f"{_HERE}.cache.adapter.CacheAdapter"
    ),
}


def register(filesystem: str, adapter: str) -> None:
    """Use the adapter class at dotted path `adapter` for a filesystem.

    `filesystem` is a protocol, or the dotted path of a filesystem class, which goes first and
    covers its subclasses.
    """
    _table[filesystem] = adapter


def is_registered(*filesystems: str) -> bool:
    """Return whether a third party has an adapter for one of these protocols or classes."""
    return any(not _table.get(name, _HERE).startswith(_HERE) for name in filesystems)


def adapter_path(filesystem: type[Any]) -> str:
    """Return the dotted path of the adapter for a filesystem class.

    A filesystem that is not registered gets ``BlockingAdapter``, or ``LoopedAdapter`` when it is
    async.
    """
    for base in filesystem.__mro__:
        path = _table.get(f"{base.__module__}.{base.__qualname__}")
        if path:
            return path
    for protocol in protocols_of(filesystem):
        if protocol in _table:
            return _table[protocol]
    if getattr(filesystem, "async_impl", False):
        return f"{_HERE}.asynchronous.LoopedAdapter"
    return f"{_HERE}.blocking.BlockingAdapter"


def adapter_class(filesystem: type[Any]) -> type[Adapter]:
    """Import and return the adapter class for a filesystem class.

    Raises ``ImportError`` when the registered path names no class.
    """
    adapter: type[Adapter] = import_string(adapter_path(filesystem))
    return adapter


def protocols_of(filesystem: type[Any]) -> tuple[str, ...]:
    """Return the protocols that a filesystem class claims."""
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
