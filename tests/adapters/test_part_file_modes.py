"""Nobody may read a file while it is written who may not read it in the end."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File

from django_fsspec.adapters.local import LocalAdapter
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server

CHUNK = 64 * 1024
OPEN_SSH = servers.OpenSSH


def _local(root: Path) -> dict[str, Any]:
    return {"fs": "file", "prefix": str(root)}


def _sshfs(root: Path) -> dict[str, Any]:
    return {"fs": "sftp", "prefix": str(root), "fs_options": server(OPEN_SSH).fs_options}


def _paramiko(root: Path) -> dict[str, Any]:
    ssh = server(OPEN_SSH)
    return {
        "fs": "fsspec.implementations.sftp.SFTPFileSystem",
        "prefix": str(root),
        "fs_options": {**ssh.paramiko_options, "known_hosts": str(ssh.known_hosts)},
    }


CLIENTS = {"local": _local, "sshfs": _sshfs, "paramiko": _paramiko}


class Watched(File):  # type: ignore[type-arg]
    """Content that looks at the part files between its pieces."""

    def __init__(self, root: Path) -> None:
        super().__init__(None, "content")
        self.root = root
        self.size = 40 * CHUNK
        self.modes: list[int] = []

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * CHUNK
            for path in self.root.rglob(".*"):
                self.modes.append(stat.S_IMODE(path.stat().st_mode))


@pytest.fixture(params=CLIENTS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    root = tmp_path if request.param == "local" else server(OPEN_SSH).root / folder()
    root.mkdir(exist_ok=True)

    def storage(**options: Any) -> FSSpecStorage:
        bounds = {"chunk_size": CHUNK, "max_concurrency": 1, **options}
        return FSSpecStorage(**CLIENTS[request.param](root), **bounds)

    storage.root = root  # type: ignore[attr-defined]
    # what others of the machine could read by default
    before = os.umask(0o022)
    yield storage
    os.umask(before)


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_part_file_has_the_mode_of_its_file(
    made: Any, overwrite: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # elsewhere than on Linux the disk has part files for new files too
    monkeypatch.setattr(LocalAdapter, "_unnamed", False)
    storage = made(file_permissions_mode=0o600, allow_overwrite=overwrite)
    if overwrite:
        storage.save("f.bin", ContentFile(b"before"))
    content = Watched(made.root)
    assert storage.save("f.bin", content) == "f.bin"
    assert content.modes
    assert {*content.modes} == {0o600}
    assert stat.S_IMODE((made.root / "f.bin").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o666])
def test_the_umask_does_not_change_the_mode_in_the_end(made: Any, mode: int) -> None:
    storage = made(file_permissions_mode=mode, directory_permissions_mode=0o775)
    storage.save("new/folder/f.bin", ContentFile(b"x"))
    assert stat.S_IMODE((made.root / "new/folder/f.bin").stat().st_mode) == mode
    assert stat.S_IMODE((made.root / "new").stat().st_mode) == 0o775


def test_an_async_save(made: Any) -> None:
    storage = made(file_permissions_mode=0o600, directory_permissions_mode=0o700)
    content = Watched(made.root)
    asyncio.run(storage.asave("new/f.bin", content))
    assert {*content.modes} <= {0o600}
    assert stat.S_IMODE((made.root / "new/f.bin").stat().st_mode) == 0o600
    assert stat.S_IMODE((made.root / "new").stat().st_mode) == 0o700
