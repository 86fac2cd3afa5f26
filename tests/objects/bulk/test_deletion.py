"""Stored files are deleted by alias and name; what is left is logged and returned."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.files.storage import storages

from django_fsspec import FileObject, save_files
from django_fsspec.objects import deletion
from django_fsspec.storage import FSSpecStorage
from tests.objects.bulk.saving import KINDS, stored, waiting


def test_discard() -> None:
    files = [file for alias in KINDS for file in save_files(waiting(alias, 5))]
    refs = [(file.backend, file.filename) for file in files]
    assert deletion.discard([*files[::2], *refs[1::2], ("s3", "missing")]) == []
    assert [stored(alias) for alias in KINDS] == [[]] * len(KINDS)
    assert deletion.discard([]) == []
    assert asyncio.run(deletion.adiscard(iter(refs))) == []


def test_discard_returns_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    sticky = save_files(
        FileObject("sticky", name, content=b"x") for name in ("a", "sticky-b", "c", "sticky-d")
    )
    left = [("sticky", file.name) for file in sticky if "sticky" in file.name]
    assert sorted(deletion.discard(sticky)) == sorted(left)
    assert deletion.discard([("nowhere", "x"), ("memory", "../x")]) == [
        ("nowhere", "x"),
        ("memory", "../x"),
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    storage = storages["sticky"]
    assert isinstance(storage, FSSpecStorage)
    with pytest.raises(OSError, match="2 of 3") as told:
        storage.delete_many(["gone", *(name for _, name in left)])
    assert sorted(told.value.names) == sorted(name for _, name in left)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "way",
    [deletion.discard, lambda refs: asyncio.run(deletion.adiscard(refs))],
    ids=["sync", "async"],
)
def test_a_refused_name_keeps_no_other_file(way: Any, caplog: pytest.LogCaptureFixture) -> None:
    refused = ["../x", "", "a/../../b", "nul\0"]
    files = [file for alias in KINDS for file in save_files(waiting(alias, 2))]
    refs = [(file.backend, file.filename) for file in files]
    refs = [*refs[::2], *((alias, name) for alias in KINDS for name in refused), *refs[1::2]]
    left = way(refs)
    assert [stored(alias) for alias in KINDS] == [[]] * len(KINDS)
    assert {("s3", name) for name in refused} <= set(left)
    assert not set(left) & {(file.backend, file.filename) for file in files}
    (message,) = [text for text in caplog.messages if "'s3'" in text]
    assert message.endswith(
        "(SuspiciousFileOperation): '../x', '', 'a/../../b', 'nul\\x00'. "
        "Find unreferenced files with `manage.py sweep_files`."
    )
