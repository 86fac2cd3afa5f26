"""migrate_files by tasks: what failed is tried again, a bounded number of times."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import override_settings

from django_fsspec.storage import FSSpecStorage
from django_fsspec.transfer import tasks
from django_fsspec.transfer.plan import BadPlan
from django_fsspec.transfer.shards import Order, Shard
from tests.helpers import transfer_tasks
from tests.helpers.backends import _local, folder
from tests.helpers.transfer_tasks import do, enqueue, noted, papers, there, with_database
from tests.library.models import Attachment, Paper

memory = transfer_tasks.memory


def order(**options: Any) -> Order:
    return Order(
        **{
            "run": "a run",
            "source": "default",
            "target": "second",
            "using": "default",
            "backend": "default",
            "queue": "default",
            "retry_delay": 0,
            **options,
        }
    )


class Flaky(FSSpecStorage):
    """Can't be reached the first few times."""

    faults = 0

    async def aget_content(self, *args: Any, **kwargs: Any) -> bytes:
        self._fail()
        return await super().aget_content(*args, **kwargs)

    def astream(self, *args: Any, **kwargs: Any) -> Any:
        self._fail()
        return super().astream(*args, **kwargs)

    def _fail(self) -> None:
        if type(self).faults > 0:
            type(self).faults -= 1
            raise ConnectionError("away")


@pytest.fixture
def flaky(memory: None) -> Iterator[type[Flaky]]:
    options = settings.STORAGES["default"]["OPTIONS"]
    ours = {
        "default": {"BACKEND": f"{__name__}.Flaky", "OPTIONS": options},
        # another filesystem: the source can't copy by itself
        "second": {**settings.STORAGES["second"], "OPTIONS": _local(folder())},
    }
    with override_settings(STORAGES={**settings.STORAGES, **ours}):
        yield Flaky
    Flaky.faults = 0


@with_database
def test_a_backend_that_can_not_wait_tries_again_at_once(
    flaky: type[Flaky], caplog: pytest.LogCaptureFixture
) -> None:
    papers(5)
    flaky.faults = 3
    result = do(Shard(order=order(workers=1), column="library.Paper.file"))
    assert result["counts"] == {"moved": 5}
    assert (result["failures"], result["attempt"]) == ([], 2)
    assert there("second") == [f"p{n}" for n in range(5)]
    assert "attempt 1: 3 files failed" in caplog.text


@with_database
def test_only_what_failed_is_tried_again_later(flaky: type[Flaky]) -> None:
    papers(5)
    flaky.faults = 2
    task = Shard(order=order(backend="dummy", workers=1), column="library.Paper.file")
    result = do(task)
    assert result["counts"] == {"moved": 3, "failed": 2}
    (again,) = noted()
    assert result["again"] == again.id
    assert again.task.run_after is not None
    rest = Shard.from_json(again.args[0])
    left = Paper.objects.filter(file__backend="default").values_list("pk", flat=True)
    assert sorted(rest.keys or ()) == sorted(map(str, left))
    assert rest.attempt == 2
    assert do(rest)["counts"] == {"moved": 2}
    assert len(noted()) == 1


@with_database
def test_with_too_many_failures_all_is_gone_through_again(
    flaky: type[Flaky], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "KEPT", 2)
    papers(5)
    flaky.faults = 3
    do(Shard(order=order(backend="dummy", workers=1), column="library.Paper.file"))
    rest = Shard.from_json(noted()[0].args[0])
    assert rest.keys is None
    assert do(rest)["counts"] == {"moved": 3}


@with_database
def test_a_file_field_is_gone_through_for_its_failures_alone(flaky: type[Flaky]) -> None:
    for n in range(4):
        Attachment.objects.create(title=str(n), file=ContentFile(f"a{n}", name=f"{n}.txt"))
    flaky.faults = 1
    label = "library.Attachment.file"
    result = do(Shard(order=order(backend="dummy", workers=1), column=label))
    assert result["counts"] == {"moved": 3, "failed": 1}
    assert do(noted()[0].args[0])["counts"] == {"moved": 1}
    assert there("second") == ["a0", "a1", "a2", "a3"]


@with_database
def test_attempts_are_bounded_and_the_rest_is_told(
    memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    made = papers(4)
    storages["default"].delete(made[1].file.name)
    result = do(Shard(order=order(retries=2), column="library.Paper.file"))
    assert (result["counts"], result["attempt"]) == ({"moved": 3, "failed": 1}, 3)
    (failure,) = result["failures"]
    assert (failure["pk"], failure["name"]) == (str(made[1].pk), made[1].file.name)
    assert "FileNotFoundError" in failure["reason"]
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    message = f"library.Paper.file {made[1].pk}: {made[1].file.name}: FileNotFoundError"
    assert message in told[0].getMessage()
    once = order(backend="dummy", retries=0)
    assert "again" not in do(Shard(order=once, column="library.Paper.file"))


@with_database
def test_a_backend_that_does_tasks_at_once_fails_at_once(memory: None) -> None:
    made = papers(3)
    storages["default"].delete(made[0].file.name)
    with pytest.raises(SystemExit) as ended:
        enqueue("library.Paper", shard_size=1, retries=0)
    assert ended.value.code == 1
    assert there("second") == ["p1", "p2"]


@with_database
def test_a_result_is_bounded(memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "IN_RESULT", 2)
    for paper in papers(5):
        storages["default"].delete(paper.file.name)
    result = do(Shard(order=order(retries=0), column="library.Paper.file"))
    assert (result["counts"], len(result["failures"])) == ({"failed": 5}, 2)


@with_database
def test_what_breaks_a_shard_off_is_tried_again_and_then_raised(
    memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    papers(2)
    wrong = {"target": "not deployed yet", "backend": "dummy", "retries": 1}
    result = do(Shard(order=order(**wrong), column="library.Paper.file"))
    assert result["error"].startswith("BadPlan: --to not deployed yet")
    assert "Traceback" in caplog.text
    with pytest.raises(BadPlan, match="not deployed yet"):
        do(noted()[0].args[0])
    assert len(noted()) == 1
    with pytest.raises(BadPlan, match="not deployed yet"):
        do(Shard(order=order(**{**wrong, "backend": "default"}), column="library.Paper.file"))


@with_database
def test_a_queue_that_is_away_is_waited_for(
    flaky: type[Flaky], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tasks, "PAUSES", (0, 0))
    papers(2)
    flaky.faults = 1
    shard = Shard(order=order(backend="dummy", queue="gone"), column="library.Paper.file")
    with pytest.raises(Exception, match="gone"):
        do(shard)
    assert caplog.text.count("trying again in 0 s") == 2
