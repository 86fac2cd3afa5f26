"""FileObject as a value: nine keys of JSON, compared and pickled."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import (
    DefaultStorage,
    InvalidStorageError,
    Storage,
    storages,
)
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings

import django_fsspec
from django_fsspec import FileObject
from tests.helpers import file_objects
from tests.helpers.file_objects import ALL, DATA, NINE, broken, items, stored

aliases = file_objects.aliases


def test_json_is_advanced_alchemys() -> None:
    file = stored("s3")
    data = json.loads(json.dumps(file.to_dict()))
    assert sorted(data) == sorted(NINE)
    again = FileObject.from_dict(data)
    assert again == file
    assert again.to_dict() == data
    assert isinstance(data["last_modified"], float)
    theirs = dict.fromkeys(NINE) | {"filename": "a.txt", "backend": "memory"}
    read = FileObject.from_dict(theirs)
    assert (read.size, read.metadata, read.content_type) == (None, {}, "text/plain")


def test_json_that_is_not_ours_is_kept() -> None:
    odd = {
        "filename": "a",
        "backend": "memory",
        "size": "12",
        "colour": "red",
        "metadata": {"k": 1},
    }
    file = FileObject.from_dict(odd)
    assert file.size is None
    assert file.metadata == {"k": 1, "_extra": {"size": "12", "colour": "red"}}
    assert FileObject.from_dict(file.to_dict()).to_dict() == file.to_dict()
    assert FileObject.from_dict({"filename": "a", "backend": "b", "size": -1}).size is None
    nameless = FileObject.from_dict({"backend": "memory", "metadata": [1]})
    assert not nameless
    assert nameless.to_dict()["metadata"] == {"_extra": {"metadata": [1]}}
    with pytest.raises(ValueError, match="has no 'filename'"):
        nameless.read()
    with pytest.raises(ImproperlyConfigured, match="not in STORAGES"):
        FileObject.from_dict({"filename": "a"}).read()
    with pytest.raises(TypeError, match="list"):
        FileObject.from_dict([])  # type: ignore[arg-type]


def test_equality_and_hash() -> None:
    one, same = FileObject("memory", "a", size=1), FileObject("memory", "a", size=2)
    assert one == same
    assert len({one, same, FileObject("s3", "a"), FileObject("memory", "b")}) == 3
    assert one != "a"


def test_repr_tells_no_secret() -> None:
    assert repr(FileObject("s3", "a.txt", content=b"s")) == (
        "<FileObject 'a.txt' on 's3' (not saved)>"
    )
    assert repr(stored("s3", "b.txt")) == "<FileObject 'b.txt' on 's3'>"


@pytest.mark.parametrize("alias", ALL)
def test_pickle_and_deepcopy(alias: str, tmp_path: Path) -> None:
    file = stored(alias)
    file.open()
    for made in (pickle.loads(pickle.dumps(file)), copy.deepcopy(file), copy.copy(file)):
        assert (made, made.to_dict(), made.closed) == (file, file.to_dict(), True)
        assert made.get_content() == DATA
    assert copy.deepcopy(file).metadata is not file.metadata
    file.close()


def test_pickle_of_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(DATA)
    for content in (DATA, path, SimpleUploadedFile("a", DATA), [DATA]):
        made = pickle.loads(pickle.dumps(FileObject("memory", "a", content=content)))
        assert made.save().get_content() == DATA
    with open(path, "rb") as opened:
        for bad in (opened, broken(), items()):
            with pytest.raises(TypeError, match=r"save\(\) it first"):
                pickle.dumps(FileObject("memory", "a", content=bad))
        assert copy.deepcopy(FileObject("memory", "b", content=opened)).save().size == len(DATA)


def test_importing_needs_no_settings() -> None:
    code = "import django_fsspec as d; d.FileObject('s3', 'a.txt').to_dict(); print(d.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={}
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="nothing"):
        _ = django_fsspec.nothing


def test_a_name_can_be_assigned() -> None:
    file = FileObject("memory", "a.txt", content=b"x")
    file.name = "b.txt"
    assert (file.filename, file.name) == ("b.txt", "b.txt")
    file.save()
    assert FileObject("memory", "b.txt").get_content() == b"x"
    assert not FileObject("memory", "a.txt").exists()


def test_unsaved_content_has_no_error_of_a_row() -> None:
    file = FileObject("memory", "../a.txt", content=b"x")
    assert file.error is None
    with pytest.raises(SuspiciousFileOperation):
        file.save()
    assert "a.txt" in (FileObject("memory", "../a.txt").error or "")


class Bare(Storage):
    """A storage that Django can't deconstruct, as those of some packages are."""


def test_the_alias_of_a_storage_by_the_instance_alone() -> None:
    mine = {"BACKEND": f"{__name__}.Bare"}
    with override_settings(STORAGES={**settings.STORAGES, "mine": mine}):
        assert FileObject(storages["mine"], "a").backend == "mine"
        with pytest.raises(ValueError, match="This Bare is not in STORAGES"):
            FileObject(Bare(), "a")


def test_the_alias_of_a_lazy_storage_that_nobody_has_used() -> None:
    unused: Any = DefaultStorage()
    assert FileObject(unused, "a").backend == "default"


def test_an_alias_whose_storage_can_not_be_built() -> None:
    broken = {"BACKEND": "no.such.Storage"}
    with (
        override_settings(STORAGES={**settings.STORAGES, "broken": broken}),
        pytest.raises(InvalidStorageError, match=r"no\.such|No module named 'no'"),
    ):
        _ = FileObject("broken", "a").storage
