"""What migrate_files can't move is counted, listed and left where it is; the rest is moved."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError
from django.db import OperationalError, connection

from django_fsspec import FileObject
from django_fsspec.rows.columns import FileColumn
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers import moved_files
from tests.helpers.backends import server
from tests.helpers.moved_files import (
    PLACES,
    between,
    check_left,
    move,
    papers,
    there,
    there_names,
    through,
)
from tests.helpers.utils import started
from tests.library.models import Paper

pytestmark = pytest.mark.django_db(transaction=True)

memory = moved_files.memory


# the target


def test_a_target_that_refuses_the_login() -> None:
    options = PLACES["s3"]()
    fs_options = {**options["fs_options"], "secret": "another than it was"}
    with override_storage(
        default=PLACES["memory"](), second={**options, "fs_options": fs_options}
    ):
        made = papers(3)
        said = move("library.Paper", delete_source=True, expect=1)
        assert "failed                           3" in said
        for number, paper in enumerate(made):
            check_left(said, paper, "PermissionError", b"p%d" % number)
        assert "another than it was" not in said


@pytest.mark.parametrize(
    ("source", "target"),
    [
        # the service copies
        ("memory", "memory"),
        ("local", "local"),
        ("s3", "s3"),
        ("s3", "memory"),
        ("local", "s3"),
        ("memory", "local"),
    ],
)
def test_a_missing_file_is_missing_in_the_source(source: str, target: str) -> None:
    with between(source, target):
        (paper,) = papers(1)
        name = paper.file.name
        storages["default"].delete(name)
        for size in (2, None, 100_000_000):  # as rows say, and large files are streamed
            Paper.objects.update(file=FileObject("default", name, size=size))
            said = move("library.Paper", expect=1)
            assert f"library.Paper.file {paper.pk}: {name}: FileNotFoundError" in said
            assert f"No such file in STORAGES['default']: '{name}'" in said
            assert "STORAGES['second']" not in said


def test_a_target_that_has_no_room_for_one_file() -> None:
    with between("memory", "local"):
        made = papers(3)
        large = Paper.objects.create(file=ContentFile(b"x" * 2_000_000, name="large.bin"))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # the system itself refuses what is longer, as a full disk or a quota does
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        try:
            said = move("library.Paper", delete_source=True, expect=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        check_left(said, large, "", b"x" * 2_000_000)
        assert "File too large" in said
        assert there("second") == ["p0", "p1", "p2"]
        assert there_names("default") == [large.file.name]
        assert "moved                            1" in move("library.Paper")
        assert Paper.objects.filter(file__backend="second").count() == 1 + len(made)


def test_a_name_that_the_target_refuses() -> None:
    with between("memory", "local"):
        made = papers(2)
        file = FileObject("default", f"{'ä' * 140}.txt", content=b"long").save()
        long = Paper.objects.create(file=file)
        said = move("library.Paper", delete_source=True, expect=1)
        check_left(said, long, "", b"long")
        assert "255 bytes" in said
        assert there("second") == ["p0", "p1"]
        assert len(made) == Paper.objects.filter(file__backend="second").count()


def test_a_target_that_is_dead_and_comes_back() -> None:
    with (
        started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy,
        override_storage(default=PLACES["memory"](), second=through(proxy)),
    ):
        made = papers(3)
        proxy.set_down(True)
        said = move("library.Paper", expect=1)
        for number, paper in enumerate(made):
            check_left(said, paper, "StorageError", b"p%d" % number)
        proxy.set_down(False)
        assert "moved                            3" in move("library.Paper")
        assert there("second") == ["p0", "p1", "p2"]


# rows and the database


def test_files_of_rows_that_were_replaced_or_deleted_before_their_turn_are_not_missed(
    memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = papers(4)
    pages = FileColumn.pages

    def read_and_change(self: FileColumn, *args: Any, **options: Any) -> Iterator[Any]:
        rows = list(pages(self, *args, **options))
        if rows:
            replaced = Paper.objects.get(pk=made[0].pk)
            replaced.file = ContentFile(b"new", name="new.txt")
            replaced.save()
            Paper.objects.get(pk=made[1].pk).delete()
            storages["default"].delete(made[2].file.name)
        yield from rows

    monkeypatch.setattr(FileColumn, "pages", read_and_change)
    said = move("library.Paper", expect=1)
    assert "row changed meanwhile            2" in said
    assert "failed                           1" in said
    assert f"{made[2].pk}: {made[2].file.name}: FileNotFoundError" in said
    assert there("second") == ["p3"]
    assert there("default") == ["new", "p3"]


def _failing(times: int) -> tuple[Callable[..., Any], list[str]]:
    """Return what refuses the first UPDATEs, as a database does that ends a deadlock."""
    refused: list[str] = []

    def refuse(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if sql.startswith("UPDATE") and len(refused) < times:
            refused.append(sql)
            raise OperationalError("deadlock detected")
        return execute(sql, *args)

    return refuse, refused


def test_a_deadlock_is_tried_again(memory: None) -> None:
    papers(3)
    refuse, refused = _failing(2)
    with connection.execute_wrapper(refuse):
        move("library.Paper")
    assert len(refused) == 2
    assert Paper.objects.filter(file__backend="second").count() == 3


@pytest.mark.slow
def test_a_database_that_stays_away_ends_it_and_the_next_run_goes_on(memory: None) -> None:
    papers(3)
    refuse, _ = _failing(100)
    with (
        connection.execute_wrapper(refuse),
        pytest.raises(CommandError, match="The database failed: deadlock") as ended,
    ):
        move("library.Paper")
    assert ended.value.returncode == 1
    assert Paper.objects.filter(file__backend="second").count() == 0
    said = move("library.Paper", delete_source=True)
    assert "already in the target            3" in said
    assert there("second") == ["p0", "p1", "p2"]
    assert there("default") == []
