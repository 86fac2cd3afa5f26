"""A report on a full disk, or output that nobody reads, ends no command in its middle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.helpers import audit, moved_files, transfer_tasks
from tests.helpers.audit import failing, put
from tests.helpers.lone_command import closed_pipe, run
from tests.helpers.moved_files import move, papers, there
from tests.helpers.transfer_tasks import enqueue, noted
from tests.library.models import Paper

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

memory = moved_files.memory
tasks_memory = transfer_tasks.memory
default = audit.default

#: every write to it fails as on a full disk
FULL = Path("/dev/full")
MOVE = ("migrate_files", "library.Paper", "--from", "default", "--to", "second")


def moved() -> int:
    return Paper.objects.filter(file__backend="second").count()


def test_a_full_disk_under_the_report_is_said_once_and_the_rest_is_moved(memory: None) -> None:
    papers(30)
    said = move("library.Paper", report=FULL, batch_size=5, delete_source=True, expect=1)
    assert said.count("--report /dev/full: [Errno 28] No space left on device") == 1
    assert "It is incomplete; going on." in said
    assert "moved                           30" in said
    assert moved() == 30
    assert there("default") == []


def test_a_report_of_long_lines_fails_while_it_is_written(memory: None) -> None:
    # more than a buffer holds between two flushes
    papers(300)
    said = move("library.Paper", report=FULL, batch_size=300, expect=1)
    assert said.count("No space left on device") == 1
    assert moved() == 300


def test_a_report_that_is_deleted_meanwhile(memory: None, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    papers(4)

    def delete(*args: Any) -> None:
        report.unlink(missing_ok=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django_fsspec.transfer.engine.Engine._failed", delete)
        said = move("library.Paper", report=report, batch_size=2, expect=1)
    assert said.count(f"--report {report}: the file was deleted meanwhile") == 1
    assert moved() == 4


def test_a_report_that_can_be_written_is_whole(memory: None, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    report.write_text('{"earlier": 1}\n')
    papers(3)
    move("library.Paper", report=report)
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line.get("status") for line in lines] == [None, "moved", "moved", "moved"]


def test_failures_and_a_full_disk(memory: None) -> None:
    from django.core.files.storage import storages

    made = papers(3)
    storages["default"].delete(made[0].file.name)
    said = move("library.Paper", report=FULL, expect=1)
    assert "failed                           1" in said
    assert moved() == 2


def test_result_ids_that_can_not_be_noted_keep_no_shard_from_the_queue(tasks_memory: None) -> None:
    papers(6)
    with pytest.raises(SystemExit) as ended:
        enqueue("library.Paper", shard_size=2, run=FULL, task_backend="dummy")
    assert ended.value.code == 1
    assert len(noted()) == 3


def test_the_report_of_a_sweep(default: Any, memory: None) -> None:
    put("a.txt", "b.txt")
    text, status = failing("default", "--delete", "--min-age", "0", "--report", str(FULL))
    assert status == 1
    assert "deleted: 2" in text
    assert audit.there() == []


@pytest.fixture(params=["closed pipe", "full disk"])
def lost(request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    """Output that can't be written."""
    opened: list[Any] = []

    def make() -> Any:
        stream = closed_pipe() if request.param == "closed pipe" else FULL.open("w")
        opened.append(stream)
        return stream

    yield make
    for stream in opened:
        if not isinstance(stream, int):
            stream.close()


class Lost:
    """A stream of which every write fails."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(
    "arguments",
    [
        MOVE,
        ("sweep_files", "default", "--delete", "--min-age", "0"),
        ("refresh_files", "library.Paper.file"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_output_that_is_gone_ends_no_work(memory: None, arguments: tuple[str, ...]) -> None:
    papers(2)
    put("orphan.txt")
    Paper.objects.update(title="x")
    stream = Lost()
    call_command(*arguments, "--no-progress", stdout=stream, stderr=stream)
    if arguments is MOVE:
        assert moved() == 2
    if arguments[0] == "sweep_files":
        assert there("default") == ["p0", "p1"]


@pytest.mark.slow
@pytest.mark.once
def test_a_process_whose_output_is_gone_moves_all_and_says_so_by_its_status(
    lost: Callable[[], Any], tmp_path: Path
) -> None:
    result = tmp_path / "result"
    ended = run(*MOVE, result=result, stdout=lost(), stderr=subprocess.PIPE)
    assert (ended.status, ended.text, ended.aliases) == (0, "", ["second", "second"])
    ended = run(*MOVE, result=result, stdout=lost(), stderr=lost())
    assert (ended.status, ended.aliases) == (0, ["second", "second"])
    report = ("--report", str(FULL))
    ended = run(*MOVE, *report, result=result, stdout=subprocess.PIPE, stderr=lost())
    assert (ended.status, ended.aliases) == (1, ["second", "second"])
    assert "moved                            2" in ended.text


def test_a_report_that_can_not_be_opened(memory: None) -> None:
    with pytest.raises(CommandError, match="--report /no/such/folder/x") as refused:
        move("library.Paper", report=Path("/no/such/folder/x"))
    assert refused.value.returncode == 2
