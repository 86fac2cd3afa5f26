"""Deleting many rows: querysets and cascades delete the files at no query a row."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.signals import post_delete, pre_delete
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from tests.helpers import row_files
from tests.helpers.audit import put_json
from tests.helpers.row_files import Mishap, receiving, text, there
from tests.library.models import Box, Magazine, Paper, Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

place = row_files.place


def test_querysets_and_cascades(place: str) -> None:
    counts = set()
    unreferenced("default", [Ref("default", "lists the tables, once a process")])
    for count in (2, 8):
        Paper.objects.bulk_create([Paper(file=text(f"p{n}")) for n in range(count)])
        assert there() == [f"p{n}" for n in range(count)]
        with CaptureQueriesContext(connection) as queries:
            Paper.objects.filter(pk__gt=0).delete()
        assert there() == []
        counts.add(len(queries))
    assert len(counts) == 1  # none a row
    shelf = Shelf.objects.create(files=[text("s1"), text("s2")])
    Box.objects.create(shelf=shelf, file=text("b1"))
    Box.objects.create(shelf=shelf, file=text("b2"))
    assert there() == ["b1", "b2", "s1", "s2"]
    shelf.delete()
    assert there() == []


def test_deleting_costs_no_query_a_row(memory: None) -> None:
    def deleting(count: int) -> int:
        made = Paper.objects.bulk_create(Paper(file=text(str(number))) for number in range(count))
        with CaptureQueriesContext(connection) as queries:
            Paper.objects.filter(pk__in=[paper.pk for paper in made]).delete()
        assert there() == []
        return len(queries)

    unreferenced("default", [Ref("default", "lists the tables, once a process")])
    assert deleting(2) == deleting(50)


def test_a_deletion_that_failed_leaves_no_wrapper(memory: None) -> None:
    first = Magazine.objects.create(file=text("one"), cover=text("two"))
    second = Magazine.objects.create(file=text("three"), cover=text("four"))

    def refuse(**kwargs: Any) -> None:
        raise Mishap

    # nothing waits for the garbage collector
    gc.disable()
    try:
        with transaction.atomic():
            with receiving(post_delete, refuse, Magazine), pytest.raises(Mishap):
                first.delete()
            # the transaction is doomed: this fails in the wrapper of the first
            with pytest.raises(TransactionManagementError):
                second.delete()
        assert connection.execute_wrappers == []
    finally:
        gc.enable()
    assert there() == ["four", "one", "three", "two"]


def test_a_statement_that_is_no_str(memory: None) -> None:
    class Composed:
        """SQL as psycopg composes it."""

        def __str__(self) -> str:
            return "SELECT 1"

    def as_str(execute: Any, sql: Any, *rest: Any) -> Any:
        return execute(str(sql), *rest)

    def ask(**kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(Composed())  # type: ignore[arg-type]

    paper = Paper.objects.create(file=text("one"))
    with connection.execute_wrapper(as_str), receiving(pre_delete, ask, Paper):
        paper.delete()
    assert there() == []


def test_a_signal_that_no_deletion_sent_leaves_nothing(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    pre_delete.send(sender=Paper, instance=paper, using="default", origin=paper)
    assert (connection.execute_wrappers, connection.run_on_commit) == ([], [])
    assert there() == ["one"]


def test_a_row_with_a_refused_name_keeps_no_file_of_other_rows(place: str) -> None:
    Paper.objects.create(file=text("good"))
    bad = Paper.objects.create(file=text("lost"))
    put_json(bad, "file", {"backend": "default", "filename": "../x"})
    Paper.objects.all().delete()
    assert there() == ["lost"]
