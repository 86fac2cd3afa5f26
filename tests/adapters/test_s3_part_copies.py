"""Copies above S3's limit for one request, with a lowered limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.adapters.s3 import part_copies
from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server
from tests.helpers.utils import numbered
from tests.soak import grounds
from tests.soak.faults.message import Message
from tests.soak.faults.scripted import Fate, Scripted

pytestmark = pytest.mark.once

MIB = 1024 * 1024
DATA = numbered(3 * MIB)


def too_large(request: Message) -> Fate:
    """Refuse to copy in one request, as S3 does above 5 GB."""
    whole = request.method == "PUT" and "partNumber" not in request.query
    copies = b"x-amz-copy-source:" in request.raw[:4096].lower()
    return (400, "InvalidRequest") if whole and copies else None


@pytest.fixture
def way() -> Iterator[Scripted]:
    """A way to the server on which nothing is copied in one request."""
    with Scripted(server(servers.MotoS3).port, too_large) as running:
        yield running


@pytest.fixture
def storage(way: Scripted, monkeypatch: pytest.MonkeyPatch) -> FSSpecStorage:
    """A storage with a file of 12 MiB, which is above the limit."""
    monkeypatch.setattr(part_copies, "COPY_LIMIT", 10 * MIB)
    monkeypatch.setattr(part_copies, "COPY_PART", 5 * MIB)
    options = grounds.s3_options(server(servers.MotoS3), folder(), way.url)
    headers = {
        "cache_control": "max-age=60",
        "content_disposition": 'attachment; filename="a.txt"',
        "extra": {"Tagging": "team=web&by=me"},
    }
    storage = FSSpecStorage(**options, object_options=headers)
    storage.store("large.txt", DATA, metadata={"by": "me"})
    way.seen.clear()
    return storage


def head(storage: FSSpecStorage, name: str) -> dict[str, Any]:
    """Return what an object is served and kept with."""
    s3 = server(servers.MotoS3)
    client = s3.boto3_client()
    key = {"Bucket": s3.bucket, "Key": storage.flows.path(name).partition("/")[2]}
    answer = client.head_object(**key)
    tags = client.get_object_tagging(**key)["TagSet"]
    client.close()
    names = ("CacheControl", "ContentDisposition", "ContentType", "Metadata", "ContentLength")
    kept = {name: answer[name] for name in names}
    return {**kept, "tags": sorted(tag["Key"] for tag in tags)}


def uploads_left() -> list[Any]:
    s3 = server(servers.MotoS3)
    client = s3.boto3_client()
    left: list[Any] = client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", [])
    client.close()
    return left


@pytest.mark.slow
def test_a_copy_is_like_its_source(way: Scripted, storage: FSSpecStorage) -> None:
    assert storage.copy("large.txt", "copy.txt") == "copy.txt"
    assert storage.get_content("copy.txt") == DATA
    assert head(storage, "copy.txt") == head(storage, "large.txt")
    parts = [request for request in way.seen if "partNumber" in request.query]
    assert len(parts) == 3
    (end,) = [request for request in way.seen if request.completes and request.method == "POST"]
    assert b"if-none-match: *" in end.raw.lower()


@pytest.mark.slow
def test_what_is_stored_meanwhile_stays(way: Scripted, storage: FSSpecStorage) -> None:
    other = FSSpecStorage(
        **grounds.s3_options(server(servers.MotoS3), storage.flows.root.partition("/")[2])
    )

    def fate(request: Message) -> Fate:
        if request.completes and request.method == "POST" and not other.exists("copy.txt"):
            other.save("copy.txt", ContentFile(b"theirs"))
        return too_large(request)

    way.fate = fate
    assert storage.copy("large.txt", "copy.txt") != "copy.txt"
    assert storage.get_content("copy.txt") == b"theirs"
    assert uploads_left() == []


@pytest.mark.slow
def test_nothing_is_left_of_a_copy_that_fails(way: Scripted, storage: FSSpecStorage) -> None:
    def fate(request: Message) -> Fate:
        return (403, "AccessDenied") if "partNumber=2" in request.query else too_large(request)

    way.fate = fate
    with pytest.raises(PermissionError):
        storage.copy("large.txt", "copy.txt")
    assert not storage.exists("copy.txt")
    assert uploads_left() == []


@pytest.mark.slow
def test_a_source_that_changes_is_an_error(way: Scripted, storage: FSSpecStorage) -> None:
    def fate(request: Message) -> Fate:
        if "partNumber=3" in request.query:
            return (412, "PreconditionFailed")
        return too_large(request)

    way.fate = fate
    with pytest.raises(StorageError, match="changed"):
        storage.copy("large.txt", "copy.txt")
    assert uploads_left() == []


@pytest.mark.slow
def test_another_refusal_is_told(way: Scripted, storage: FSSpecStorage) -> None:
    storage.save("small.txt", ContentFile(b"x"))
    with pytest.raises(StorageError, match="told so"):
        storage.copy("small.txt", "copy.txt")
