"""Large uploads lie on the disk already: stored on the same disk, they are not copied."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.test import override_settings

from django_fsspec.storage import FSSpecStorage
from tests.helpers.utils import numbered

DATA = numbered(3_000_000)
CHECKSUM = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def media(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "temporary").mkdir()
    with override_settings(FILE_UPLOAD_TEMP_DIR=str(tmp_path / "temporary")):
        yield tmp_path / "media"


def upload(data: bytes = DATA, kind: type[TemporaryUploadedFile] = TemporaryUploadedFile) -> Any:
    file = kind("a.bin", "application/octet-stream", len(data), None)
    file.write(data)
    return file


def inode(path: str) -> int:
    return os.stat(path).st_ino


def storage_at(media: Path, **options: Any) -> FSSpecStorage:
    return FSSpecStorage(fs="file", prefix=str(media), **options)


def names_under(media: Path) -> list[str]:
    """Return the names of all files, part files included."""
    return sorted(path.name for path in media.rglob("*") if path.is_file())


@pytest.mark.parametrize("size", [len(DATA), 100], ids=["large", "small"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_an_upload_is_linked(media: Path, overwrite: bool, size: int) -> None:
    storage = storage_at(media, allow_overwrite=overwrite, file_permissions_mode=0o640)
    data = DATA[:size]
    file = upload(data)
    temporary = file.temporary_file_path()
    stat = storage.store("deep/a.bin", file)
    path = storage.path(stat.name)
    assert inode(path) == inode(temporary)
    assert (stat.size, stat.checksum) == (size, f"sha256:{hashlib.sha256(data).hexdigest()}")
    assert os.stat(path).st_mode & 0o777 == 0o640
    file.close()
    assert not os.path.exists(temporary)
    assert storage.get_content(stat.name) == data
    assert names_under(media) == ["a.bin"]
    with upload(data[::-1]) as other:
        again = asyncio.run(storage.astore("deep/a.bin", other))
    assert (again.name == stat.name) == overwrite
    assert storage.get_content(again.name) == data[::-1]
    assert len(names_under(media)) == (1 if overwrite else 2)


def test_an_upload_stored_twice_is_two_files(media: Path) -> None:
    storage = storage_at(media)
    with upload() as file:
        first, second = storage.save("a.bin", file), storage.save("a.bin", file)
    paths = storage.path(first), storage.path(second)
    assert inode(paths[0]) != inode(paths[1])
    assert storage.get_content(first) == storage.get_content(second) == DATA


def test_an_upload_is_not_read_without_a_checksum(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with upload() as file:
        monkeypatch.setattr(file.file, "read", lambda *_: pytest.fail("read"))
        stat = storage_at(media, checksum=None).store("a.bin", file)
    assert (stat.size, stat.checksum) == (len(DATA), None)


class Encrypting(TemporaryUploadedFile):
    file: Any

    def read(self, *args: Any) -> bytes:
        plain: bytes = self.file.read(*args)
        return plain[::-1]


class EncryptingChunks(TemporaryUploadedFile):
    file: Any

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        self.seek(0)
        yield self.file.read()[::-1]


@pytest.mark.parametrize("kind", [Encrypting, EncryptingChunks])
def test_an_upload_that_gives_other_bytes_is_copied(
    media: Path, kind: type[TemporaryUploadedFile]
) -> None:
    storage = storage_at(media)
    with upload(b"plain", kind) as file:
        assert storage.get_content(storage.save("a.bin", file)) == b"nialp"


def test_a_mode_by_umask_is_kept(media: Path) -> None:
    umask = os.umask(0o027)
    try:
        with override_settings(FILE_UPLOAD_PERMISSIONS=None), upload() as file:
            storage = storage_at(media)
            path = storage.path(storage.save("a.bin", file))
    finally:
        os.umask(umask)
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_an_upload_on_another_disk_is_copied(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link: Callable[..., None] = os.link
    storage = storage_at(media)
    with upload() as file:

        def far(source: str, *args: Any, **kwargs: Any) -> None:
            if source == file.temporary_file_path():
                raise OSError(errno.EXDEV, "another disk")
            link(source, *args, **kwargs)

        monkeypatch.setattr(os, "link", far)
        stat = storage.store("new/a.bin", file)
        assert inode(storage.path(stat.name)) != inode(file.temporary_file_path())
    assert stat.checksum == CHECKSUM
    assert storage.get_content(stat.name) == DATA
    assert names_under(media) == ["a.bin"]


def test_an_upload_of_another_user_is_copied(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chmod: Callable[..., None] = os.chmod
    storage = storage_at(media)
    with upload() as file:
        temporary = file.temporary_file_path()

        def refused(path: str, *args: Any, **kwargs: Any) -> None:
            if os.path.samefile(path, temporary):
                raise PermissionError(errno.EPERM, "not its owner")
            chmod(path, *args, **kwargs)

        monkeypatch.setattr(os, "chmod", refused)
        stat = storage.store("new/a.bin", file)
        assert inode(storage.path(stat.name)) != inode(temporary)
    assert stat.checksum == CHECKSUM
    assert storage.get_content(stat.name) == DATA
    assert names_under(media) == ["a.bin"]


class BehindLink(TemporaryUploadedFile):
    """An upload whose path is a symbolic link to its temporary file."""

    file: Any

    def temporary_file_path(self) -> str:
        link = f"{self.file.name}.link"
        if not os.path.islink(link):
            os.symlink(self.file.name, link)
        return link


@pytest.mark.parametrize("overwrite", [True, False])
def test_an_upload_behind_a_link_is_a_file(media: Path, overwrite: bool) -> None:
    storage = storage_at(media, allow_overwrite=overwrite)
    with upload(b"plain", BehindLink) as file:
        name = storage.save("a.bin", file)
    assert not os.path.islink(storage.path(name))
    assert storage.get_content(name) == b"plain"


def test_an_upload_that_can_not_be_read_leaves_nothing(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: int) -> bytes:
        raise ZeroDivisionError

    with upload() as file:
        monkeypatch.setattr(file.file, "read", fail)
        with pytest.raises(ZeroDivisionError):
            storage_at(media).store("a.bin", file)
    assert names_under(media) == []
