"""migrate_files: every file moved, verified, its row swapped; nothing lost whatever happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from django_fsspec.rows import compare_and_swap as swapping
from django_fsspec.testing import override_storage
from django_fsspec.transfer.engine import Engine
from django_fsspec.transfer.journal import Journal
from django_fsspec.transfer.plan import columns
from tests.helpers import moved_files
from tests.helpers.moved_files import (
    PLACES,
    between,
    move,
    papers,
    there,
    there_names,
)
from tests.library.models import Attachment, Paper, Record, Shelf

pytestmark = pytest.mark.django_db(transaction=True)

memory = moved_files.memory


PAIRS = [
    ("local", "s3"),
    ("s3", "local"),
    ("s3", "gcs"),
    ("azure", "sftp"),
    ("s3", "s3"),
    ("local", "local"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("source", "target"), PAIRS, ids=map("-".join, PAIRS))
def test_files_move_with_their_rows(source: str, target: str) -> None:
    with between(source, target):
        papers(5)
        Paper.objects.create(title="none")
        big = bytes(range(256)) * 40_000
        large = Paper.objects.create(title="z", file=ContentFile(big, name="big.bin"))
        shelf = Shelf.objects.create(
            files=[ContentFile(b"s1", name="1 ä%.txt"), ContentFile(b"s2", name="2.txt")]
        )
        shelf.files.append(FileObject("second", "own.txt", content=b"own"))
        shelf.save()
        before = [paper.file for paper in Paper.objects.exclude(file=None).order_by("pk")]
        said = move("library.Paper", "library.Shelf.files")
        assert "moved                            8" in said
        for old, row in zip(before, Paper.objects.exclude(file=None).order_by("pk"), strict=True):
            assert (row.file.backend, row.file.name) == ("second", old.name)
            assert (row.file.size, row.file.checksum) == (old.size, old.checksum)
            assert row.file.original_name == old.original_name
            assert row.file.content_type == old.content_type
            assert row.file.verify()
        assert Paper.objects.get(pk=large.pk).file.get_content() == big
        files = Shelf.objects.get().files
        assert [(file.backend, file.get_content()) for file in files] == [
            ("second", b"s1"),
            ("second", b"s2"),
            ("second", b"own"),
        ]
        assert files[0].original_name == "1 ä%.txt"
        assert len(there_names("default")) == 8
        assert "0 rows" in move("library.Paper")


def test_a_dry_run_counts_and_touches_nothing(memory: None) -> None:
    papers(3)
    Shelf.objects.create(files=[ContentFile(b"12345", name="a"), ContentFile(b"1", name="b")])
    said = move("library", dry_run=True)
    assert "library.Paper.file: 3 rows, 6" in said
    assert "library.Shelf.files: 1 row, 2 files, 6" in said
    assert "library.Record.file: 0 rows" in said
    assert said.endswith("Dry run: nothing was copied.\n")
    assert there("second") == []
    assert Paper.objects.filter(file__backend="second").count() == 0


def test_the_source_goes_after_the_commit_and_only_what_no_row_holds(memory: None) -> None:
    made = papers(3)
    twin = Shelf.objects.create(files=[made[0].file.to_dict()])  # shared, as rows may be
    said = move("library.Paper", delete_source=True)
    assert "deleted in the source            2" in said
    assert there("default") == ["p0"]
    assert twin.files[0].get_content() == b"p0"
    assert there("second") == ["p0", "p1", "p2"]
    move("library.Shelf", delete_source=True)
    assert there("default") == []
    assert len(there("second")) == 3
    assert Shelf.objects.get().files[0].get_content() == b"p0"


def test_filters_and_limits(memory: None) -> None:
    papers(6)
    move("library.Paper", filter=["title=3"])
    assert there("second") == ["p3"]
    move("library.Paper", limit=2)
    assert there("second") == ["p0", "p1", "p3"]
    move("library.Paper", filter=["title__in=4"], limit=5)
    assert there("second") == ["p0", "p1", "p3", "p4"]


def test_failures_are_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    with between("memory", "local"):
        _fail_and_go_on(tmp_path)


def _fail_and_go_on(tmp_path: Path) -> None:
    made = papers(5)
    storages["default"].delete(made[1].file.name)
    with storages["default"].open(made[2].file.name, "wb") as file:
        file.write(b"XX")  # as long as before
    report = tmp_path / "report.jsonl"
    said = move("library.Paper", report=report, delete_source=True, expect=1)
    assert f"library.Paper.file {made[1].pk}: {made[1].file.name}: FileNotFoundError" in said
    assert f"{made[2].pk}: {made[2].file.name}: Mismatch" in said
    assert "failed                           2" in said
    assert there("second") == ["p0", "p3", "p4"]
    assert there("default") == ["XX"]
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted((line["pk"], line["status"]) for line in lines) == [
        (row.pk, "failed" if n in (1, 2) else "moved") for n, row in enumerate(made)
    ]
    assert Paper.objects.get(pk=made[2].pk).file.backend == "default"
    assert "failed                           2" in move("library.Paper", expect=1)


def test_a_row_with_one_bad_file_moves_the_others(memory: None) -> None:
    shelf = Shelf.objects.create(
        files=[ContentFile(f"{n}", name=f"{n}.txt") for n in range(3)],
    )
    storages["default"].delete(shelf.files[1].name)
    move("library.Shelf", expect=1)
    found = Shelf.objects.get().files
    assert [file.backend for file in found] == ["second", "default", "second"]
    assert found == [
        FileObject("second", shelf.files[0].name),
        shelf.files[1],
        FileObject("second", shelf.files[2].name),
    ]


def test_fail_fast(memory: None) -> None:
    made = papers(40)
    for paper in made:
        storages["default"].delete(paper.file.name)
    said = move("library.Paper", fail_fast=True, workers=1, batch_size=2, expect=1)
    failed = int(said.split("failed")[1].split()[0])
    assert 0 < failed < 40


@pytest.mark.parametrize("fail_fast", [True, False])
def test_a_run_without_failures_moves_all(memory: None, fail_fast: bool) -> None:
    papers(40)
    said = move("library.Paper", fail_fast=fail_fast, workers=1, batch_size=2)
    assert "moved                           40" in said


def test_a_name_that_is_taken_becomes_another(memory: None, tmp_path: Path) -> None:
    made = papers(2)
    storages["second"].save(made[0].file.name, ContentFile(b"somebody else's"))
    report = tmp_path / "report.jsonl"
    move("library.Paper", report=report)
    first, second = Paper.objects.order_by("pk")
    entries = {entry["pk"]: entry for entry in map(json.loads, report.read_text().splitlines())}
    assert entries[first.pk]["new_name"] == first.file.name
    assert "new_name" not in entries[second.pk]
    assert [entries[row.pk]["checksum"] for row in (first, second)] == [
        first.file.checksum,
        second.file.checksum,
    ]
    assert first.file.name != made[0].file.name
    assert (first.file.get_content(), second.file.get_content()) == (b"p0", b"p1")
    assert there("second") == ["p0", "p1", "somebody else's"]


def test_what_a_killed_run_left_is_taken_up(memory: None) -> None:
    made = papers(3)
    for paper in made[:2]:
        paper.file.copy_to("second")
    said = move("library.Paper")
    assert "moved                            1" in said
    assert "already in the target            2" in said
    assert there("second") == ["p0", "p1", "p2"]
    assert [row.file.verify() for row in Paper.objects.all()] == [True] * 3


@pytest.mark.parametrize("delete_source", [True, False])
def test_a_row_that_changes_meanwhile_keeps_its_value(
    memory: None, monkeypatch: pytest.MonkeyPatch, delete_source: bool
) -> None:
    made = papers(4)
    swap = swapping.swap

    def meanwhile(*args: Any) -> Any:
        replaced = Paper.objects.get(pk=made[0].pk)
        replaced.file = ContentFile(b"new", name="new.txt")
        replaced.save()
        Paper.objects.get(pk=made[1].pk).delete()
        noted = Paper.objects.get(pk=made[2].pk)
        noted.file.metadata["seen"] = True
        noted.save()
        return swap(*args)

    monkeypatch.setattr("django_fsspec.transfer.engine.swap", meanwhile)
    said = move("library.Paper", delete_source=delete_source)
    assert "row changed meanwhile            3" in said
    assert "moved                            1" in said
    # a row still holds the original of p2: its copy is for the next run
    assert there("second") == ["p2", "p3"]
    assert there("default") == ["new", "p2"] + ["p3"] * (not delete_source)
    assert Paper.objects.get(pk=made[0].pk).file.get_content() == b"new"
    assert Paper.objects.get(pk=made[2].pk).file.metadata["seen"] is True
    monkeypatch.undo()
    move("library.Paper")
    assert there("second") == ["new", "p2", "p3"]


def test_updates_are_few(memory: None) -> None:
    papers(50)
    with CaptureQueriesContext(connection) as queries:
        move("library.Paper")
    updates = [q for q in queries.captured_queries if q["sql"].startswith("UPDATE")]
    assert len(updates) == 1
    assert len(queries) < 15


def test_stopping_finishes_what_was_begun(memory: None) -> None:
    papers(60)
    engine = Engine("second", Journal(), workers=2, batch_size=5)
    chosen = columns(["library.Paper"], source="default")

    class Stopping(Journal):
        def add(self, entry: Any) -> None:
            super().add(entry)
            engine.stop()

    engine.journal = Stopping()
    engine.run(chosen)
    moved = Paper.objects.filter(file__backend="second").count()
    assert 0 < moved < 60
    assert len(there("second")) == moved
    engine = Engine("second", Journal())
    engine.run(chosen)
    assert Paper.objects.filter(file__backend="second").count() == 60


def test_other_primary_keys_and_callable_backends(memory: None) -> None:
    for n in range(5):
        Record.objects.create(file=ContentFile(f"r{n}", name="r.txt"))
    move("library.Record", batch_size=2)
    assert Record.objects.filter(file__backend="second").count() == 5
    assert there("second") == [f"r{n}" for n in range(5)]


# Django's own fields


@pytest.fixture(params=["ours", "Django's"])
def attachments(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    with between("memory", "s3"):
        disk = {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path)},
        }
        theirs = {"default": disk} if request.param != "ours" else {}
        with override_settings(STORAGES={**settings.STORAGES, **theirs}):
            for n in range(4):
                Attachment.objects.create(title=str(n), file=ContentFile(f"a{n}", name=f"{n}.txt"))
            yield


def test_a_file_field_has_its_names_copied(attachments: None) -> None:
    names = list(Attachment.objects.values_list("file", flat=True))
    said = move("library.Attachment")
    assert "moved                            4" in said
    assert there_names("second") == sorted(names)
    assert there("second") == ["a0", "a1", "a2", "a3"]
    assert list(Attachment.objects.values_list("file", flat=True)) == names
    said = move("library.Attachment.file")
    assert "already in the target            4" in said
    with storages["second"].open(names[0], "wb") as file:
        file.write(b"other")
    said = move("library.Attachment", expect=1)
    assert "Taken: another file has the name" in said
    with pytest.raises(CommandError, match="would break its rows") as refused:
        move("library.Attachment", delete_source=True)
    assert refused.value.returncode == 2


# what is refused


@pytest.mark.parametrize(
    ("labels", "options", "reason"),
    [
        ([], {"target": "nowhere"}, "--to nowhere: it is not in STORAGES"),
        ([], {"source": "nowhere"}, "--from nowhere"),
        ([], {"target": "default"}, "both 'default'"),
        (["nothing"], {}, "No installed app"),
        (["library.Nothing"], {}, "library"),
        (["library.Paper.nothing"], {}, "no field named 'nothing'; it has .*'file'"),
        (["library.Paper.title"], {}, "is not a StoredObjectField or FileField"),
        (["auth.User"], {}, "has no StoredObjectField or FileField"),
        (["library.Paper"], {"filter": ["titel=5"]}, "--filter does not fit library.Paper.file"),
        (["library.Paper"], {"filter": ["pk"]}, "write KEY=VALUE"),
        (["library.Paper"], {"filter": ["pk=x"]}, "--filter does not fit"),
        (["library.Paper"], {"workers": 0}, "--workers must be 1 or more"),
        (["library.Paper"], {"report": Path("/nowhere/x.jsonl")}, "--report"),
    ],
    ids=str,
)
def test_bad_arguments(
    memory: None, labels: list[str], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CommandError, match=reason) as refused:
        move(*labels, **options)
    assert refused.value.returncode == 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"fs": "s3", "prefix": ""}, "names no bucket"),
        ({"fs": "memory", "prefix": "../elsewhere"}, r"has a '\.\.' part"),
        ({"fs": "nosuchprotocol"}, "nosuchprotocol"),
    ],
    ids=str,
)
@pytest.mark.parametrize("option", ["source", "target"])
def test_what_can_t_work_is_refused_before_any_file(
    options: dict[str, Any], reason: str, option: str
) -> None:
    ends: dict[str, Any] = {"source": "default", "target": "default", option: "second"}
    with (
        override_storage(default=PLACES["memory"](), second=options),
        pytest.raises(CommandError, match=reason) as refused,
    ):
        move("library.Paper", **ends)
    assert refused.value.returncode == 2
    assert "STORAGES['second']" in str(refused.value)


def test_a_read_only_target_is_refused() -> None:
    http = {"fs": "http", "fs_options": {}, "prefix": "http://127.0.0.1:9"}
    with (
        override_storage(default=PLACES["memory"](), second=http),
        pytest.raises(CommandError, match="--to second: this storage is read-only"),
    ):
        move("library.Paper")
