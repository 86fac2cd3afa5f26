"""What the demo holds when it opens: files on each storage, rows that hold files, a login."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.db.models import Model
from tqdm import tqdm

from django_fsspec import FileObject

from .library import ALBUMS, DOCUMENTS
from .listing import aliases
from .models import Album, Document
from .placing import placed
from .samples import Sample, samples

if TYPE_CHECKING:
    BytesFile = File[bytes]
else:  # generic for type checkers only
    BytesFile = File

USERNAME = PASSWORD = "demo"


class SampleFile(BytesFile):
    """A sample that is made while it is stored, and moves a progress bar as it goes."""

    def __init__(self, sample: Sample, bar: tqdm[Any]) -> None:
        super().__init__(None, sample.name)
        self.size = sample.size
        self._sample = sample
        self._bar = bar

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        for piece in self._sample.pieces():
            yield piece
            self._bar.update(len(piece))


def seed_files(storage: Storage, label: str) -> int:
    """Store the samples that are not there yet; return how many bytes were written."""
    missing = [sample for sample in samples() if not storage.exists(sample.name)]
    total = sum(sample.size for sample in missing)
    with tqdm(
        desc=f"    {label}", total=total, unit="B", unit_scale=True, leave=False, disable=None
    ) as bar:
        for sample in missing:
            storage.save(sample.name, SampleFile(sample, bar))
    return total


def seed_login() -> None:
    """Create the superuser, unless there is one of that name."""
    users = get_user_model().objects
    if not users.filter(username=USERNAME).exists():
        users.create_superuser(USERNAME, f"{USERNAME}@example.com", PASSWORD)


def seed_rows() -> None:
    """Create the sample documents and albums that are not there yet."""
    _let_go_of_missing()
    there = set(Document.objects.values_list("title", "file__backend"))
    wanted = [one for one in DOCUMENTS if one.alias in aliases()]
    Document.objects.bulk_create(
        Document(title=one.title, file=_file(Document(), "file", one.alias, one.name, one.content))
        for one in wanted
        if (one.title, one.alias) not in there
    )
    for sample in ALBUMS:
        if sample.alias in aliases() and not Album.objects.filter(title=sample.title).exists():
            album = Album(title=sample.title)
            for name, drawn in sample.photos.items():
                album.photos.append(_file(album, "photos", sample.alias, name, drawn))
            album.save()


def _file(
    row: Model, field: str, alias: str, name: str, content: Callable[[], bytes]
) -> FileObject:
    return placed(row, field, alias, ContentFile(_made(content), name=name))


@cache
def _made(content: Callable[[], bytes]) -> bytes:
    return content()


def _let_go_of_missing() -> None:
    """Remove rows whose files are gone, as all do that were on the S3 server of another day."""
    for document in Document.objects.all():
        if document.file.backend not in aliases() or not document.file.exists():
            document.delete()
    for album in Album.objects.filter(photos__len__gt=0):
        there = [photo for photo in album.photos if photo.backend in aliases() and photo.exists()]
        if not there:
            album.delete()
        elif len(there) < len(album.photos):
            album.photos = there
            album.save()
