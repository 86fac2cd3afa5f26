"""Django's FileField and ImageField over our storages, on each database."""

from __future__ import annotations

import asyncio
import io
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.db import transaction
from django.forms import modelform_factory

from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import folder, scratch, server
from tests.helpers.samples import png
from tests.library.models import Attachment

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    s3 = server(servers.SeaweedS3) if request.param == "s3" else None
    options: dict[str, Any] = {"fs": "memory", "prefix": folder()}
    if request.param == "local":
        options = {"fs": "file", "prefix": str(scratch() / folder())}
    if s3 is not None:
        options = {"fs": "s3", "prefix": f"{s3.bucket}/{folder()}", "fs_options": s3.fs_options}
    with override_storage(default=options):
        yield request.param


def content(file: Any) -> bytes:
    """Return a stored file's bytes and close it, as often as asked."""
    with file.open() as opened:
        data: bytes = opened.read()
    return data


def test_create_and_read_back(place: str) -> None:
    document = Attachment.objects.create(title="t", file=ContentFile(b"one", name="a b.txt"))
    found = Attachment.objects.get(pk=document.pk)
    name = str(found.file.name)
    assert name.startswith("documents/")
    assert name.endswith("/a_b.txt")
    assert content(found.file) == b"one"
    assert content(found.file) == b"one"
    assert found.file.size == 3
    assert found.file.url
    with found.file.open() as file:
        assert b"".join(file.chunks()) == b"one"


def test_same_name_is_another_file(place: str) -> None:
    one, two = (
        Attachment.objects.create(title="t", file=ContentFile(content, name="same.txt"))
        for content in (b"1", b"2")
    )
    assert one.file.name != two.file.name
    assert (content(one.file), content(two.file)) == (b"1", b"2")


def test_long_names_fit_the_column(place: str) -> None:
    name = "x" * 200 + ".tar.gz"
    documents = [
        Attachment.objects.create(title="t", file=ContentFile(b"1", name=name)) for _ in range(3)
    ]
    stored = list(Attachment.objects.values_list("file", flat=True))
    assert len(set(stored)) == 3
    assert all(len(value) <= 60 and value.endswith(".tar.gz") for value in stored)
    assert [content(document.file) for document in documents] == [b"1"] * 3


def test_image_dimensions(place: str) -> None:
    document = Attachment.objects.create(
        title="t",
        file=ContentFile(b"1", name="a.txt"),
        picture=ContentFile(png(7, 3), name="p.png"),
    )
    assert (document.width, document.height) == (7, 3)
    found = Attachment.objects.get(pk=document.pk)
    assert (found.width, found.height) == (7, 3)
    with found.picture.open():
        assert found.picture.width == 7


@pytest.mark.parametrize("kind", ["memory", "temporary"])
def test_model_form(place: str, kind: str) -> None:
    form_class = modelform_factory(Attachment, fields=["title", "file"])
    data = b"uploaded" * 1000
    upload: Any = SimpleUploadedFile("up.txt", data, "text/plain")
    if kind == "temporary":
        upload = TemporaryUploadedFile("up.txt", "text/plain", len(data), None)
        upload.write(data)
        upload.seek(0)
    form = form_class({"title": "t"}, {"file": upload})  # type: ignore[arg-type]
    assert form.is_valid(), form.errors
    document = form.save()
    upload.close()
    assert content(Attachment.objects.get(pk=document.pk).file) == data


def test_save_and_delete_through_the_field(place: str) -> None:
    document = Attachment(title="t")
    document.file.save("a.txt", io.BytesIO(b"first"))  # type: ignore[arg-type]
    name = str(document.file.name)
    document.file.delete()
    assert not default_storage.exists(name)
    assert not document.file


def test_async_orm(place: str) -> None:
    async def create() -> bytes:
        storage: Any = default_storage
        name = await storage.asave("documents/x.txt", ContentFile(b"async"))
        data: bytes = await storage.aget_content(name)
        return data

    assert asyncio.run(create()) == b"async"


def test_pickle(place: str) -> None:
    document = Attachment.objects.create(title="t", file=ContentFile(b"1", name="a.txt"))
    assert content(pickle.loads(pickle.dumps(document)).file) == b"1"


def test_hostile_names_are_tamed_or_refused(place: str) -> None:
    for name in ("../../etc/passwd", "..\\..\\x", "a\x00b.txt", "~/x"):
        try:
            with transaction.atomic():
                document = Attachment.objects.create(title="t", file=ContentFile(b"1", name=name))
        except SuspiciousFileOperation:
            continue
        stored = str(document.file.name)
        assert stored.startswith("documents/")
        assert ".." not in stored
