"""StoredObjectField: queries without storage, JSON that is not ours, forms, fixtures, checks."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import checks, serializers
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import InvalidStorageError, storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Count, F, Max, Sum
from django.db.models.functions import Lower, Upper
from django.forms import modelform_factory
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils.datastructures import MultiValueDict

from django_fsspec import FileObject
from django_fsspec.fields import StoredObjectField
from django_fsspec.testing import override_storage
from tests.library.models import Ledger, Magazine, Paper, Photo, Record, Shelf, alias_of_tenant
from tests.test_filefield import png

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    with override_storage("default", "second"):
        yield


def described(name: str, **facts: Any) -> FileObject:
    """Return a file that is only said to be stored."""
    return FileObject("default", name, **facts)


@pytest.fixture
def papers() -> list[Paper]:
    rows = [
        described(
            "papers/a.PNG",
            size=5_000_000_000,
            content_type="image/png",
            last_modified=1700000000.5,
            checksum="sha256:aa",
            etag="x",
            metadata={"camera": "Leica", "shot": {"iso": 400}, "tags": ["a", "b"]},
        ),
        described("papers/b.png", size=20, content_type="image/png", metadata={"camera": "Ä"}),
        described("papers/c%_.txt", size=3, content_type="text/plain", last_modified=1.0),
        described("papers/d.bin"),
        None,
    ]
    made = [Paper(title=str(n), file=file) for n, file in enumerate(rows)]
    return Paper.objects.bulk_create(made)


def titles(**conditions: Any) -> str:
    rows = Paper.objects.filter(**conditions).order_by("title")
    return "".join(rows.values_list("title", flat=True))


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


# JSON that is not ours


def put(column: Any, table: str = "library_paper", name: str = "file", row: Any = None) -> None:
    row = row or Paper.objects.create(title="odd")
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {name} = %s WHERE id = %s", [json.dumps(column), row.pk]
        )


ODD: list[Any] = [
    [{"filename": "a", "backend": "default"}],
    "text",
    5,
    {"backend": "default"},
    {"filename": "a.txt"},
    {"filename": "a.txt", "backend": "nowhere"},
    {"filename": 5, "backend": None, "size": "much", "metadata": []},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_odd_json_is_told_when_it_is_used_and_spoils_no_other_row(
    papers: list[Paper], odd: Any
) -> None:
    put(odd)
    assert Paper.objects.aggregate(Sum("file__size"))["file__size__sum"] >= 5_000_000_023
    assert titles(file__size__gt=3, file__filename__startswith="papers")
    rows = list(Paper.objects.all())
    assert len([str(row.file) for row in rows]) == 6
    row = Paper.objects.get(title="odd")
    with pytest.raises((ValueError, InvalidStorageError)):
        row.file.get_content()
    with pytest.raises((ValueError, InvalidStorageError)):
        assert row.file.url
    row.title = "renamed"
    row.save()
    with connection.cursor() as cursor:
        cursor.execute("SELECT file FROM library_paper WHERE title = 'renamed'")
        raw = cursor.fetchone()[0]
    assert (json.loads(raw) if isinstance(raw, str) else raw) == odd
    row.pk = None
    row._state.adding = True
    row.save()
    kept = json.dumps(FileObject._from_json(odd)._to_json())
    with connection.cursor() as cursor:
        cursor.execute("SELECT file FROM library_paper WHERE id = %s", [row.pk])
        raw = cursor.fetchone()[0]
    assert (json.loads(raw) if isinstance(raw, str) else raw) == json.loads(kept)


def test_errors_of_odd_json_name_the_row() -> None:
    put([1, 2])
    row = Paper.objects.get()
    with pytest.raises(ValueError, match=rf"Paper\.file of Paper {row.pk}.* is list, not an obj"):
        row.file.open()
    with pytest.raises(ValidationError, match="This is not a file"):
        row.full_clean()
    put({"filename": "a.txt", "backend": "nowhere"}, row=row)
    with pytest.raises(InvalidStorageError, match="'nowhere' is not in STORAGES"):
        Paper.objects.get().file.get_content()


def test_extra_keys_are_kept() -> None:
    put({"filename": "a.txt", "backend": "default", "owner": "me", "size": 3})
    row = Paper.objects.get()
    assert row.file.size == 3
    row.file.metadata["seen"] = True
    row.save()
    again = Paper.objects.get().file
    assert again.metadata == {"_extra": {"owner": "me"}, "seen": True}


def test_odd_json_in_a_list() -> None:
    shelf = Shelf.objects.create()
    good = {"filename": "a.txt", "backend": "default"}
    put([good, 5, None], "library_shelf", "files", shelf)
    found = Shelf.objects.get()
    assert [bool(file) for file in found.files] == [True, False, False]
    found.files.append(described("b.txt"))
    found.save()
    assert Shelf.objects.values_list("files__len", flat=True)[0] == 4
    put(good, "library_shelf", "files", shelf)
    assert [file.name for file in Shelf.objects.get().files] == ["a.txt"]


def test_null_in_json_is_empty() -> None:
    put(None)
    shelf = Shelf.objects.create()
    put(None, "library_shelf", "files", shelf)
    assert Paper.objects.get().file is None
    assert Shelf.objects.get().files == []
    assert Paper.objects.filter(file__isnull=True).count() == 1
    assert Paper.objects.filter(file=None).count() == 1
    assert Paper.objects.exclude(file=None).count() == 0
    assert Paper.objects.filter(file__isnull=False).count() == 0
    for odd in (None, {"a": 1, "b": 2}, "text"):
        put(odd, "library_shelf", "files", shelf)
        assert Shelf.objects.values_list("files__len", flat=True)[0] is None


# the ORM


def test_get_or_create_and_its_like() -> None:
    paper, made = Paper.objects.get_or_create(
        title="t", defaults={"file": ContentFile("1", name="a.txt")}
    )
    assert made
    assert paper.file.get_content() == b"1"
    paper, made = Paper.objects.get_or_create(title="t")
    assert not made
    paper, made = Paper.objects.update_or_create(
        title="t", defaults={"file": ContentFile("2", name="b.txt")}
    )
    assert not made
    assert Paper.objects.get().file.get_content() == b"2"


def test_async_rows() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"as", b"yn", b"c"):
            await asyncio.sleep(0)
            yield piece

    async def run() -> None:
        paper = Paper(title="a", file=FileObject("default", "a.txt", content=pieces()))
        await paper.asave()
        assert await paper.file.aget_content() == b"async"
        other = await Paper.objects.acreate(file=ContentFile("2", name="b.txt"))
        await other.file.asave("c.txt", ContentFile(b"3"))
        assert await (await Paper.objects.aget(pk=other.pk)).file.aget_content() == b"3"
        await other.adelete()
        assert [paper async for paper in Paper.objects.all()] == [paper]

    async_to_sync(run)()


def test_constraints_and_max_length() -> None:
    ledger = Ledger(file=ContentFile("x" * 900, name="n" * 100 + ".csv"))
    ledger.full_clean()
    ledger.save()
    assert len(ledger.file.name) == 40
    assert ledger.file.name.endswith(".csv")
    big = Ledger(file=ContentFile("x" * 1001, name="b.csv"))
    with pytest.raises(ValidationError, match="ledger_is_small"):
        big.full_clean()
    assert big.file.has_pending_data
    with pytest.raises(IntegrityError), transaction.atomic():
        big.save()
    assert Ledger.objects.count() == 1
    assert list(Ledger.objects.filter(file__filename=ledger.file.name)) == [ledger]


def test_callable_backend_and_path() -> None:
    record = Record(file=ContentFile("1", name="a.txt"), tenant="second")
    record.save()
    assert record.file.backend == "second"
    assert record.file.name.startswith(f"second/{record.id}/a_")
    assert storages["second"].exists(record.file.name)
    assert list(Record.objects.filter(file__backend="second")) == [record]


def test_a_backend_chosen_for_an_upload_stays() -> None:
    paper = Paper(file=ContentFile(b"1", name="a.txt"))
    paper.file.backend = "second"
    paper.save()
    assert paper.file.backend == "second"
    assert storages["second"].exists(paper.file.name)


def test_a_file_object_keeps_its_own_backend_and_path() -> None:
    paper = Paper.objects.create(file=FileObject("second", "deep/own.txt", content=b"1"))
    assert (paper.file.backend, paper.file.name) == ("second", "deep/own.txt")
    twin = Paper.objects.create(file=FileObject("second", "deep/own.txt", content=b"2"))
    assert twin.file.name != paper.file.name
    assert Paper.objects.get(pk=paper.pk).file.get_content() == b"1"


def test_images() -> None:
    photo = Photo(image=SimpleUploadedFile("p.png", png(7, 3), "image/png"))
    photo.full_clean()
    photo.save()
    found = Photo.objects.get()
    assert (found.image.width, found.image.height) == (7, 3)
    assert found.image.content_type == "image/png"
    assert list(Photo.objects.filter(image__metadata__width__gt=6)) == [photo]
    for name, data, reason in (
        ("p.png", b"<html></html>", "html"),
        ("p.pdf", png(3, 3), "pdf"),
        ("t.txt", b"text", "text/plain"),
        ("big.png", png(400, 400) + bytes(100_000), "KB"),
        ("cut.png", png(30, 30)[:60], "image"),
    ):
        bad = Photo(image=SimpleUploadedFile(name, data, "image/png"))
        with pytest.raises(ValidationError, match=reason):
            bad.full_clean()


def held(row: Any) -> Any:
    return row.files if isinstance(row, Shelf) else row.file


def test_dumpdata_and_loaddata(papers: list[Paper]) -> None:
    Shelf.objects.create(files=[described("x/1.txt", size=1), described("x/2.txt")])
    for kind in ("json", "xml", "jsonl", "python"):
        rows = [*Paper.objects.order_by("pk"), *Shelf.objects.all()]
        dumped: Any = serializers.serialize(kind, rows)
        before = [
            [row.pk, getattr(row, "file", None) or getattr(row, "files", None)] for row in rows
        ]
        Paper.objects.all()._raw_delete("default")
        Shelf.objects.all()._raw_delete("default")
        for loaded in serializers.deserialize(kind, dumped):
            loaded.save()
        rows = [*Paper.objects.order_by("pk"), *Shelf.objects.all()]
        after = [
            [row.pk, getattr(row, "file", None) or getattr(row, "files", None)] for row in rows
        ]
        assert after == before
        assert Paper.objects.get(pk=papers[0].pk).file.to_dict() == papers[0].file.to_dict()


# forms


def files(**uploads: Any) -> MultiValueDict[str, Any]:
    """Return what a request has in FILES."""
    return MultiValueDict(
        {key: up if isinstance(up, list) else [up] for key, up in uploads.items()}
    )


def upload(name: str = "up.txt", data: bytes = b"uploaded") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "text/plain")


def test_a_model_form_stores_keeps_replaces_and_clears() -> None:
    form_class = modelform_factory(Paper, fields=["title", "file"])
    form = form_class({"title": "t"}, files(file=upload()))
    assert form.is_valid(), form.errors
    paper = form.save()
    assert Paper.objects.get().file.get_content() == b"uploaded"
    form = form_class({"title": "t2"}, files(), instance=Paper.objects.get())
    assert "up.txt" in form.as_p()
    assert form.is_valid()
    assert form.save().file == paper.file
    form = form_class({"title": "t"}, files(file=upload(data=b"2")), instance=Paper.objects.get())
    form.save()
    assert Paper.objects.get().file.get_content() == b"2"
    form = form_class({"title": "t", "file-clear": "on"}, files(), instance=Paper.objects.get())
    form.save()
    assert Paper.objects.get().file is None


def test_a_model_form_says_what_is_wrong() -> None:
    form_class = modelform_factory(Photo, fields=["image"])
    for given, reason in (
        ({}, "required"),
        ({"image": upload("a.png", b"")}, "empty"),
        ({"image": upload("a.png", b"<html>")}, "html"),
        ({"image": upload("a.txt", b"text")}, "text/plain"),
    ):
        form = form_class({}, files(**given))
        assert not form.is_valid()
        assert reason in str(form.errors["image"])
    assert not Photo.objects.exists()


def test_a_model_form_takes_several_files() -> None:
    form_class = modelform_factory(Shelf, fields=["files"])
    form = form_class({}, files(files=[upload("1.txt"), upload("2.txt")]))
    assert form.is_valid(), form.errors
    shelf = form.save()
    assert [file.original_name for file in shelf.files] == ["1.txt", "2.txt"]
    form = form_class({}, files(files=[upload("3.txt")]), instance=shelf)
    form.save()
    found = Shelf.objects.get()
    assert [file.original_name for file in found.files] == ["1.txt", "2.txt", "3.txt"]
    form = form_class({}, files(), instance=found)
    assert form.is_valid()
    assert len(form.save().files) == 3
    form = form_class({"files-clear": "on"}, files(), instance=found)
    assert form.is_valid()
    form.save()
    assert Shelf.objects.get().files == []


@pytest.mark.parametrize("length", [300, 5000])
def test_long_names(length: int) -> None:
    name = "n" * length + ".txt"
    form = modelform_factory(Paper, fields=["file"])({}, files(file=upload(name)))
    if form.is_valid():
        paper = form.save()
        assert len(paper.file.name) <= 255
    else:
        assert "255" in str(form.errors["file"])
    paper = Paper.objects.create(file=ContentFile(b"1", name=name))
    assert len(paper.file.name) <= 255
    assert paper.file.get_content() == b"1"


# migrations and checks


def test_what_a_migration_holds() -> None:
    field = StoredObjectField(
        backend="media", upload_to="a/%Y", max_size=5, content_types=["image/*"], null=True
    )
    _, path, args, kwargs = field.deconstruct()
    assert path == "django_fsspec.fields.StoredObjectField"
    assert args == []
    assert kwargs == {"backend": "media", "upload_to": "a/%Y", "null": True}
    _, _, _, kwargs = StoredObjectField(backend=alias_of_tenant, multiple=True).deconstruct()
    assert kwargs == {"backend": alias_of_tenant, "upload_to": "", "multiple": True}
    assert isinstance(field.clone(), StoredObjectField)


@isolate_apps("tests.library")
def test_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(models.Model):
        unknown = StoredObjectField(backend="nowhere")
        absolute = StoredObjectField(upload_to="/etc")
        blank = StoredObjectField(blank=True)
        picture = StoredObjectField(image=True, content_types=["image/*"])

        class Meta:
            app_label = "library"

    # as where the packages are not installed
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "filetype", None)
    found = [message for message in Wrong.check() if message.is_serious(checks.ERROR)]
    assert [message.id for message in found] == [
        "django_fsspec.E010",
        "django_fsspec.E011",
        "django_fsspec.E012",
        "django_fsspec.E013",
        "django_fsspec.E013",
    ]
    assert "django-fsspec-storage[images]" in found[3].msg
    assert "backend='nowhere' is not in STORAGES" in found[0].msg


def test_a_field_with_overwriting_storage_is_warned_of() -> None:
    options = {"fs": "memory", "prefix": str(random.random()), "allow_overwrite": True}
    with override_storage(default=options):
        warned = [
            message.obj for message in checks.run_checks() if str(message.id).endswith("W002")
        ]
    assert Paper._meta.get_field("file") in warned
    assert Magazine._meta.get_field("cover") in warned
