"""Saving rows in projects with orderings, routers, related rows and callbacks of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.expressions import RawSQL
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_fsspec.fields import StoredObjectField
from tests.helpers.row_faults import left
from tests.helpers.row_files import Mishap, held, text, there
from tests.library.models import Archive, Chapter, Folder, Paper

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def test_an_ordering_by_another_table_is_left_out_of_locks(memory: None) -> None:
    chapter = Chapter.objects.create(file=text("one"), notes=[text("two")])
    chapter.file = text("three")
    chapter.save()
    assert there() == ["three", "two"]
    chapter.delete()
    assert (there(), left()) == ([], {})


def test_each_of_two_lists_has_its_own_files(memory: None) -> None:
    chapter: Any = Chapter.objects.create(notes=[text("one")])
    chapter.figures = chapter.notes
    chapter.figures.append(text("two"))
    assert (len(chapter.notes), len(chapter.figures)) == (1, 2)
    chapter.save()
    assert there() == ["one", "one", "two"]
    chapter.save()
    assert there() == ["one", "one", "two"]


def test_a_path_of_a_bulk_create_sees_keys_of_rows_saved_meanwhile(memory: None) -> None:
    folder = Folder()
    chapter = Chapter(folder=folder, file=text("one"))
    with pytest.raises(ValueError, match="unsaved related object"):
        Chapter.objects.bulk_create([chapter])
    assert there() == []
    folder.save()
    Chapter.objects.bulk_create([chapter])
    assert Chapter.objects.get().file.filename.startswith(f"chapters/{folder.pk}/")


def test_a_value_that_equals_another_for_python_is_written(memory: None) -> None:
    Paper.objects.create(file=text("one"))
    paper = Paper.objects.get()
    for value in (1, True, 1.5):
        paper.file.metadata["checked"] = value
        paper.save()
        checked = Paper.objects.get().file.metadata["checked"]
        assert (type(checked), checked) == (type(value), value)


def test_what_the_database_computed_is_unknown(memory: None) -> None:
    # a field without cleanup: the file stays when the database drops it
    archive: Any = Archive.objects.create(file=text("one"))
    file = archive.file
    archive.file = RawSQL("NULL", [])
    archive.save()
    archive.file = file
    archive.save()
    assert held(Archive) == ["one"]


def test_cleanup_is_known_to_data_migrations() -> None:
    assert "cleanup" not in StoredObjectField().deconstruct()[3]
    assert StoredObjectField(cleanup=False).deconstruct()[3]["cleanup"] is False


# routers


class WithReplica:
    """Reads from one database, and writes to the other."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "other"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True


class MigratesNothing:
    """The tables are made by others."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return False


@pytest.fixture
def replica(memory: None) -> Iterator[None]:
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.{WithReplica.__name__}"]):
        yield


def replicate(row: Paper) -> None:
    """Have the replica hold what the primary does."""
    Paper.objects.using("other").all().delete()
    values = Paper.objects.using("default").filter(pk=row.pk).values("id", "title", "file").get()
    Paper.objects.using("other").bulk_create([Paper(id=values["id"], title=values["title"])])
    Paper.objects.using("other").filter(pk=row.pk).update(file=values["file"])


def test_what_was_read_from_a_replica_is_known(replica: None) -> None:
    first = Paper.objects.create(file=text("one"))
    replicate(first)
    stale = Paper.objects.get()
    assert stale._state.db == "other"
    first.file = text("two")
    first.save()
    stale.title = "new"
    with CaptureQueriesContext(connection) as queries:
        stale.save()
    assert len(queries) == 1
    row = Paper.objects.using("default").get()
    assert (row.title, row.file.get_content()) == ("new", b"two")
    row.file = text("three")
    row.save()
    assert there() == ["three"]


def test_a_file_saved_without_its_row_follows_the_transaction_of_the_router(
    replica: None,
) -> None:
    replicate(Paper.objects.create(file=text("one")))
    row = Paper.objects.get()
    with pytest.raises(Mishap), transaction.atomic():
        row.file.save("b.txt", text("two"), save=False)
        raise Mishap
    assert there() == ["one"]


def test_rows_of_tables_that_nobody_migrates_hold_their_files(memory: None) -> None:
    first, second = (Paper.objects.create(file=text(data)) for data in ("one", "two"))
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.{MigratesNothing.__name__}"]):
        Paper.objects.filter(pk=second.pk).update(file=first.file)
        first.delete()
    assert held() == ["one"]


# callbacks


def test_replaced_files_of_a_transaction_are_looked_for_at_once(memory: None) -> None:
    papers = [Paper.objects.create(file=text("old")) for _ in range(4)]

    def searches(count: int) -> int:
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            for paper in papers[:count]:
                paper.file = text("new")
                paper.save()
                transaction.on_commit(lambda: None)
        statements = [query["sql"] for query in queries.captured_queries]
        return len(statements) - statements.index("COMMIT") - 1

    searches(1)  # the first asks which tables there are
    assert searches(3) == searches(1) > 0
    assert there() == ["new", "new", "new", "old"]
