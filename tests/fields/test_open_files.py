"""An open file of a storage, assigned to a field: content to store, as any other file is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.base import File
from django.core.files.storage import Storage, storages
from django.middleware.csrf import get_token
from django.test import RequestFactory

from django_fsspec import FileObject
from django_fsspec.testing import override_storage
from tests.forms.submissions import attributes, form_of
from tests.helpers.backends import BACKENDS, SEED, Backend, backends_named, folder
from tests.library.models import Paper, Record, Shelf

pytestmark = pytest.mark.django_db(transaction=True)

#: larger than the `chunk_size` of the target
LARGE = bytes(range(256)) * 24_000


def write(storage: Storage, content: bytes) -> None:
    with storage.open("folder/nested.txt", "wb") as file:
        file.write(content)


@pytest.fixture
def source(request: pytest.FixtureRequest) -> Iterator[Storage]:
    """A storage that holds SEED; "default" is another folder on the same server, if it can be."""
    backend: Backend = request.param
    name = folder()
    target: dict[str, Any] = {"fs": "memory", "prefix": folder()}
    if backend.seed is not None:
        backend.seed(name, SEED)
    else:
        target = {**backend.options(folder()), "chunk_size": 5 << 20}
    with override_storage(default=target, source=backend.options(name)):
        if backend.seed is None:
            write(storages["source"], SEED["folder/nested.txt"])
        yield storages["source"]


def on(*backends: Backend) -> pytest.MarkDecorator:
    marked = [pytest.param(b, marks=b.marks) for b in backends]
    return pytest.mark.parametrize("source", marked, ids=str, indirect=True)


everywhere = on(*(backend for backend in BACKENDS if not backend.repeated))
#: of each class of open files, and each way that content is read
some = on(*backends_named("local", "memory", "s3 (SeaweedFS)"))


def check(file: FileObject, content: bytes = b"nested") -> None:
    """Check that a file of a row is a copy of its own."""
    assert (file.backend, file.original_name) == ("default", "nested.txt")
    assert file.name.rpartition("/")[2].startswith("nested")
    assert file.get_content() == content
    assert file.size == len(content)
    assert file.content_type == "text/plain"
    assert storages["source"].exists("folder/nested.txt")


@everywhere
@pytest.mark.parametrize("mode", ["rb", "r"])
def test_an_open_file_becomes_a_copy(source: Storage, mode: str) -> None:
    with source.open("folder/nested.txt", mode) as file:
        paper = Paper(file=file)
        paper.save()
    check(paper.file)
    check(Paper.objects.get().file)
    with source.open("folder/nested.txt", mode) as file:
        paper.file = file
        paper.save()
    check(Paper.objects.get().file)
    paper.delete()
    with source.open("folder/nested.txt") as file:
        assert file.read() == b"nested"


@pytest.fixture(params=["rb", "r"])
def opened(source: Storage, request: pytest.FixtureRequest) -> Iterator[Callable[[], File[Any]]]:
    """What opens "folder/nested.txt"; the files are closed after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(source.open("folder/nested.txt", request.param))


@some
def test_every_way_to_give_it(opened: Callable[[], File[Any]]) -> None:
    check(Paper.objects.create(file=opened()).file)
    for paper in Paper.objects.bulk_create(Paper(file=opened()) for _ in range(3)):
        check(paper.file)
    check(async_to_sync(Paper.objects.all().acreate)(file=opened()).file)
    check(Record.objects.create(file=opened()).file)
    shelf = Shelf(files=[opened()])
    shelf.files.append(opened())
    shelf.files += [opened()]
    shelf.save()
    assert len(Shelf.objects.get().files) == 3
    for file in Shelf.objects.get().files:
        check(file)
    half_read = opened()
    half_read.read(3)
    check(Paper.objects.create(file=half_read).file)
    check(FileObject("default", "nested.txt", content=opened()).save())
    check(async_to_sync(FileObject("default", "nested.txt", content=opened()).asave)())


@some
def test_a_form_takes_it(opened: Callable[[], File[Any]]) -> None:
    form = form_of(Paper, {"title": "t"}, opened())
    assert form.is_valid(), form.errors
    check(form.save().file)
    token = get_token(RequestFactory().get("/"))
    refused = form_of(Paper, {"title": "t" * 60, "csrfmiddlewaretoken": token}, opened())
    (reference,) = attributes(str(refused["file"]), "file-retained")
    sent = {"title": "t", "csrfmiddlewaretoken": token, "file-retained": reference}
    again = form_of(Paper, sent)
    assert again.is_valid(), again.errors
    check(again.save().file)


@some
def test_a_closed_file_is_refused_as_by_django(source: Storage) -> None:
    with source.open("folder/nested.txt") as file:
        paper = Paper(file=file)
    with pytest.raises(ValueError, match="closed"):
        paper.save()
    assert not Paper.objects.exists()


@on(*backends_named("local", "memory", "s3 (SeaweedFS)", "sftp (OpenSSH)", "webdav (rclone)"))
@pytest.mark.parametrize("several", [False, True])
def test_one_larger_than_a_chunk(source: Storage, several: bool) -> None:
    write(source, LARGE)
    with ExitStack() as stack:
        count = 2 if several else 1
        files = [stack.enter_context(source.open("folder/nested.txt")) for _ in range(count)]
        Shelf.objects.create(files=files)
    for file in Shelf.objects.get().files:
        check(file, LARGE)


def test_one_of_unknown_size() -> None:
    (s3,) = backends_named("s3 (SeaweedFS)")
    packing = {**s3.options(folder()), "gzip": True}
    with override_storage(default={"fs": "memory", "prefix": folder()}, source=packing):
        write(storages["source"], b"nested" * 100)
        with storages["source"].open("folder/nested.txt") as file:
            check(Paper.objects.create(file=file).file, b"nested" * 100)
