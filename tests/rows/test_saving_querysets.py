"""Many rows at once: bulk_create(), and what update() and bulk_update() refuse."""

from __future__ import annotations

import re

import pytest
from django.db import IntegrityError, transaction

from django_fsspec import FileObject, save_files
from tests.helpers import row_files
from tests.helpers.row_files import Mishap, held, text, there
from tests.library.models import Paper, Record

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

place = row_files.place


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
    match = r"Paper\.file: .* save\(\) or bulk_create\(\)"
    with pytest.raises(ValueError, match=match) as refused:
        Paper.objects.update(file=text("two"))
    written = re.search(r"save_files\(.*\)(?=\.$)", str(refused.value))
    assert written
    names = {"file": text("zero"), "name": "zero.txt", "FileObject": FileObject}
    (zero,) = eval(written[0], {**names, "save_files": save_files})
    Paper.objects.update(file=zero)
    assert held() == ["zero"]
    Paper.objects.update(file=paper.file)
    zero.delete()
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
