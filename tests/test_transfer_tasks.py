"""migrate_files on many machines: shards, tasks, retries, and workers that are killed."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import django
import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_fsspec import swap as swapping
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from django_fsspec.transfer import plan, progress, tasks
from django_fsspec.transfer.plan import BadPlan, Column, columns
from django_fsspec.transfer.shards import Order, Shard, decode, encode
from tests import servers
from tests.backends import _local, folder, server
from tests.library.models import Attachment, Magazine, Paper, Record, Shelf
from tests.soak import machine_jobs
from tests.soak.machines import DatabaseSite, Machine, RedisSite, Site, wait_for
from tests.support import started

PACKAGE = "django.tasks" if django.VERSION >= (6,) else "django_tasks"
IMMEDIATE = {"BACKEND": f"{PACKAGE}.backends.immediate.ImmediateBackend", "QUEUES": []}
DUMMY = {"BACKEND": f"{PACKAGE}.backends.dummy.DummyBackend", "QUEUES": ["default", "files"]}

with_database = pytest.mark.django_db(transaction=True)


@pytest.fixture
def memory() -> Iterator[None]:
    """Two places, a task backend that works at once and one that only takes note."""
    places = {alias: {"fs": "memory", "prefix": folder()} for alias in ("default", "second")}
    with (
        override_storage(**places),
        override_settings(TASKS={"default": IMMEDIATE, "dummy": DUMMY}),
    ):
        yield


def migrate(*labels: str, **options: Any) -> str:
    """Run the command; return what it said."""
    out = io.StringIO()
    given = {"source": "default", "target": "second", **options}
    call_command("migrate_files", *labels, stdout=out, stderr=out, no_progress=True, **given)
    return out.getvalue()


def enqueue(*labels: str, **options: Any) -> str:
    return migrate(*labels, enqueue=True, **options)


def papers(count: int) -> list[Paper]:
    made = [Paper(title=str(n), file=ContentFile(f"p{n}", name=f"{n}.txt")) for n in range(count)]
    return Paper.objects.bulk_create(made)


def there(alias: str) -> list[str]:
    storage: Any = storages[alias]
    return sorted(storage.get_content(stat.name).decode() for stat in storage.walk())


def column(label: str = "library.Paper.file", **options: Any) -> Column:
    (found,) = columns([label], source="default", **options)
    return found


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


def noted() -> list[Any]:
    """Return what the dummy backend took note of."""
    found: list[Any] = tasks.framework.task_backends["dummy"].results  # type: ignore[attr-defined]
    return found


def do(shard: Shard | dict[str, Any]) -> dict[str, Any]:
    """Do a task as a worker does, with arguments that were JSON."""
    data = shard.to_json() if isinstance(shard, Shard) else shard
    result: dict[str, Any] = tasks.migrate_shard.func(json.loads(json.dumps(data)))
    assert json.loads(json.dumps(result)) == result
    return result


# shards


@with_database
@pytest.mark.parametrize("size", [1, 3, 5, 10, 11])
@pytest.mark.parametrize("model", [Paper, Record])
def test_shards_cover_each_row_once(
    memory: None, monkeypatch: pytest.MonkeyPatch, size: int, model: Any
) -> None:
    monkeypatch.setattr(plan, "ENDS", 3)
    for _ in range(12):
        model.objects.create(file=ContentFile(b"x", name="x.txt"))
    migrate(model._meta.label, limit=2)
    keys = set(model.objects.filter(file__stored_on="default").values_list("pk", flat=True))
    chosen = column(f"{model._meta.label}.file")
    found = []
    for after, upto in chosen.shards(size):
        rows = [row.pk for row in chosen.pages(100, after, upto)]
        assert len(rows) == size or upto is None
        found += rows
    assert len(found) == len(keys)
    assert set(found) == keys


@with_database
def test_shards_are_one_query_and_a_last_one(memory: None) -> None:
    papers(25)
    with CaptureQueriesContext(connection) as queries:
        assert len(list(column().shards(5))) == 5
    assert len(queries) == 2
    with CaptureQueriesContext(connection) as queries:
        assert list(column(conditions={"title": "none"}).shards(5)) == []
    assert len(queries) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (models.BigAutoField(), 12345678901),
        (models.UUIDField(), UUID("12345678-1234-5678-1234-567812345678")),
        (models.CharField(max_length=9), "a'\n\u20ac\U0001f600"),
        (models.DateField(), date(2026, 2, 3)),
        (models.DateTimeField(), datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)),
        (models.DecimalField(max_digits=9, decimal_places=4), Decimal("12.3400")),
        (models.FloatField(), 0.1),
        (models.BinaryField(), b"\x00\xff"),
        (models.OneToOneField(Paper, models.CASCADE, primary_key=True), 77),
    ],
    ids=lambda given: type(given).__name__,
)
def test_any_primary_key_travels_as_json(field: Any, value: Any) -> None:
    field.set_attributes_from_name("key")
    text = json.loads(json.dumps(encode(field, value)))
    found = decode(field, text)
    assert (type(found), found) == (memoryview if type(value) is bytes else type(value), value)
    assert decode(field, encode(field, None)) is None


@with_database
def test_tables_beside_their_parents(memory: None) -> None:
    for n in range(3):
        Magazine.objects.create(title=str(n), cover=ContentFile(f"c{n}", name="c.txt"))
    enqueue("library.Magazine.cover", shard_size=2)
    assert there("second") == ["c0", "c1", "c2"]


# enqueued and done


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
        pytest.raises(CommandError, match="have files in common"),
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


# tried again


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
    monkeypatch.setattr(tasks, "TOLD", 2)
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
    assert caplog.text.count("enqueued again in 0 s") == 2


# where tasks can be defined


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"default": IMMEDIATE}, ("default", "default")),
        ({"default": {**IMMEDIATE, "QUEUES": ["mail", "files"]}}, ("default", "files")),
        ({"other": DUMMY}, ("other", "default")),
    ],
    ids=["usual", "no queue of that name", "no backend of that name"],
)
def test_the_task_can_be_defined_anywhere(
    given: dict[str, Any], expected: tuple[str, str]
) -> None:
    with override_settings(TASKS=given):
        assert tasks._anywhere() == expected


def test_tasks_are_not_imported_unless_used() -> None:
    code = (
        "import sys, django; django.setup(); import django_fsspec\n"
        "from django.core.management import load_command_class\n"
        "load_command_class('django_fsspec', 'migrate_files')\n"
        "assert 'django_tasks' not in sys.modules\n"
        "assert 'django_fsspec.transfer.tasks' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@with_database
def test_without_the_package_the_extra_is_named(
    memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_fsspec import transfer

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, PACKAGE, None)
        patch.delitem(sys.modules, "django_fsspec.transfer.tasks")
        patch.delattr(transfer, "tasks")
        with pytest.raises(CommandError, match=r"django-fsspec-storage\[tasks\]") as refused:
            enqueue("library.Paper")
    assert refused.value.returncode == 2


@with_database
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"task_backend": "nowhere"}, "--task-backend nowhere: it is not in TASKS, which has"),
        ({"task_backend": "dummy", "queue": "mail"}, r"--queue mail: .*'dummy'.* default, files"),
        ({"shard_size": 0}, "--shard-size must be 1 or more"),
        ({"retries": -1}, "--retries must be 0 or more"),
        ({"retry_delay": -1}, "--retry-delay must be 0 or more"),
        ({"dry_run": True}, "--dry-run does not go with --enqueue"),
        ({"status": True}, "--status does not go with --enqueue"),
        ({"limit": 5}, "--limit does not go with --enqueue"),
        ({"fail_fast": True}, "--fail-fast does not go with --enqueue"),
        ({"report": Path("x.jsonl")}, "--report does not go with --enqueue"),
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


# how far it is


def told(said: str) -> str:
    return " ".join(said.split())


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
    assert "Attachment.file: 1 rows, which do not tell where their files are" in said
    migrate("library.Shelf")
    migrate("library.Paper", filter=["title__in=0,2"])
    said = told(migrate(*labels, status=True))
    assert "library.Paper.file: on default 3 files, 6 bytes on second 2 files, 4 bytes" in said
    assert "library.Shelf.files: on default 0 files, 0 bytes on second 2 files, 5 bytes" in said
    assert "on second 1 files" in told(migrate("library.Paper", status=True, filter=["title=2"]))
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
    assert ": 2 shards 'dummy' keeps no results" in said
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


# two movers at once


@with_database
def test_a_copy_that_another_row_counts_on_stays(
    memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = papers(2)
    Paper.objects.filter(pk=made[1].pk).update(file=made[0].file)
    swap = swapping.swap
    swaps: list[Any] = []

    def meanwhile(*args: Any) -> Any:
        swaps.append(args)
        if len(swaps) == 1:
            # by then the other row's copy was found to be there
            time.sleep(0.3)
            noted = Paper.objects.get(pk=args[2][0].pk)
            noted.file.metadata["seen"] = True
            noted.save()
        return swap(*args)

    monkeypatch.setattr("django_fsspec.transfer.engine.swap", meanwhile)
    migrate("library.Paper", batch_size=1)
    assert [row.file.get_content() for row in Paper.objects.all()] == [b"p0", b"p0"]
    assert Paper.objects.filter(file__backend="second").count() == 1
    monkeypatch.undo()
    migrate("library.Paper", delete_source=True)
    assert [row.file.get_content() for row in Paper.objects.all()] == [b"p0", b"p0"]
    assert there("second") == ["p0"]


# real workers, one of which is killed

SITES = {"db": DatabaseSite, "rq": RedisSite}
LATENCY = 0.04
#: files that a worker has in hand: copied or being copied, and not yet in their rows
IN_HAND = 3 * 5 + 2


def enqueued(site: Site, size: int, run: Path, *options: str) -> int:
    """Enqueue shards of `size` rows; return how many."""
    given = ("--shard-size", str(size), "--queue", site.name, "--run", str(run), *options)
    said = site.migrate("--enqueue", "--workers", "2", "--batch-size", "5", *given)
    return int(said.split(" shards enqueued")[0].split()[-1])


def status(site: Site, run: Path) -> str:
    return told(site.migrate("--status", "--run", str(run)))


def puts(*proxies: servers.CountingProxy) -> list[str]:
    """Return the files that were sent to S3."""
    requests = [one for proxy in proxies for one in proxy.requests()]
    return [one.path.rpartition("/")[2] for one in requests if one.method == "PUT"]


def in_the_middle(proxy: servers.CountingProxy, size: int) -> Callable[[], bool]:
    """Return what tells whether a worker, whose own proxy it is, is in the middle of a shard."""
    before = len(puts(proxy))
    return lambda: size * 6 // 10 <= (len(puts(proxy)) - before) % size <= size * 8 // 10


def prove(kind: str, run: Path, *, rows: int, size: int, kills: int) -> str:
    """Have two workers move `rows`; kill one in the middle of a shard, and the one in its place.

    Returns figures.
    """
    port = server(servers.SeaweedS3).port
    with ExitStack() as stack:
        site: Any = stack.enter_context(SITES[kind]())
        proxies = [
            stack.enter_context(started(servers.CountingProxy, port, latency=LATENCY))
            for _ in range(2)
        ]
        site.call(machine_jobs.seed, rows)
        steady = stack.enter_context(Machine(site, proxies[0].url))
        doomed = stack.enter_context(Machine(site, proxies[1].url))
        assert enqueued(site, size, run) == -(-rows // size)
        for more in reversed(range(kills)):
            wait_for(in_the_middle(proxies[1], size), doomed, steady)
            doomed.kill()
            if more:
                doomed.start()
        wait_for(lambda: len({(pk - 1) // size for pk in site.left()}) <= kills, steady)
        wait_for(lambda: f"running {kills} shards waiting 0" in status(site, run), steady)

        left = {name.rpartition("/")[2] for name in site.left().values()}
        assert 0 < len(left) < size * kills
        assert f"on default {len(left)} files" in status(site, run)
        sent = Counter(puts(*proxies))
        assert all(count == 1 for count in sent.values())
        lost = len(sent.keys() & left)
        assert len(sent) - lost == rows - len(left)
        assert lost <= IN_HAND * kills

        for proxy in proxies:
            proxy.reset()
        assert 1 <= enqueued(site, size, run) <= kills
        wait_for(lambda: not site.left(), steady)
        # nothing that was done is done again
        assert Counter(puts(*proxies)) == Counter(left)
        assert f"on default 0 files, 0 bytes on far {rows} files" in status(site, run)
        site.check()
    return f"{kind} | {rows} rows, {kills} killed | {len(left)} left by them, {lost} sent twice"


@pytest.mark.soak
@pytest.mark.parametrize("kind", SITES)
def test_a_killed_worker_costs_what_it_had_in_hand(kind: str, tmp_path: Path) -> None:
    prove(kind, tmp_path / "run.jsonl", rows=200, size=25, kills=1)


@pytest.mark.soak
@pytest.mark.parametrize("kind", SITES)
def test_three_killed_workers_cost_what_they_had_in_hand(kind: str, tmp_path: Path) -> None:
    print("\n" + prove(kind, tmp_path / "run.jsonl", rows=2000, size=100, kills=3))


@pytest.mark.soak
@pytest.mark.parametrize("kind", SITES)
def test_a_lost_connection_and_a_lost_file(kind: str, tmp_path: Path) -> None:
    run, port = tmp_path / "run.jsonl", server(servers.SeaweedS3).port
    with ExitStack() as stack:
        site: Any = stack.enter_context(SITES[kind]())
        way = started(servers.CountingProxy, port, latency=LATENCY)
        proxy = stack.enter_context(way)
        site.call(machine_jobs.seed, 60)
        site.call(machine_jobs.lose, 50)
        machine = stack.enter_context(Machine(site, proxy.url))
        enqueued(site, 20, run, "--retries", "2", "--retry-delay", "0.1")
        wait_for(in_the_middle(proxy, 20), machine)
        site.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        wait_for(lambda: "done 3 shards failed 0" in status(site, run), machine)
        said = status(site, run)
        assert "on default 1 files" in said
        assert "on far 59 files" in said
        assert said.endswith("failed 1")
        if kind == "db":
            attempts = site.ask("SELECT return_value FROM django_tasks_database_dbtaskresult")
            # the connection was made again; the lost file was tried for thrice
            assert not any("error" in value for (value,) in attempts)
            assert len(attempts) == 3 + 2


def test_two_workers_on_the_same_rows(tmp_path: Path) -> None:
    run, port = tmp_path / "run.jsonl", server(servers.SeaweedS3).port
    with ExitStack() as stack:
        site = stack.enter_context(DatabaseSite())
        way = started(servers.CountingProxy, port, latency=LATENCY)
        proxy = stack.enter_context(way)
        machines = [stack.enter_context(Machine(site, proxy.url)) for _ in range(2)]
        site.call(machine_jobs.seed, 60)
        for _ in machines:
            enqueued(site, 60, run, "--delete-source", "--retry-delay", "0.1")
        wait_for(lambda: not site.left(), *machines)
        wait_for(lambda: "done 1 shards" in status(site, run), *machines)
        assert status(site, run).endswith("failed 0")
        site.check()


# a million rows


@pytest.mark.soak
def test_a_million_rows_are_planned_and_enqueued_in_a_minute() -> None:
    command = ("migrate_files", "library.Paper", "--from", "default", "--to", "far")
    with DatabaseSite() as site:
        ways = (("--dry-run",), ("--status",), ("--enqueue", "--queue", site.name))
        for rows in (1_000, 999_000):
            site.call(machine_jobs.describe, rows)
            # the first time packages are imported: that is not what rows take
            found = [site.call(machine_jobs.measured, *command, *options) for options in ways]
        for options, (_, seconds, peak) in zip(ways, found, strict=True):
            print(f"\n1,000,000 rows | {options[0]} | {seconds:.1f} s, {peak:.1f} MB above idle")
            assert seconds < 60
            assert peak < 5
        assert " 1000 shards enqueued" in found[-1][0]
        ((tasks,),) = site.ask("SELECT count(*) FROM django_tasks_database_dbtaskresult")
        assert tasks == 1 + 1000
