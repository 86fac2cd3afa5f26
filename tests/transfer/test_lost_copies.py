"""A copy that was on the target before, and that others delete meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError
from django.db import OperationalError, connection, connections
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.admin.move_action import move as move_rows
from django_fsspec.objects.existence import existence
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from django_fsspec.transfer import lost_copies
from tests.helpers import moved_files
from tests.helpers.moved_files import PLACES, move, papers, there
from tests.library.models import Attachment, Paper, Shelf

pytestmark = pytest.mark.django_db(transaction=True)

memory = moved_files.memory


def copied_before(name: str, content: bytes) -> None:
    """Store a copy on the target, as a killed run leaves it."""
    storage: Any = storages["second"]
    storage.store(name, content, exact=True)


@contextmanager
def before_the_update(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` once, before rows are updated."""
    acts = [act]

    def execute(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if acts and sql.startswith("UPDATE"):
            acts.pop()()
        return execute(sql, *args)

    with connection.execute_wrapper(execute):
        yield


@pytest.mark.parametrize("delete_source", [True, False])
def test_a_copy_that_a_sweep_deletes_before_its_row_is_updated(
    memory: None, delete_source: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rows = papers(3)
    copied_before(rows[1].file.name, b"p1")
    with before_the_update(lambda: storages["second"].delete(rows[1].file.name)):
        said = move("library.Paper", delete_source=delete_source, expect=1)
    assert f"{rows[1].pk}: {rows[1].file.name}: the copy was deleted from the target" in said
    assert f"the copy {rows[1].file.name!r} from 'second'" in caplog.text
    assert there("second") == ["p0", "p2"]
    assert there("default") == (["p1"] if delete_source else ["p0", "p1", "p2"])
    assert [paper.file.backend for paper in Paper.objects.order_by("pk")] == [
        "second",
        "default",
        "second",
    ]
    move("library.Paper", delete_source=delete_source)
    assert there("second") == ["p0", "p1", "p2"]
    assert [paper.file.get_content() for paper in Paper.objects.order_by("pk")] == [
        b"p0",
        b"p1",
        b"p2",
    ]


def test_only_copies_that_were_there_before_are_looked_up(
    memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = papers(3)
    copied_before(rows[1].file.name, b"p1")
    asked: list[Any] = []

    def count(refs: Any) -> Any:
        asked.extend(refs)
        return existence(refs)

    monkeypatch.setattr(lost_copies, "existence", count)
    move("library.Paper", delete_source=True)
    assert asked == [("second", rows[1].file.name)]


def test_a_copy_for_a_file_field_that_others_delete(
    memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(Attachment.objects.create(file=ContentFile(b"one", name="a.txt")).file)
    copied_before(name, b"one")

    def delete_first(refs: Any) -> Any:
        storages["second"].delete(name)
        return existence(refs)

    monkeypatch.setattr(lost_copies, "existence", delete_first)
    said = move("library.Attachment", expect=1)
    assert f"{name}: the copy was deleted from the target" in said
    assert (there("default"), there("second")) == (["one"], [])
    monkeypatch.undo()
    move("library.Attachment")
    assert there("second") == ["one"]


def test_one_copy_of_a_list_and_the_admin_action(memory: None) -> None:
    files = [FileObject("default", f"{n}.txt", content=f"p{n}") for n in range(3)]
    shelf = Shelf.objects.create(files=files)
    name = shelf.files[1].name
    copied_before(name, b"p1")
    with before_the_update(lambda: storages["second"].delete(name)):
        journal = move_rows([shelf], "default", target="second", delete_source=True)
    assert (journal.counts, journal.deleted) == ({"moved": 2, "failed": 1}, 2)
    shelf.refresh_from_db()
    assert [file.backend for file in shelf.files] == ["second", "default", "second"]
    assert [file.get_content() for file in shelf.files] == [b"p0", b"p1", b"p2"]


def test_a_target_that_does_not_say_whether_it_has_the_copy_keeps_the_source() -> None:
    with (
        override_storage(default=PLACES["memory"]()),
        override_settings(STORAGES=_with(FailingStorage, "second")),
    ):
        rows = papers(1)
        copied_before(rows[0].file.name, b"p0")
        with before_the_update(lambda: setattr(storages["second"], "failures", 1)):
            assert "deleted in the source            1" in move(
                "library.Paper", delete_source=True
            )
        assert (there("default"), there("second")) == ([], ["p0"])

        rows = papers(1)
        copied_before(rows[0].file.name, b"p0")
        with before_the_update(lambda: setattr(storages["second"], "failures", 2)):
            assert "deleted in the source            0" in move(
                "library.Paper", delete_source=True
            )
        assert there("default") == ["p0"]


class FailingStorage(FSSpecStorage):
    """Its next calls of ``exists()`` fail."""

    failures = 0

    def exists(self, name: str) -> bool:
        if self.failures:
            self.failures -= 1
            raise OSError("unreachable")
        return super().exists(name)


class MeetingStorage(FSSpecStorage):
    """Its first deletion of many files waits until others have done their part."""

    meeting: Callable[[], object] | None = None

    def delete_many(self, names: Any) -> Any:
        meeting, self.meeting = self.meeting, None
        if meeting is not None:
            meeting()
        return super().delete_many(names)


def _with(storage_class: type[FSSpecStorage], alias: str, **others: Any) -> dict[str, Any]:
    backend = f"{storage_class.__module__}.{storage_class.__qualname__}"
    options = PLACES["memory"]()
    return {**settings.STORAGES, alias: {"BACKEND": backend, "OPTIONS": options}, **others}


class Opposite(threading.Thread):
    """A run in the opposite direction."""

    def __init__(self, label: str, target: str) -> None:
        super().__init__()
        self._label, self._target = label, target

    def run(self) -> None:
        try:
            # it exits with 1 for a copy that is gone; SQLite's tables in memory are locked
            with suppress(AssertionError, CommandError, OperationalError):
                move(self._label, source="second", target=self._target, delete_source=True)
        finally:
            connections.close_all()
            for database in connections.all(initialized_only=True):
                # Django keeps a database in memory open
                if database.connection is not None:
                    database.connection.close()

    def meet(self) -> None:
        """Go on as far as the other run lets it."""
        self.start()
        self.join(0.4)


def test_two_runs_in_opposite_directions() -> None:
    with (
        override_storage(second=PLACES["memory"]()),
        override_settings(STORAGES=_with(MeetingStorage, "default")),
    ):
        papers(3)
        opposite = Opposite("library.Paper", "default")
        storages["default"].meeting = opposite.meet  # type: ignore[attr-defined]
        move("library.Paper", delete_source=True)
        opposite.join()
        rows = list(Paper.objects.order_by("pk"))
        assert [row.file.get_content() for row in rows] == [b"p0", b"p1", b"p2"]
        assert sorted([*there("default"), *there("second")]) == ["p0", "p1", "p2"]


def test_two_runs_in_opposite_directions_with_a_file_field() -> None:
    through = {
        "BACKEND": "django_fsspec.readthrough.ReadThroughStorage",
        "OPTIONS": {"primary": "second", "fallback": "disk"},
    }
    with (
        override_storage(second=PLACES["memory"]()),
        override_settings(STORAGES=_with(MeetingStorage, "disk", default=through)),
    ):
        for number in range(3):
            name = storages["disk"].save(f"{number}.txt", ContentFile(b"a%d" % number))
            Attachment.objects.create(file=name)
        opposite = Opposite("library.Attachment.file", "disk")
        storages["disk"].meeting = opposite.meet  # type: ignore[attr-defined]
        move("library.Attachment.file", source="disk", delete_source=True)
        opposite.join()
        assert [row.file.read() for row in Attachment.objects.order_by("pk")] == [
            b"a0",
            b"a1",
            b"a2",
        ]
