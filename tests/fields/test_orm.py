"""StoredObjectField: the ways of the ORM to write rows, and fixtures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import serializers
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction

from django_fsspec import FileObject
from tests.fields.rows import described
from tests.helpers.samples import png, turned
from tests.library.models import Ledger, Paper, Photo, Record, Shelf

pytestmark = [
    pytest.mark.django_db(databases=["default", "other"]),
    pytest.mark.usefixtures("memory"),
]


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
    upright = Photo.objects.create(image=ContentFile(turned("JPEG", 6), name="u.jpg"))
    several = Photo.objects.bulk_create(
        Photo(image=ContentFile(turned("JPEG", n), name="u.jpg")) for n in (5, 7, 8)
    )
    for photo in [upright, *several]:
        image = Photo.objects.get(pk=photo.pk).image
        assert (image.width, image.height) == (50, 70)
        image.refresh()
        assert (image.width, image.height) == (50, 70)
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
