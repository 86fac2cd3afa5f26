"""migrate_files --enqueue: tasks on the queue that was named, each done once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management import CommandError
from django.test import override_settings

from django_fsspec.transfer.shards import Shard
from tests.helpers import transfer_tasks
from tests.helpers.transfer_tasks import do, enqueue, noted, papers, there, with_database
from tests.library.models import Paper, Record

memory = transfer_tasks.memory


@with_database
def test_all_is_moved_by_tasks_once(memory: None) -> None:
    papers(7)
    for n in range(3):
        Record.objects.create(file=ContentFile(f"r{n}", name="r.txt"))
    said = enqueue("library.Paper", "library.Record", shard_size=2)
    assert "library.Paper.file: 7 rows, 14 bytes" in said.replace("\xa0", " ")
    assert "6 shards enqueued on 'default', queue 'default'" in said
    assert Paper.objects.filter(file__backend="second").count() == 7
    assert there("second") == [*(f"p{n}" for n in range(7)), "r0", "r1", "r2"]
    assert len(there("default")) == 10
    assert " 0 shards enqueued" in enqueue("library")


@with_database
def test_options_are_those_of_the_command(memory: None) -> None:
    papers(4)
    enqueue("library.Paper", filter=["title__in=1,3"], delete_source=True, verify="full")
    assert there("second") == ["p1", "p3"]
    assert there("default") == ["p0", "p2"]


@with_database
def test_sources_that_are_the_copies_are_refused_before_anything_is_enqueued(memory: None) -> None:
    papers(1)
    options = settings.STORAGES["default"]
    with (
        override_settings(STORAGES={**settings.STORAGES, "second": options}),
        pytest.raises(CommandError, match="share files"),
    ):
        enqueue("library.Paper", delete_source=True, task_backend="dummy")
    assert noted() == []


@with_database
def test_a_task_is_json_on_the_queue_that_was_named(memory: None) -> None:
    papers(3)
    said = enqueue("library.Paper", shard_size=2, task_backend="dummy", queue="files", workers=7)
    assert "2 shards enqueued on 'dummy', queue 'files'" in said
    first, second = noted()
    assert {first.task.queue_name, second.task.queue_name} == {"files"}
    shards = [Shard.from_json(one.args[0]) for one in noted()]
    keys = list(Paper.objects.order_by("pk").values_list("pk", flat=True))
    assert [(one.after, one.upto) for one in shards] == [
        (None, str(keys[1])),
        (str(keys[1]), None),
    ]
    assert shards[0].order.workers == 7
    assert there("second") == []
    result = do(second.args[0])
    assert (result["counts"], result["bytes"], result["failures"]) == ({"moved": 1}, 2, [])
    assert there("second") == ["p2"]
    # twice is once
    assert do(second.args[0])["counts"] == {}
    do(first.args[0])
    assert there("second") == ["p0", "p1", "p2"]


@with_database
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"task_backend": "nowhere"}, "--task-backend nowhere: it is not in TASKS, which has"),
        ({"task_backend": "dummy", "queue": "mail"}, r"--queue mail: .*'dummy'.* default, files"),
        ({"shard_size": 0}, "--shard-size must be 1 or more"),
        ({"retries": -1}, "--retries must be 0 or more"),
        ({"retry_delay": -1}, "--retry-delay must be 0 or more"),
        ({"dry_run": True}, "--dry-run can't be used with --enqueue"),
        ({"status": True}, "--status can't be used with --enqueue"),
        ({"limit": 5}, "--limit can't be used with --enqueue"),
        ({"fail_fast": True}, "--fail-fast can't be used with --enqueue"),
        ({"report": Path("x.jsonl")}, "--report can't be used with --enqueue"),
        ({"run": Path("/nowhere/run.jsonl")}, "--run /nowhere/run.jsonl"),
    ],
    ids=str,
)
def test_bad_arguments(memory: None, options: dict[str, Any], reason: str) -> None:
    papers(1)
    with pytest.raises(CommandError, match=reason) as refused:
        enqueue("library.Paper", **options)
    assert refused.value.returncode == 2
    assert there("second") == []
