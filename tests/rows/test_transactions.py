"""What is undone: a rollback, a refusal or a failure leaves no file without a row."""

from __future__ import annotations

import gc
import io
import logging
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import storages
from django.db import (
    DatabaseError,
    IntegrityError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.models.signals import pre_delete
from django.db.models.sql.compiler import SQLUpdateCompiler
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from tests.helpers import row_files
from tests.helpers.row_files import Mishap, held, receiving, text, there
from tests.library.models import Box, Label, Magazine, Paper, Record, Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

place = row_files.place


# what a rollback does


@pytest.mark.parametrize("kind", ["exception", "set_rollback", "savepoint"])
def test_a_rollback_removes_what_was_stored_at_once(place: str, kind: str) -> None:
    paper = Paper.objects.create(file=text("one"))
    with transaction.atomic():
        kept = Paper.objects.create(file=text("outer"))
        try:
            with transaction.atomic():
                Paper.objects.create(file=text("new"))
                paper.file = text("two")
                paper.save()
                assert there() == ["new", "one", "outer", "two"]
                if kind == "set_rollback":
                    transaction.set_rollback(True)
                else:
                    raise Mishap
        except Mishap:
            pass
        assert there() == ["one", "outer"]
    assert sorted(map(str, held())) == ["one", "outer"]
    assert kept.file.get_content() == b"outer"


def test_the_whole_transaction_rolled_back(place: str) -> None:
    paper = Paper.objects.create(file=text("one"))
    with pytest.raises(Mishap), transaction.atomic():
        Paper.objects.create(file=text("new"))
        paper.file = text("two")
        paper.save()
        paper.delete()
        raise Mishap
    assert (there(), held()) == (["one"], ["one"])


def test_what_was_rolled_back_can_be_saved_again(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    for attempt in range(3):
        try:
            with transaction.atomic():
                new = paper if attempt else Paper.objects.get(pk=paper.pk)
                new.file = new.file if attempt == 2 else text("two")
                new.save()
                if attempt < 2:
                    raise Mishap
        except Mishap:
            assert new.file.has_pending_data
            assert there() == ["one"]
    assert (there(), held()) == (["two"], ["two"])
    assert paper.file.name.startswith("papers/a")


@pytest.mark.parametrize("multiple", [False, True], ids=["one", "list"])
@pytest.mark.parametrize("savepoint", [False, True], ids=["same block", "savepoint"])
@pytest.mark.parametrize("bulk", [False, True], ids=["save", "bulk_create"])
def test_a_description_of_a_file_that_was_rolled_back(
    place: str, multiple: bool, savepoint: bool, bulk: bool
) -> None:
    """A file described by hand, which the same transaction has stored."""
    model: Any = Shelf if multiple else Paper
    name = "files" if multiple else "file"

    def row(file: Any) -> Any:
        return model(**{name: [file] if multiple else file})

    again: Any = None
    with pytest.raises(Mishap), transaction.atomic():
        made = row(text("one"))
        made.save()
        described = (made.files[0] if multiple else made.file).to_dict()
        with transaction.atomic() if savepoint else nullcontext():
            again = row(FileObject.from_dict(described))
            again.save()
        raise Mishap
    assert there() == []
    copied = row(again.files[0] if multiple else again.file)
    with pytest.raises(FileNotFoundError):
        model.objects.bulk_create([copied]) if bulk else copied.save()
    assert not model.objects.exists()


def test_a_file_that_changed_in_blocks_between_each_other_is_unsaved_again(place: str) -> None:
    row = Paper(file=text("one"))
    with pytest.raises(Mishap), transaction.atomic():
        Paper.objects.create(file=text("outer"))
        with transaction.atomic():
            row.save()
        row.pk = None
        row._state.adding = True
        row.save()  # another row, with a copy
        raise Mishap
    assert there() == []
    assert row.file.has_pending_data
    row.pk = None
    row.save()
    assert held() == ["one"] == there()


def test_a_clear_that_was_rolled_back_is_done_when_saved_again(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    paper.file = None
    with pytest.raises(Mishap), transaction.atomic():
        paper.save()
        raise Mishap
    assert held() == ["one"]
    paper.save()
    assert (there(), held()) == ([], [None])


def test_storing_without_the_row_is_undone_by_a_rollback(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    with pytest.raises(Mishap), transaction.atomic():
        paper.file.save("c.txt", ContentFile(b"three"), save=False)
        assert there() == ["one", "three"]
        raise Mishap
    assert there() == ["one"]


def test_rollbacks_are_of_the_database_that_was_written(memory: None) -> None:
    with transaction.atomic(using="default"):
        with pytest.raises(Mishap), transaction.atomic(using="other"):
            Paper.objects.using("other").create(file=text("other"))
            Paper.objects.create(file=text("default"))
            raise Mishap
        assert there() == ["default"]
    assert there() == ["default"]


def test_rollbacks_in_many_threads(memory: None) -> None:
    if connection.vendor == "sqlite":
        return  # one writer at a time: the transactions would wait for each other

    def work(number: int) -> None:
        try:
            with pytest.raises(Mishap), transaction.atomic():
                Paper.objects.create(file=text(str(number)))
                raise Mishap
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert there() == []


# what is refused


@pytest.mark.parametrize("atomic", [True, False])
def test_a_row_that_is_refused_leaves_no_file(place: str, atomic: bool) -> None:
    Record.objects.create(file=text("one"), unique="x")
    twin = Record(file=text("two"), unique="x")
    with pytest.raises(IntegrityError):
        if atomic:
            with transaction.atomic():
                twin.save()
        else:
            twin.save()
    assert there() == ["one"]
    assert twin.file.has_pending_data
    twin.unique = "y"
    twin.save()
    assert there() == ["one", "two"]


@pytest.mark.parametrize("atomic", [False, True])
def test_a_row_that_is_refused_at_the_end_of_its_statement_leaves_no_file(
    place: str, atomic: bool
) -> None:
    # SQLite says so when the new primary key is read
    with pytest.raises(IntegrityError), transaction.atomic() if atomic else nullcontext():
        Box.objects.create(shelf_id=12345, file=text("nobody's"))
    assert there() == []


def test_a_statement_that_returns_what_the_database_made(place: str) -> None:
    label = Label.objects.create(title="one", file=text("one"))
    label.title, label.file = "two", text("two")
    label.save()
    label.refresh_from_db()
    assert (label.loud, label.file.get_content(), there()) == ("TWO", b"two", ["two"])
    Label.objects.all().delete()
    label.file = text("three")
    with pytest.raises(DatabaseError):
        label.save(force_update=True)
    assert there() == []


def test_a_file_that_is_refused_leaves_no_row(place: str) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100
        raise Mishap

    with pytest.raises(Mishap):
        Paper.objects.create(file=FileObject("default", "b.txt", content=broken()))
    closed = File(io.BytesIO(b"x"), name="c.txt")
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        Paper.objects.create(file=closed)
    assert (there(), held()) == ([], [])


def test_the_second_file_failing_removes_the_first(place: str) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise Mishap

    cover = FileObject("default", "b.txt", content=broken())
    magazine = Magazine(file=text("one"), cover=cover)
    with pytest.raises(Mishap):
        magazine.save()
    assert there() == []
    assert magazine.file.has_pending_data
    assert not Magazine.objects.exists()


def test_update_of_a_row_that_is_gone(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    Paper.objects.all()._raw_delete("default")
    paper.file = text("two")
    with pytest.raises(DatabaseError):
        paper.save(update_fields=["file"])
    assert there() == ["one"]


def test_a_deletion_that_comes_to_nothing(memory: None) -> None:
    paper = Paper.objects.create(file=text())

    def refuse(**kwargs: Any) -> None:
        raise Mishap

    with receiving(pre_delete, refuse, Paper), pytest.raises(Mishap):
        paper.delete()
    with CaptureQueriesContext(connection) as queries:
        assert held() == ["one"]
    assert len(queries) == 1
    paper.delete()
    assert there() == []


# what goes wrong afterwards


@pytest.mark.slow
def test_what_is_committed_stays_when_the_callback_of_another_raises(
    memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    def raises() -> None:
        raise Mishap

    paper = Paper.objects.create(file=text("old"))
    paper.file = text("new")
    with pytest.raises(Mishap), transaction.atomic():
        transaction.on_commit(raises)
        paper.save()
    gc.collect()
    assert (there(), held()) == (["new", "old"], ["new"])
    assert "was deleted: default:papers/a_" in caplog.text


def test_what_a_broken_connection_may_have_committed_stays(
    memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    # SQLite's in memory is never closed
    left, told = ([], 0) if connection.vendor == "sqlite" else (["one"], 1)
    with pytest.raises(Mishap), transaction.atomic():
        Paper.objects.create(file=text())
        connection.close()  # what Django does when neither COMMIT nor ROLLBACK is answered
        raise Mishap
    assert (there(), held()) == (left, [])
    assert caplog.text.count("It is unknown whether the transaction was committed") == told


def test_a_deletion_that_fails_is_logged_not_raised(
    memory: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper.objects.create(file=text("one"))
    paper.file = text("two")

    def fail(names: Any) -> None:
        raise OSError("no route")

    monkeypatch.setattr(storages["default"], "delete_many", fail)
    monkeypatch.setattr(storages["default"], "delete", fail)
    with caplog.at_level(logging.WARNING, "django_fsspec"):
        paper.save()
    assert held() == ["two"]
    assert "papers/a_" in caplog.text


# statements that are not executed


def locked(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    """Fail as a wait for a lock does."""
    if connection.in_atomic_block and not sql.startswith(("SAVEPOINT", "RELEASE")):
        raise OperationalError("lock timeout")
    return execute(sql, params, many, context)


@pytest.mark.parametrize("model", [Paper, Shelf])
def test_a_row_that_could_not_be_locked(place: str, model: Any) -> None:
    row = model()
    row.save()

    def change() -> None:
        if model is Paper:
            row.file = text("one")
        else:
            row.files.append(text("one"))

    change()
    with connection.execute_wrapper(locked), pytest.raises(OperationalError, match="lock"):
        row.save()
    assert there() == []
    row.save()
    assert there() == ["one"]
    assert held() == (["one"] if model is Paper else [])


def test_a_transaction_that_could_not_begin(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Paper.objects.create()
    paper.file = text("one")

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "set_autocommit", refuse)
        with pytest.raises(OperationalError, match="is lost"):
            paper.save()
    assert there() == []
    paper.save()
    assert (there(), held()) == (["one"], ["one"])


def test_a_statement_that_was_never_executed(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Paper.objects.create()
    paper.file = text("one")
    compile_update = SQLUpdateCompiler.as_sql

    def lose(compiler: Any) -> Any:
        compiled = compile_update(compiler)
        raise OperationalError("no connection", compiled)

    with monkeypatch.context() as patched:
        patched.setattr(SQLUpdateCompiler, "as_sql", lose)
        with pytest.raises(OperationalError, match="no connection"):
            paper.save()
    assert there() == []
    paper.save()
    assert (there(), held()) == (["one"], ["one"])
