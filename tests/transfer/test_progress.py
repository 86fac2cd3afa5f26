"""migrate_files --status: how far it is, as rows and results tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError

from django_fsspec.transfer import progress, tasks
from tests.helpers import transfer_tasks
from tests.helpers.transfer_tasks import enqueue, migrate, papers, there, told, with_database
from tests.library.models import Attachment, Shelf

memory = transfer_tasks.memory


@with_database
def test_rows_tell_how_far_it_is(memory: None) -> None:
    papers(5)
    Shelf.objects.create(
        files=[ContentFile(b"12", name="a.txt"), ContentFile(b"345", name="b.txt")]
    )
    Attachment.objects.create(title="x", file=ContentFile(b"a", name="a.txt"))
    labels = ("library.Paper", "library.Shelf", "library.Attachment.file")
    said = told(migrate(*labels, status=True))
    assert "library.Paper.file: on default 5 files, 10 bytes on second 0 files, 0 bytes" in said
    assert "library.Shelf.files: on default 2 files, 5 bytes on second 0 files, 0 bytes" in said
    assert "Attachment.file: 1 row of a FileField, which name no storage" in said
    migrate("library.Shelf")
    migrate("library.Paper", filter=["title__in=0,2"])
    said = told(migrate(*labels, status=True))
    assert "library.Paper.file: on default 3 files, 6 bytes on second 2 files, 4 bytes" in said
    assert "library.Shelf.files: on default 0 files, 0 bytes on second 2 files, 5 bytes" in said
    assert "on second 1 file," in told(migrate("library.Paper", status=True, filter=["title=2"]))
    assert there("second") == ["12", "345", "p0", "p2"]


@with_database
def test_a_backend_without_results_says_so(memory: None, tmp_path: Path) -> None:
    papers(4)
    run = tmp_path / "run.jsonl"
    enqueue("library.Paper", run=run, shard_size=1)
    said = enqueue("library.Paper", run=run, task_backend="dummy")
    assert " 0 shards" in said
    papers(3)
    enqueue("library.Paper", run=run, task_backend="dummy", shard_size=2)
    assert len(run.read_text().splitlines()) == 1 + 4 + 1 + 1 + 2
    said = told(migrate("library.Paper", status=True, run=run))
    assert "on second 4 files" in said
    assert ": 2 shards 'dummy' keeps no task results" in said
    found = progress.tally(tasks.backend_of("dummy"), [*progress.last_run(run).results, "gone"])
    assert found.shards == {"waiting": 2, "not kept": 1}


class Stumbling:
    """A backend whose first look-ups fail, as those of a job that is being moved."""

    def __init__(self, backend: Any, faults: int) -> None:
        self.backend, self.faults = backend, faults

    def get_result(self, result: str) -> Any:
        self.faults -= 1
        if self.faults >= 0:
            raise LookupError("it is being moved")
        return self.backend.get_result(result)


def test_a_look_up_that_fails_for_a_moment(memory: None) -> None:
    dummy = tasks.backend_of("dummy")
    assert progress.tally(Stumbling(dummy, 2), ["gone"]).shards == {"not kept": 1}
    with pytest.raises(LookupError):
        progress.tally(Stumbling(dummy, 3), ["gone"])


@with_database
@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "FileNotFoundError"), ("", "no run"), ("{}\n", "no run"), ("no json", "JSON")],
)
def test_a_file_that_tells_no_run(
    memory: None, tmp_path: Path, text: str | None, reason: str
) -> None:
    path = tmp_path / "run.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CommandError, match=f"--run .*{reason}") as refused:
        migrate("library.Paper", status=True, run=path)
    assert refused.value.returncode == 2
