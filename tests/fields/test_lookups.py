"""StoredObjectField: queries, and none of them asks a storage."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db import connection
from django.db.models import Count, F, Max, Sum
from django.db.models.functions import Lower, Upper
from django.test.utils import CaptureQueriesContext

from django_fsspec.testing import override_storage
from tests.fields.rows import described, titles
from tests.library.models import Paper, Shelf

pytestmark = [
    pytest.mark.django_db(databases=["default", "other"]),
    pytest.mark.usefixtures("memory"),
]


@pytest.mark.parametrize(
    ("found", "conditions"),
    [
        ("0", {"file__size__gt": 20}),
        ("0", {"file__size": 5_000_000_000}),
        ("12", {"file__size__range": (3, 20)}),
        ("12", {"file__size__in": [3, 20, 7]}),
        ("34", {"file__size__isnull": True}),
        ("01", {"file__content_type__startswith": "image/"}),
        ("01", {"file__content_type": "image/png"}),
        ("2", {"file__content_type__endswith": "plain"}),
        ("01", {"file__content_type__icontains": "PNG"}),
        ("0", {"file__filename": "papers/a.PNG"}),
        ("", {"file__filename": "PAPERS/A.png"}),
        ("0", {"file__filename__iexact": "PAPERS/A.png"}),
        ("01", {"file__filename__iendswith": ".png"}),
        ("2", {"file__filename__contains": "c%_"}),
        ("1", {"file__filename__regex": r"b\.p"}),
        ("0123", {"file__backend": "default"}),
        ("0", {"file__last_modified__gte": 1700000000.25}),
        ("0", {"file__checksum": "sha256:aa"}),
        ("0", {"file__etag": "x"}),
        ("01234", {"file__version_id__isnull": True}),
        ("0", {"file__metadata__camera": "Leica"}),
        ("1", {"file__metadata__camera": "Ä"}),
        ("0", {"file__metadata__shot__iso__gte": 400}),
        ("01", {"file__metadata__has_key": "camera"}),
        ("0", {"file__metadata__tags__0": "a"}),
        ("4", {"file__isnull": True}),
        ("4", {"file": None}),
        ("1", {"file__refers_to": "papers/b.png"}),
        ("12", {"file__refers_to": ["papers/b.png", "papers/c%_.txt", "papers/none"]}),
        ("", {"file__refers_to": []}),
    ],
    ids=str,
)
def test_filters(papers: list[Paper], found: str, conditions: dict[str, Any]) -> None:
    assert titles(**conditions) == found


def test_a_file_is_found_by_itself(papers: list[Paper]) -> None:
    assert titles(file=papers[1].file) == "1"
    assert titles(file__in=[papers[1].file, papers[3].file]) == "13"
    assert titles(file__in=[]) == ""
    papers[1].file.metadata["seen"] = True
    assert titles(file=papers[1].file) == "1"


@pytest.mark.parametrize("condition", [{"file": "papers/b.png"}, {"file__in": ["papers/b.png"]}])
def test_a_name_is_no_file(papers: list[Paper], condition: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"^Paper\.file .*file__filename='papers/b\.png'"):
        Paper.objects.filter(**condition)
    with pytest.raises(TypeError, match=r"files__refers_to='x'"):
        Shelf.objects.filter(files="x")  # type: ignore[misc]


def test_values_and_aggregates(papers: list[Paper]) -> None:
    rows = Paper.objects.order_by("title")
    assert list(rows.values_list("file__size", flat=True)) == [5_000_000_000, 20, 3, None, None]
    assert list(rows.values_list("file__last_modified", flat=True))[:3] == [1700000000.5, None, 1]
    assert rows.values("file__filename", "file__metadata__camera")[1] == {
        "file__filename": "papers/b.png",
        "file__metadata__camera": "Ä",
    }
    assert rows.values_list("file__metadata", flat=True)[0]["shot"] == {"iso": 400}
    assert rows.values_list("file", flat=True)[1] == papers[1].file
    assert rows.aggregate(total=Sum("file__size"), largest=Max("file__size")) == {
        "total": 5_000_000_023,
        "largest": 5_000_000_000,
    }
    kinds = Paper.objects.filter(file__isnull=False).values("file__content_type")
    table = kinds.annotate(n=Count("pk"), size=Sum("file__size")).order_by("-n", "-size")
    assert [tuple(row.values()) for row in table.exclude(file__size=None)] == [
        ("image/png", 2, 5_000_000_020),
        ("text/plain", 1, 3),
    ]
    smallest = Paper.objects.exclude(file__size=None).order_by("file__size")
    assert [row.title for row in smallest] == ["2", "1", "0"]
    assert [row.title for row in smallest.reverse()] == ["0", "1", "2"]
    doubled = rows.annotate(twice=F("file__size") * 2, up=Upper("file__content_type"))
    assert [(row.twice, row.up) for row in doubled[1:3]] == [
        (40, "IMAGE/PNG"),
        (6, "TEXT/PLAIN"),
    ]
    assert rows.filter(file__filename=Lower("file__filename"))[0].title == "1"


def test_fields_with_several_files() -> None:
    one = Shelf.objects.create(files=[described("x/1.txt", size=1), described("x/2%.txt", size=2)])
    accents = Shelf(files=[described("x/Grüße 🌍.txt")])
    accents.save()
    assert list(Shelf.objects.filter(files__refers_to=["x/Grüße 🌍.txt", "y"])) == [accents]
    accents.delete()
    none = Shelf.objects.create()
    rows = Shelf.objects.order_by("pk")
    assert list(rows.values_list("files__len", flat=True)) == [2, 0]
    assert list(rows.filter(files__1__size=2)) == [one]
    assert list(rows.filter(files__0__filename__startswith="x/")) == [one]
    assert rows.values_list("files__1", flat=True)[0] == described("x/2%.txt")
    assert list(rows.values_list("files__1__size", flat=True)) == [2, None]
    assert list(rows.filter(files__len=0)) == [none]
    assert list(rows.filter(files__refers_to=["x/2%.txt", 'quo"te'])) == [one]
    assert list(rows.filter(files__refers_to="2")) == []
    assert rows.aggregate(Sum("files__0__size")) == {"files__0__size__sum": 1}


@pytest.mark.parametrize("place", ["²", "٣"])
def test_a_digit_that_is_no_place_in_a_list(place: str) -> None:
    with pytest.raises(FieldError, match=f"Unsupported lookup '{place}"):
        Shelf.objects.filter(**{f"files__{place}__size": 1}).exists()


def test_a_page_of_rows_asks_no_storage(papers: list[Paper]) -> None:
    with (
        override_storage(
            default={"fs": "s3", "prefix": "b", "fs_options": {"endpoint_url": "x:"}}
        ),
        CaptureQueriesContext(connection) as queries,
    ):
        for row in Paper.objects.all():
            if row.file:
                assert str(row.file) and row.file.content_type  # noqa: PT018
                assert row.file.original_name
    assert len(queries) == 1
