"""ConvertFileField: stopped in the middle, killed, beside others who write, on large tables."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, models
from django.db.migrations import CreateModel
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from tests.helpers import conversions
from tests.helpers.conversions import (
    APP,
    OPTIONAL,
    OURS,
    TABLE,
    TOGETHER,
    VENDOR,
    Past,
    columns,
    convert,
    document,
    fresh,
    shape,
    store,
    using,
)

pytestmark = pytest.mark.django_db(transaction=True)

past, watched = conversions.past, conversions.watched


class Stopped(Exception):
    pass


class StopAt:
    """Raises instead of the `n`-th statement that changes something."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("UPDATE", "ALTER", "CREATE", "DROP", "INSERT", "LOCK", "RENAME")):
            self.left -= 1
            if self.left == 0:
                raise Stopped
        return execute(sql, params, many, context)


def stopped_everywhere(run: Callable[[], None], check: Callable[[], None]) -> int:
    """Stop `run` at its first statement, its second and so on, until it comes to its end."""
    for n in range(1, 60):
        try:
            with connection.execute_wrapper(StopAt(n)):
                run()
        except Stopped:
            check()
        else:
            return n - 1
    raise AssertionError


@pytest.mark.parametrize("atomic", [True, False])
def test_stopped_at_any_statement(memory: None, past: Past, atomic: bool) -> None:
    """Each attempt goes one statement further, the next goes on from there."""
    store(*(f"d/{n}.txt" for n in range(5)))
    past.start(
        document(unique=True),
        ("title", models.CharField(max_length=10, default="t")),
        unique_together={("title", "file")},
        constraints=[TOGETHER],
    )
    names = ["d/0.txt", "d/1.txt", "d/2.txt", "d/3.txt", "d/gone.txt"]
    past.add(*names)
    old = past.state
    operation = convert({"unique": True}, batch_size=2)

    def intact() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT file FROM {TABLE} ORDER BY id")
            held = [str(file) for (file,) in cursor.fetchall()]
        assert [name in file for name, file in zip(names, held, strict=True)] == [True] * 5

    assert stopped_everywhere(lambda: past.migrate(operation, atomic=atomic), intact) > 4
    assert [(file.name, file.size) for file in past.held()] == [
        *((name, 7) for name in names[:4]),
        (names[4], None),
    ]
    assert columns() == {"id", "file", "title"}
    new, made = past.state, shape(TABLE)
    assert stopped_everywhere(lambda: past.back(atomic=atomic), intact) > 4
    assert past.held() == names
    undone = shape(TABLE)
    assert made == fresh(new)
    assert undone == fresh(old)


def test_stopped_before_the_swap_alone(memory: None, past: Past) -> None:
    """What was dropped for the swap is made again, though by another run."""
    title = ("title", models.CharField(max_length=10, default="t"))
    past.start(document(), title, constraints=[TOGETHER])
    past.add("d/1.txt")

    def stop(execute: Any, sql: str, *rest: Any) -> Any:
        if "DROP COLUMN" in sql or sql.startswith("CREATE TABLE"):
            raise Stopped
        return execute(sql, *rest)

    with connection.execute_wrapper(stop), pytest.raises(Stopped):
        past.migrate(convert(), atomic=False)
    past.migrate(convert(), atomic=False)
    assert [file.name for file in past.held()] == ["d/1.txt"]
    made = shape(TABLE)
    assert made == fresh(past.state)


