"""Wrong uses: each checker refuses each line that says so, and no other."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from django.http import HttpRequest

from django_fsspec import FileObject, save_files
from django_fsspec.fields import FileList, StoredObjectField
from django_fsspec.forms import StoredObjectFormField
from django_fsspec.responses import file_response
from django_fsspec.storage import get_storage

from .models import Document


def assign(document: Document, file: FileObject) -> None:
    document.file = b"x"  # refused
    document.file = "a.txt"  # refused
    document.file = 5  # refused
    document.file = None  # refused
    document.file = BytesIO(b"x")  # refused
    document.file = Path("a.txt")  # refused
    document.file = [file]  # refused
    document.file = file
    document.cover = b"x"  # refused
    document.cover = False  # refused
    document.pages = file  # refused with stubs
    document.pages = b"x"  # refused
    document.pages = ["a.txt"]  # refused
    document.pages = [None]  # refused
    document.pages = None  # refused
    document.pages.append(b"x")  # refused
    document.pages.append(None)  # refused
    document.pages.extend(["a.txt"])  # refused
    document.pages[0] = "a.txt"  # refused
    document.strict = {"backend": "default", "filename": "a.txt"}  # refused with stubs
    document.nullable_pages = b"x"  # refused


def read(document: Document, files: FileList) -> None:
    print(document.cover.url)  # refused
    print(document.file.missing)  # refused with stubs
    print(document.pages.url)  # refused
    print(len(document.file.size))  # refused
    files.append(5)  # refused


def define() -> None:
    StoredObjectField(max_sise=5)  # refused
    StoredObjectField(max_size="5")  # refused
    StoredObjectField(backend=None)  # refused
    StoredObjectField(multiple=True, content_types=5)  # refused
    FileObject("default")  # refused
    FileObject("default", "a.txt", size="5")  # refused
    StoredObjectFormField(max_size="5")  # refused
    StoredObjectFormField(direct_upload=True)  # refused


def respond(request: HttpRequest) -> None:
    file_response(request, b"x")  # refused with stubs
    file_response(request, "a.txt", as_attachment="yes")  # refused
    save_files(["a.txt"])  # refused


async def storages(document: Document) -> None:
    text: str = get_storage("media").get_content("a.txt")  # refused
    get_storage(5)  # refused
    get_storage("media").getcontent("a.txt")  # refused with stubs
    content: bytes = document.file.aget_content()  # refused
    async for _ in await document.file.astream():  # refused
        print(text, content)
