"""The local disk under somebody who puts other things in the place of files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from django_fsspec.adapters import local
from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests.helpers.neighbours import as_neighbour

READS: dict[str, Callable[[FSSpecStorage], object]] = {
    "open": lambda storage: storage.open("a.bin"),
    "get_content": lambda storage: storage.get_content("a.bin"),
    "stream": lambda storage: list(storage.stream("a.bin")),
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_fifo_planted_between_look_and_opening_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[FSSpecStorage], object]
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    look = local._regular

    def planted(name: str) -> os.stat_result:
        result = look(name)
        path.unlink()
        os.mkfifo(path)
        return result

    monkeypatch.setattr(local, "_regular", planted)
    with override_storage(media={"fs": "file", "prefix": str(tmp_path)}):
        storage = storages["media"]
        assert isinstance(storage, FSSpecStorage)
        with pytest.raises(FileNotFoundError):
            read(storage)


@pytest.mark.skipif(os.geteuid() != 0, reason="this user may be the owner of the folder")
def test_a_folder_that_may_not_be_changed_is_no_matter_of_credentials() -> None:
    def save() -> str:
        return FSSpecStorage(fs="file", prefix="/new/media").save("a.txt", ContentFile(b"x"))

    with pytest.raises(PermissionError) as caught:
        as_neighbour(save)
    assert "Permission denied for '/new': give it to the user of this process" in str(caught.value)
    assert "credentials" not in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_a_folder_that_can_not_be_made_is_no_missing_file() -> None:
    storage = FSSpecStorage(fs="file", prefix="/proc/media")
    with pytest.raises(StorageError, match="The folder '/proc/media' can't be made"):
        storage.save("a.txt", ContentFile(b"x"))
