"""Long names: shortened to the bytes that a filesystem holds, wherever a name may change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import modelform_factory
from django.utils.datastructures import MultiValueDict

from django_fsspec import FileObject, save_files
from django_fsspec.testing import override_storage
from tests.helpers.backends import BACKENDS, Backend, backends_named, folder
from tests.helpers.upload_client import Browser
from tests.library.models import Attachment, Paper, Parcel, Record, Shelf
from tests.uploads.parcels import destination

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

NAMES = {
    "ASCII": "a" * 244 + ".txt",
    "Chinese": "字" * 88 + ".txt",
    "Cyrillic": "ж" * 129 + ".txt",
    "four bytes a letter": "𠀀" * 70 + ".txt",
    "an early dot": "1. " + "ж" * 150 + ".txt",
    "many dots": "ж." * 100 + "txt",
    "a dot at its end": "Report.",
    "no extension": "ж" * 150,
    "one that is all extension": "ж." + "ж" * 150,
}
every_name = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


def parameters(*backends: Backend) -> list[object]:
    return [pytest.param(b, id=str(b), marks=b.marks) for b in backends]


@pytest.fixture(params=parameters(*(b for b in BACKENDS if b.writable)))
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with override_storage(default=request.param.options(folder())):
        yield request.param


@pytest.fixture(
    params=parameters(
        *backends_named("local", "sftp (OpenSSH)", "webdav (rclone)", "third party, blocking")
    )
)
def disk(request: pytest.FixtureRequest) -> Iterator[None]:
    """Storages that hold 255 bytes between two slashes."""
    with override_storage(default=request.param.options(folder())):
        yield


@pytest.fixture(params=parameters(*backends_named("local", "memory", "s3 (SeaweedFS)")))
def place(request: pytest.FixtureRequest) -> Iterator[None]:
    with override_storage(default=request.param.options(folder())):
        yield


def test_fields_store_long_names(backend: Backend) -> None:
    for name in NAMES.values():
        for file in (
            Paper.objects.create(file=ContentFile(b"1", name=name)).file,
            Record.objects.create(file=ContentFile(b"1", name=name)).file,
            *Shelf.objects.create(files=[ContentFile(b"1", name=name)] * 2).files,
        ):
            assert file.get_content() == b"1"
            assert file.original_name == name
            assert max(len(part.encode()) for part in file.name.split("/")) <= 255
            assert len(file.name) <= 255
            assert file.name.endswith(".txt") == name.endswith(".txt")


def test_a_storage_shortens_where_a_name_may_change(disk: None) -> None:
    storage = storages["default"]
    for name in NAMES.values():
        stored = storage.save(name, ContentFile(b"1"), max_length=100)
        assert len(stored) <= 100
        assert len(stored.encode()) <= 255
        with storage.open(stored) as file:
            assert file.read() == b"1"


@pytest.mark.parametrize("name", ["a" * 251 + ".txt", "字" * 83 + "aa.txt"], ids=["ASCII", "字"])
def test_alternatives_of_a_name_that_is_taken_fit(disk: None, name: str) -> None:
    # 255 bytes, which leave no room for a random part
    storage = storages["default"]
    stored = {storage.save(name, ContentFile(b"1")) for _ in range(3)}
    assert len(stored) == 3
    assert max(len(one.encode()) for one in stored) <= 255
    files = [FileObject("default", name, content=b"1") for _ in range(3)]
    assert len({file.name for file in save_files(files)}) == 3


@every_name
def test_forms_agree_with_saves(place: None, name: str) -> None:
    for model, field in ((Paper, "file"), (Record, "file"), (Shelf, "files")):
        uploads: Any = MultiValueDict({field: [SimpleUploadedFile(name, b"1")]})
        form: Any = modelform_factory(model, fields=[field])({}, uploads)
        assert form.is_valid(), form.errors
        row = form.save()
        file = row.files[0] if isinstance(row, Shelf) else row.file
        assert (file.get_content(), file.original_name) == (b"1", name)


@every_name
def test_a_file_field_of_django_stores_them(place: None, name: str) -> None:
    row = Attachment.objects.create(file=ContentFile(b"1", name=name))
    assert len(str(row.file.name)) <= 60
    with row.file.open() as file:
        assert file.read() == b"1"


@every_name
def test_a_storage_of_another_package(settings: Settings, tmp_path: Path, name: str) -> None:
    backend = "django.core.files.storage.FileSystemStorage"
    disk = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": disk}
    file = Paper.objects.create(file=ContentFile(b"1", name=name)).file
    assert file.get_content() == b"1"


@every_name
def test_direct_uploads_agree(place: None, name: str) -> None:
    for field in ("file", "files"):
        browser = Browser()
        if field == "file" and name == NAMES["one that is all extension"]:
            # this field names its types, and no type has such an extension
            refused = browser.start(destination(field), name, 1, "text/plain")
            assert refused.status_code == 415
            continue
        receipt = browser.upload(destination(field), name, b"1", "text/plain")
        form = browser.submitted(modelform_factory(Parcel, fields=[field]), field, receipt)
        assert form.is_valid(), form.errors
        form.save()
