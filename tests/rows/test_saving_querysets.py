"""Many rows at once: querysets, cascades, bulk_create(), and what update() refuses."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_fsspec import FileObject
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from tests.helpers import row_files
from tests.helpers.row_files import Mishap, held, text, there
from tests.library.models import Box, Paper, Record, Shelf

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


def test_bulk_create_rolled_back(place: str) -> None:
    papers = [Paper(file=text(f"p{n}")) for n in range(5)]
    with pytest.raises(Mishap), transaction.atomic():
        Paper.objects.bulk_create(papers, batch_size=2)
        assert len(there()) == 5
        raise Mishap
    assert there() == []
    assert all(paper.file.has_pending_data for paper in papers)
    Paper.objects.bulk_create(papers)
    assert len(there()) == len(held()) == 5


def test_bulk_create_with_a_row_that_is_refused(memory: None) -> None:
    records = [Record(file=text(str(n)), unique="x" if n > 1 else str(n)) for n in range(4)]
    with pytest.raises(IntegrityError):
        Record.objects.bulk_create(records)
    assert there() == []


def test_update_and_bulk_update_refuse_what_is_not_stored(memory: None) -> None:
    paper = Paper.objects.create(file=text("one"))
    with pytest.raises(ValueError, match=r"Paper\.file: .* save\(\) or bulk_create\(\)"):
        Paper.objects.update(file=text("two"))
    paper.file = text("two")
    with pytest.raises(ValueError, match=r"save_files"):
        Paper.objects.bulk_update([paper], ["file"])
    with pytest.raises(ValueError, match=r"save_files"):
        Paper.objects.update(file=FileObject("default", "x", content=b"x"))
    assert (there(), held()) == (["one"], ["one"])
    stored = FileObject("default", "papers/b.txt", content=b"three").save()
    Paper.objects.update(file=stored)
    assert held() == ["three"]
    paper.file = FileObject("default", "papers/c.txt", content=b"four").save()
    Paper.objects.bulk_update([paper], ["file"])
    assert held() == ["four"]
