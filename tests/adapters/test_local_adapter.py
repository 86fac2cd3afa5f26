"""The local disk under somebody who puts other things in the place of files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.storage import storages

from django_fsspec.adapters import local
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage

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
