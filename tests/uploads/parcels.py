"""A form for parcels, and what is sent past it."""

from __future__ import annotations

import io
from typing import Any

from django.core.files.storage import storages
from django.forms import CharField, modelform_factory

from django_fsspec import uploads
from django_fsspec.storage import FSSpecStorage
from tests.helpers.backends import backends_named, folder
from tests.library.models import Parcel

TEXT = b"a line of text\n" * 100
MEGABYTE = 1_000_000
LARGE = bytes(range(256)) * 50_000  # 12.8 MB: three parts of 5 MiB
ParcelForm = modelform_factory(Parcel, fields=["file", "files", "picture"])


class WordyForm(ParcelForm):  # type: ignore[valid-type, misc]
    """A form that can fail beside its files."""

    word = CharField()


LINES = TEXT * 8500  # 12.75 MB of text


def place(name: str) -> Any:
    (backend,) = backends_named(name)
    return backend.options(folder())


def destination(field: str = "file") -> uploads.Destination:
    return uploads.Destination.of(Parcel._meta.get_field(field))  # type: ignore[arg-type]


def names() -> list[str]:
    storage = storages["default"]
    assert isinstance(storage, FSSpecStorage)
    # without claims, which are there until their transaction ends, and notes of deleted uploads
    found = [stat.name for stat in storage.walk()]
    return [name for name in found if "/claim-" not in name and "-deleted." not in name]


def picture(size: tuple[int, int] = (30, 20)) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", size).save(out, "PNG")
    return out.getvalue()
