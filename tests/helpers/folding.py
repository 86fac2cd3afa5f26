"""Storages that take names which differ in case, or in Unicode form, for one name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests import servers
from tests.helpers.backends import _dropbox, folder, server


def webdav() -> dict[str, Any]:
    options = server(servers.FoldingWebDAV).fs_options
    return {"fs": "webdav", "prefix": folder(), "fs_options": options}


def sftp() -> dict[str, Any]:
    ssh = server(servers.FoldingSFTP)
    return {"fs": "sftp", "prefix": f"/{folder()}", "fs_options": ssh.fs_options}


def ftp() -> dict[str, Any]:
    options = server(servers.FoldingFTP).fs_options
    return {"fs": "ftp", "prefix": folder(), "fs_options": options}


def dropbox() -> dict[str, Any]:
    """Return the OPTIONS of a storage that folds case, and no Unicode form."""
    return _dropbox(folder())


FOLDING: dict[str, Callable[[], dict[str, Any]]] = {
    "webdav": webdav,
    "sftp": sftp,
    "ftp": ftp,
    "dropbox": dropbox,
}
#: names that are one where case is folded, and where Unicode form is
TWINS = ("Photo.jpg", "photo.jpg")
FORMS = ("caf\u00e9/1.txt", "cafe\u0301/1.txt")
