"""sweep_files as it is called: what it prints, its JSON, its arguments."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests.helpers import audit
from tests.helpers.audit import failing, hold, in_memory, put, run, summary, there
from tests.helpers.backends import folder, scratch

pytestmark = pytest.mark.django_db(databases=["default", "other"])

default = audit.default


def test_the_command_tells_and_deletes_nothing_by_itself(default: FSSpecStorage) -> None:
    put("a.txt", "b.txt", "c\u2028d.txt")
    hold("b.txt")
    text = run("default", "--min-age", "0")
    assert "default  orphan      a.txt  7\xa0bytes" in text
    assert "'c\\u2028d.txt'" in text
    assert "default: 3 objects, 21\xa0bytes\n  orphans: 2, 14\xa0bytes\n" in text
    assert "too young" not in text
    assert "  too young (--min-age 24 hours): 2\n" in run("default")
    assert "  too young (--min-age 0.5 hours): 2\n" in run("default", "--min-age", "0.5")
    assert len(there()) == 3
    assert "deleted: 2, 14\xa0bytes" in run("default", "--min-age", "0", "--delete")
    assert there() == ["b.txt"]


def test_a_folder_without_files(default: FSSpecStorage) -> None:
    put("a/a.txt", "b.txt")
    empty = "default: nothere/: no such folder, or nothing in it."
    assert empty in run("default", "--prefix", "nothere")
    assert "no such folder" not in run("default", "--prefix", "a")
    assert "no such folder" not in run("default", "--prefix", "a", "--exclude", "a")


def test_a_storage_that_can_t_delete_promises_nothing(default: FSSpecStorage) -> None:
    path = scratch() / f"{folder()}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "1234567")
    with override_storage(archive={"fs": "zip", "fs_options": {"fo": str(path)}}):
        text = run("archive", "--min-age", "0")
    assert "orphans: 1" in text
    assert "'archive' is read-only" in text
    assert "would delete" not in text


def test_long_lists_are_cut(default: FSSpecStorage) -> None:
    put(*(f"{n:03}.txt" for n in range(150)))
    assert run("default").count(".txt") == 100
    assert run("default", "-v", "2").count(".txt") == 150


def test_the_result_as_json(default: FSSpecStorage, tmp_path: Path) -> None:
    put("a.txt", "b.txt", "c.txt")
    hold("b.txt", "gone.txt")
    report = tmp_path / "report.jsonl"
    text, _ = failing("default", "--json", "--missing", "--report", str(report))
    assert summary(text) == {
        "objects": 3,
        "bytes": 21,
        "orphans": 2,
        "orphan_bytes": 14,
        "too_young": 2,
        "undated": 0,
        "deleted": 0,
        "deleted_bytes": 0,
        "failed": 0,
        "missing_rows": 1,
        "listed": True,
        "problem": None,
    }
    assert (json.loads(text)["delete"], json.loads(text)["min_age"]) == (False, 24)
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(line["kind"], line["name"]) for line in lines] == [
        ("orphan", "a.txt"),
        ("orphan", "c.txt"),
        ("missing", "gone.txt"),
    ]
    assert lines[0]["fate"] == "young"
    assert lines[2]["model"] == "library.Paper"
    deleted = summary(run("default", "--json", "--delete", "--min-age", "0"))
    assert (deleted["deleted"], deleted["deleted_bytes"]) == (2, 14)


def test_all_of_ours_are_swept(default: FSSpecStorage) -> None:
    others = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    with override_settings(STORAGES={**_settings(default), "plain": others}):
        assert list(json.loads(run("--json"))["aliases"]) == ["default"]
    with override_settings(STORAGES={"default": others}):
        assert failing() == ("STORAGES has no FSSpecStorage.", 2)


def _settings(storage: FSSpecStorage) -> dict[str, Any]:
    options = in_memory(storage.options.prefix)
    backend = f"{FSSpecStorage.__module__}.{FSSpecStorage.__name__}"
    return {"default": {"BACKEND": backend, "OPTIONS": options}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "'nope' is not in STORAGES"),
        (["staticfiles"], "not an FSSpecStorage"),
        (["default", "--database", "nope"], "'nope' is not in DATABASES"),
        (["default", "--prefix", "../x"], "has a '.' or '..' part"),
        (["default", "--min-age", "-1"], "--min-age"),
        (["default", "--min-age", "nan"], "--min-age"),
        (["default", "--report", "/no/such/folder/x"], "--report"),
        (["broken"], "STORAGES['broken']['OPTIONS']['fs']"),
        (["misspelled"], "STORAGES['misspelled']['OPTIONS']['prefx']"),
        (["archive", "--delete"], "'archive' is read-only"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(default: FSSpecStorage, arguments: list[str], message: str) -> None:
    archive = {"fs": "zip", "fs_options": {"fo": str(scratch() / "no.zip")}}
    with override_storage(
        default=in_memory(default.options.prefix),
        broken={"fs": "s4"},
        misspelled={"fs": "memory", "prefx": ""},
        archive=archive,
    ):
        text, status = failing(*arguments)
    assert message in text
    assert status == 2
