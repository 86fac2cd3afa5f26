"""The name index of sweep_files and refresh_files: folders that hold all names."""

from __future__ import annotations

import pytest

from django_fsspec.audit.name_index import NameIndex

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_folders_that_hold_all_names() -> None:
    with NameIndex() as index:
        index.add_referenced(0, [f"a/2024/{n % 3:02}/{n}.txt" for n in range(9)])
        assert index.folders(0, 1) == ["a/2024"]
        assert index.folders(0, 3) == ["a/2024/00", "a/2024/01", "a/2024/02"]
        index.add_referenced(0, ["a/2025/1.txt"])
        assert index.folders(0, 1) == ["a"]
        assert index.folders(0, 2) == ["a/2024", "a/2025"]
        index.add_referenced(0, ["a/1.txt"])
        assert index.folders(0, 9) == ["a"]
        index.add_referenced(0, ["1.txt"])
        assert index.folders(0, 9) == [""]
