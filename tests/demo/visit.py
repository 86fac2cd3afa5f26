"""What the tests of the demo do on its pages, and look at."""

from __future__ import annotations

from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from testproject.browser import Page
from testproject.models import Document
from testproject.placing import placed
from tests.helpers.samples import png
from tests.servers import closed_port

HTML = b"<!doctype html><script>alert(1)</script>"


def silent() -> dict[str, Any]:
    """Return an alias whose server does not answer."""
    options = {
        "fs": "s3",
        "prefix": "bucket",
        "fs_options": {
            "key": "k",
            "secret": "hush-hush",
            "endpoint_url": f"http://127.0.0.1:{closed_port()}",
            "client_kwargs": {"region_name": "us-east-1"},
        },
        "retries": 0,
    }
    return {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}


def shown(response: Any) -> Page:
    return Page(response.content.decode())


def upload(browser: Client, name: str, folder: str = "", storage: str = "default") -> Any:
    fields = {"storage": storage, "folder": folder, "uploads": SimpleUploadedFile(name, b"x")}
    return browser.post("/", fields, follow=True)


def stored() -> list[str]:
    found = [storages[alias].listdir("") for alias in ("default", "s3")]
    return [name for folders, files in found for name in folders + files]


def document(title: str, alias: str = "default", name: str = "a.txt", data: bytes = b"1") -> Any:
    made = Document(title=title)
    made.file = placed(made, "file", alias, ContentFile(data, name=name))
    return made


def send(browser: Client, path: str, **fields: Any) -> Any:
    return browser.post(path, {"storage": "default", **fields}, follow=True)


def picture(name: str = "a.png", data: bytes | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, png(4, 3) if data is None else data, "image/png")


def held(*folders: str) -> set[str]:
    """Return the names of the objects below folders of both storages."""
    names: set[str] = set()
    for alias in ("default", "s3"):
        for folder in folders:
            try:
                names |= {stat.name for stat in storages[alias].walk(folder)}  # type: ignore[attr-defined]
            except FileNotFoundError:
                continue
    return names
