"""Forms as browsers send them, and what is left of their uploads."""

from __future__ import annotations

import re
import struct
from typing import Any

from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import modelform_factory
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict

from django_fsspec.forms import kept_uploads

HTML = b"<!doctype html><script>alert(1)</script>"


def upload(name: str = "up.txt", data: bytes = b"uploaded") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "text/plain")


def form_of(
    model: type[Any],
    data: dict[str, Any] | None = None,
    *uploads: Any,
    instance: Any = None,
    **options: Any,
) -> Any:
    """Return the form of a model, sent with `data` and with uploads for its file field."""
    field = next(f.name for f in model._meta.fields if f.get_internal_type() == "JSONField")
    fields = [f.name for f in model._meta.fields if f.editable and not f.primary_key]
    made = modelform_factory(model, fields=fields, **options)
    if data is None:
        return made(instance=instance)
    sent = QueryDict(mutable=True)
    for key, value in data.items():
        sent.setlist(key, value if isinstance(value, list) else [value])
    files = MultiValueDict({field: list(uploads)} if uploads else {})
    return made(sent, files, instance=instance)


def catalogue(texts: dict[str, str]) -> bytes:
    """Return the file that gettext reads translations from (its manual, 10.3)."""
    pairs = sorted({"": "Content-Type: text/plain; charset=UTF-8\n", **texts}.items())
    before = [pair[0].encode() for pair in pairs]
    after = [pair[1].encode() for pair in pairs]
    at, tables = 28 + 16 * len(pairs), b""
    for text in [*before, *after]:
        tables += struct.pack("<II", len(text), at)
        at += len(text) + 1
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + tables + b"".join(text + b"\0" for text in [*before, *after])


def attributes(html: str, name: str) -> list[str]:
    """Return the values of the inputs whose name ends so."""
    found = re.findall(rf'<input[^>]*name="[^"]*{name}"[^>]*>', html)
    return [value for tag in found for value in re.findall(r'value="([^"]*)"', tag)]


def kept() -> set[str]:
    """Return what lies where uploads wait."""
    try:
        return set(storages["default"].listdir(kept_uploads.FOLDER)[1])
    except FileNotFoundError:
        return set()
