"""What views do with files: nothing of it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, reveal_type

from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage, storages
from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.db.models import F
from django.db.models.fields.files import FieldFile
from django.http import HttpRequest, HttpResponseBase

from django_fsspec import FileObject, asave_files, save_files
from django_fsspec.fields import FileList
from django_fsspec.responses import afile_response, file_response
from django_fsspec.storage import get_storage

from .models import Document


def read(document: Document) -> None:
    reveal_type(document.file)  # FileObject
    reveal_type(document.cover)  # FileObject | None
    reveal_type(document.pages)  # FileList
    reveal_type(document.pages[0])  # FileObject
    reveal_type([page.name for page in document.pages])  # list[str]
    reveal_type(document.nullable_pages)  # FileList | None
    reveal_type(document.scan)  # Any
    reveal_type(document.strict)  # FileObject
    reveal_type(Document.file)  # StoredObjectDescriptor
    reveal_type(document.file.url)  # str
    reveal_type(document.file.size)  # int | None
    reveal_type(document.file.content_type)  # str
    reveal_type(document.file.original_name)  # str
    reveal_type(document.file.width)  # int | None
    reveal_type(document.file.get_content(0, 5))  # bytes
    reveal_type(document.file.stream())  # Iterator[bytes]
    reveal_type(document.file.save("a.txt", ContentFile(b"")))  # FileObject
    reveal_type(document.file.copy_to("archive"))  # FileObject
    reveal_type(document.file.sign(expires_in=60))  # str
    reveal_type(document.file.storage)  # Storage with stubs
    reveal_type(document.file.to_dict())  # dict[str, Any]
    if document.cover:
        reveal_type(document.cover)  # FileObject


def assign(document: Document, upload: UploadedFile[Any], other: FieldFile) -> None:
    document.file = FileObject("default", "a.txt", content=b"a")
    document.file = ContentFile(b"a", name="a.txt")
    document.file = ContentFile("a", name="a.txt")
    document.file = SimpleUploadedFile("a.txt", b"a")
    document.file = upload
    document.file = other
    document.file = storages["media"].open("a.txt")
    document.file = default_storage.open("a.txt")
    document.file = {"backend": "default", "filename": "a.txt"}
    document.file = F("cover")
    with Path("a.txt").open("rb") as file:
        document.file = File(file, name="a.txt")
    document.cover = ContentFile(b"a", name="a.txt")
    document.cover = None
    document.pages = [upload, document.file]
    document.pages = (page for page in document.pages)
    document.pages.append(upload)
    document.pages.extend([upload, {"backend": "default", "filename": "a.txt"}])
    document.pages[0] = upload
    document.pages[1:] = [upload]
    document.pages += [upload]
    document.nullable_pages = None
    document.scan = b"anything"
    document.strict = FileObject("default", "a.txt")
    reveal_type(document.pages[1:])  # list[FileObject]
    reveal_type(Document(file=upload, cover=None, pages=[upload]))  # Document


def from_post(request: HttpRequest) -> HttpResponseBase:
    document = Document()
    for upload in request.FILES.getlist("pages"):
        document.pages.append(upload)
    document.save()
    reveal_type(file_response(request, document.file))  # HttpResponseBase with stubs
    reveal_type(file_response(request, "a.txt"))  # HttpResponseBase with stubs
    return file_response(request, document.file)


async def asynchronous(request: HttpRequest, document: Document) -> HttpResponseBase:
    reveal_type(await document.file.aget_content())  # bytes
    reveal_type(document.file.astream())  # AsyncIterator[bytes]
    reveal_type(await document.file.asave("a.txt", b"a"))  # FileObject
    reveal_type(await document.file.aopen())  # FileObject
    reveal_type(await document.file.asign())  # str
    reveal_type(await document.file.acopy_to("archive"))  # FileObject
    reveal_type(await document.file.get_content_async())  # bytes
    reveal_type([page async for page in document.file.astream()])  # list[bytes]
    storage = get_storage("media")
    reveal_type(await storage.aget_content("a.txt"))  # bytes
    reveal_type(storage.astream("a.txt"))  # AsyncIterator[bytes]
    reveal_type(await storage.asave("a.txt", ContentFile(b"a")))  # str
    reveal_type(await storage.astore("a.txt", b"a"))  # Stat
    reveal_type(await storage.aopen("a.txt"))  # StoredFile
    reveal_type(await storage.alistdir(""))  # tuple[list[str], list[str]]
    reveal_type(await asave_files([document.file]))  # list[FileObject]
    return await afile_response(request, document.file)


def storage() -> None:
    storage = get_storage("media")
    reveal_type(storage)  # FSSpecStorage
    reveal_type(storage.get_content("a.txt"))  # bytes
    reveal_type(storage.stream("a.txt"))  # Iterator[bytes]
    reveal_type(storage.store("a.txt", b"a"))  # Stat
    reveal_type(storage.store("a.txt", b"a").checksum)  # str | None
    reveal_type(storage.open("a.txt"))  # File[Any] with stubs
    reveal_type(storage.sign("a.txt"))  # str
    reveal_type(storage.url("a.txt"))  # str
    reveal_type(storage.save("a.txt", ContentFile(b"a")))  # str with stubs
    reveal_type(next(storage.walk()).name)  # str
    reveal_type(save_files([FileObject("default", "a.txt", content=b"a")]))  # list[FileObject]
    files = FileList()
    files.append(ContentFile(b"a", name="a.txt"))
