"""FileObject: refreshed, verified, copied to another storage."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from django_fsspec import FileObject
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers import file_objects
from tests.helpers.backends import _s3, folder, server
from tests.helpers.file_objects import ALL, DATA, SHA, stored

aliases = file_objects.aliases


@pytest.mark.parametrize("alias", ALL)
def test_refresh_and_verify(alias: str) -> None:
    file = stored(alias)
    row = file.to_dict()
    assert file.refresh() is file
    assert file.checksum == SHA
    assert file.content_type == row["content_type"]
    file.storage.delete(file.name)
    file.storage.save(file.name, ContentFile(b"tampered"))
    assert not file.verify()
    file.refresh()
    assert file.size == 8
    assert file.to_dict()["checksum"] is None
    with pytest.raises(ValueError, match="can't be verified"):
        file.verify()
    file.delete()
    with pytest.raises(FileNotFoundError):
        file.refresh()


def test_checksums_of_other_algorithms() -> None:
    file = stored()
    file.checksum = "md5:" + hashlib.md5(DATA).hexdigest()
    assert file.verify()
    file.checksum = "rot13:x"
    with pytest.raises(ValueError, match="rot13"):
        file.verify()


def test_what_was_packed_is_verified_as_stored() -> None:
    options = {**_s3(servers.SeaweedS3)(folder()), "gzip": True}
    with override_storage(packed=options):
        file = FileObject("packed", "a.txt", content=b"x" * 10_000).save()
        assert file.size is not None
        assert file.size < 1000
        assert file.verify()
        assert file.get_content() == b"x" * 10_000
        plain = file.copy_to("s3")
        assert (plain.size, plain.get_content()) == (10_000, b"x" * 10_000)
        assert plain.verify()


@pytest.mark.parametrize("goal", [*ALL, "near", "s3-near"])
@pytest.mark.parametrize("alias", ALL)
def test_copy_to(alias: str, goal: str) -> None:
    file = FileObject(alias, "f/a.bin", content_type="image/avif", content=DATA).save()
    file.metadata["width"] = 7
    made = file.copy_to(goal)
    assert (made.backend, made.get_content(), made.verify()) == (goal, DATA, True)
    assert (made.content_type, made.metadata) == ("image/avif", file.metadata)
    assert made.metadata is not file.metadata
    assert (made.name == file.name) == (alias != goal)
    assert made.refresh().content_type == "image/avif"
    other = asyncio.run(file.acopy_to(goal, "other/name"))
    assert (other.name, other.get_content()) == ("other/name", DATA)
    assert file.verify()


def test_a_malformed_content_type_is_not_copied() -> None:
    storage: Any = storages["s3"]
    bucket, _, key = storage.flows.path("raw.bin").partition("/")
    client = server(servers.SeaweedS3).boto3_client()
    client.put_object(Bucket=bucket, Key=key, Body=DATA, ContentType="nonsense")
    made = FileObject("s3", "raw.bin").refresh().copy_to("s3", "copy.bin")
    assert (made.name, made.get_content()) == ("copy.bin", DATA)
    head = client.head_object(Bucket=bucket, Key=key.replace("raw", "copy"))
    assert head["ContentType"] == "application/octet-stream"
    client.close()


def test_a_storage_that_falls_silent_after_the_save(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(name: str) -> Any:
        raise TimeoutError(name)

    monkeypatch.setattr(storages["ram"], "get_modified_time", silent)
    assert stored("ram").last_modified is None
    file = stored("memory")
    monkeypatch.setattr(storages["memory"], "stat", silent)
    made = file.copy_to("memory")
    assert (made.checksum, made.last_modified, made.get_content()) == (SHA, None, DATA)


def test_copying_what_is_gone() -> None:
    file = stored()
    file.delete()
    for goal in ("memory", "s3", "ram"):
        with pytest.raises(FileNotFoundError):
            file.copy_to(goal, "b")
        assert not storages[goal].exists("b")


def test_a_file_field_takes_a_copy_of_a_file_object() -> None:
    from tests.library.models import Attachment

    with override_storage():
        document = Attachment(file=stored(name="origin.txt"))
        Attachment._meta.get_field("file").pre_save(document, add=True)
        with document.file.open() as opened:
            assert opened.read() == DATA
        document.file.delete(save=False)
    assert storages["memory"].exists("origin.txt")