def test_a_second_run_goes_on(
    watched: list[list[str]], past: Past, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{'ab'[n > 4]}/{n}.txt" for n in range(10)]
    store(*names)
    past.start(document())
    past.add("a/none.txt", *names)
    with connection.execute_wrapper(StopAt(5)), pytest.raises(Stopped):
        past.migrate(convert(batch_size=2), atomic=False)
    assert columns() == {"id", "file", "file_converting"}
    watched.clear()
    past.migrate(convert(batch_size=2), atomic=False)
    assert [walk[0] for walk in watched] == ["b"]
    assert [file.size for file in past.held()] == [None, *[7] * 10]
    # of the run before, too
    (warning,) = caplog.messages
    assert "STORAGES['default'] lacks 1 file: pk=1 a/none.txt." in warning


def test_a_run_that_was_not_recorded(memory: None, past: Past) -> None:
    past.start(document(unique=True))
    past.add("d/1.txt")
    start = past.state
    for _ in range(2):
        past.state = start
        past.migrate(convert({"unique": True}), atomic=False)
        assert [file.name for file in past.held()] == ["d/1.txt"]
        assert columns() == {"id", "file"}
    made = shape(TABLE)
    assert made == fresh(past.state)


def test_rows_that_change_meanwhile(memory: None, past: Past) -> None:
    store("d/1.txt", "d/2.txt", "d/new.txt", "d/later.txt")
    past.start(document(blank=True))
    past.add("d/1.txt", "d/2.txt", "d/1.txt")

    def others(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE") and not seen:
            seen.append(sql)
            rows = past.model.objects
            rows.filter(pk=1).update(file="d/new.txt")
            rows.filter(pk=3).update(file="")
            rows.create(file="d/later.txt")
        return result

    seen: list[str] = []
    with connection.execute_wrapper(others):
        past.migrate(convert(OPTIONAL), atomic=False)
    held = [file and (file.name, file.size) for file in past.held()]
    assert held == [("d/new.txt", 9), ("d/2.txt", 7), None, ("d/later.txt", 11)]


def test_rows_that_no_longer_fit_meanwhile(memory: None, past: Past) -> None:
    past.start(document())
    past.add("a.txt")
    past.migrate(convert())

    def others(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "ADD COLUMN" in sql:
            past.model.objects.update(file=FileObject("second", "b.txt"))
        return execute(sql, params, many, context)

    with (
        connection.execute_wrapper(others),
        pytest.raises(ValueError, match=r"pk=1 'b\.txt' on 'second'"),
    ):
        past.back(atomic=False)
    past.model.objects.update(file=FileObject("default", "b.txt"))
    past.back(atomic=False)
    assert past.held() == ["b.txt"]


def test_nobody_writes_between_the_last_look_and_the_swap(memory: None, past: Past) -> None:
    past.start(document())
    past.add("d/1.txt")
    with CaptureQueriesContext(connection) as queries:
        past.migrate(convert(), atomic=False)
    statements = [query["sql"] for query in queries]
    # SQLite lets nobody commit who wrote since another began to read
    begins = "BEGIN" if VENDOR == "sqlite" else "LOCK TABLE"
    lock = max(n for n, sql in enumerate(statements) if sql.startswith(begins))
    swap = next(n for n, sql in enumerate(statements) if "DROP COLUMN" in sql or "new__" in sql)
    assert any(sql.startswith("SELECT") and TABLE in sql for sql in statements[lock:swap])


# large tables, and kill -9: each step in a process of its own


def _past() -> Past:
    """Return a table that is there, of a FileField."""
    made = Past()
    columns: Any = [("id", models.BigAutoField(primary_key=True)), document()]
    CreateModel("Document", columns).state_forwards(APP, made.state)
    return made


def step(database: str, place: str, what: str, rows: int, atomic: bool) -> dict[str, Any]:
    """Do one step on a table in `database`, its files in the folder `place`; tell of it."""
    settings.DEBUG = False  # else Django keeps the statements
    connection.settings_dict["NAME"] = database
    names = [f"documents/{number % 97:02}/{number:07}.txt" for number in range(rows)]
    with using(default={"BACKEND": OURS, "OPTIONS": {"fs": "file", "prefix": place}}):
        if what == "make":
            made = Past().start(document())
            for start in range(0, rows, 5000):
                made.add(*names[start : start + 5000])
            return {}
        past = _past()
        operation = convert(batch_size=1000 if rows > 50_000 else 20)
        if what == "convert":
            print("go", flush=True)
            idle = memory_of_process("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")
            begun = time.monotonic()
            past.migrate(operation, atomic=atomic)
            seconds = time.monotonic() - begun
            return {"seconds": seconds, "peak": memory_of_process("VmHWM") - idle}
        operation.state_forwards(APP, past.state)
        held = past.model.objects.order_by("pk").values_list("file__filename", "file__size")
        assert columns() == {"id", "file"}
        assert list(held) == [(name, 7) for name in names]
        past.drop()
        return {}


def memory_of_process(field: str) -> int:
    """Return the kernel's own account of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


class Steps:
    """Runs steps, each in a process of its own."""

    def __init__(self, folder: Path, rows: int, *, atomic: bool) -> None:
        name = (
            str(folder / "db.sqlite3") if VENDOR == "sqlite" else connection.settings_dict["NAME"]
        )
        self._database, self._place, self._rows, self._atomic = name, folder, rows, atomic
        for number in range(rows):
            path = folder / f"documents/{number % 97:02}/{number:07}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"content")

    def begin(self, what: str) -> subprocess.Popen[str]:
        arguments = (self._database, str(self._place), what, self._rows, self._atomic)
        code = (
            "import django; django.setup()\n"
            "import json; from tests import test_convert_interrupted\n"
            f"print(json.dumps(test_convert_interrupted.step(*{arguments!r})))"
        )
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    def do(self, what: str) -> dict[str, Any]:
        with self.begin(what) as process:
            out, _ = process.communicate()
        assert process.returncode == 0
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told


@pytest.mark.soak
def test_killed_at_any_moment(tmp_path: Path) -> None:
    for atomic in (False, True):
        steps = Steps(tmp_path / f"{atomic}", 3000, atomic=atomic)
        steps.do("make")
        seconds = steps.do("convert")["seconds"]
        steps.do("check")
        steps.do("make")
        # what is begun anew each time is killed anywhere; what goes on must get somewhere
        longest = seconds if atomic and connection.features.can_rollback_ddl else seconds / 4
        killed = 0
        while killed < 12:
            with steps.begin("convert") as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "go\n"
                try:
                    process.wait(random.uniform(0, longest))
                except subprocess.TimeoutExpired:
                    process.kill()
                    killed += 1
                    continue
            steps.do("check")
            steps.do("make")
        steps.do("convert")
        steps.do("check")
        print(f"\nconvert | {VENDOR} | atomic={atomic} | killed {killed} times, all rows right")


@pytest.mark.soak
def test_memory_is_flat(tmp_path: Path) -> None:
    for rows in (20_000, 100_000):
        steps = Steps(tmp_path / f"{rows}", rows, atomic=True)
        steps.do("make")
        told = steps.do("convert")
        steps.do("check")
        megabytes = told["peak"] / 1_000_000
        print(f"\nconvert | {VENDOR} | {rows} rows, {told['seconds']:.1f} s, {megabytes:.1f} MB")
        assert megabytes < 40
