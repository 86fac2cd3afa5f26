"""Archives with a name in very many folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_fsspec.storage import FSSpecStorage
from tests.helpers.backends import tar_bytes, zip_bytes


@pytest.mark.parametrize("fs", ["zip", "tar", "libarchive"])
@pytest.mark.parametrize("folders", [200, 30_000])
def test_one_deep_name_hides_no_other(tmp_path: Path, fs: str, folders: int) -> None:
    deep = "d/" * folders + "deep.txt"
    files = {deep: b"deep", "a/b/c.txt": b"content", "top.txt": b"top"}
    archive = tmp_path / "archive"
    archive.write_bytes((zip_bytes if fs == "zip" else tar_bytes)(files))
    more = {"compression": "gzip"} if fs == "tar" else {}
    storage = FSSpecStorage(fs=fs, fs_options={"fo": str(archive), **more})
    assert storage.get_content("a/b/c.txt") == b"content"
    directories, names = storage.listdir("")
    assert "a" in directories
    assert names == ["top.txt"]
    assert storage.listdir("a") == (["b"], [])
    # what lies too deep is left out, as unsafe names are
    assert storage.exists(deep) == (folders == 200)
    expected = {"a/b/c.txt", "top.txt", deep} if folders == 200 else {"a/b/c.txt", "top.txt"}
    assert {stat.name for stat in storage.walk()} == expected
