"""The settings of docs/coming-from/django-storages.md, before and after, on one bucket."""

from __future__ import annotations

from typing import Any
from urllib.request import urlopen

import pytest
from django.core.files.base import ContentFile
from storages.backends.s3 import S3Storage

from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server

pytestmark = [pytest.mark.once, pytest.mark.slow]

NAMES = ["2026/may.txt", "a b/ü#1.txt", "100%+plus.txt", "it's (1).txt"]


@pytest.fixture
def both() -> tuple[Any, FSSpecStorage]:
    """A storage of django-storages, and ours with what the table makes of its settings."""
    s3, location = server(servers.SeaweedS3), folder()
    before = S3Storage(
        access_key=s3.key,
        secret_key=s3.secret,
        bucket_name=s3.bucket,
        location=location,
        endpoint_url=s3.endpoint_url,
        region_name="us-east-1",
        addressing_style="path",
        signature_version="s3v4",
        object_parameters={"CacheControl": "max-age=86400"},
        gzip=True,
        gzip_content_types=["text/css"],
    )
    after = FSSpecStorage(
        fs="s3",
        prefix=f"{s3.bucket}/{location}",
        fs_options={
            "key": s3.key,
            "secret": s3.secret,
            "endpoint_url": s3.endpoint_url,
            "client_kwargs": {"region_name": "us-east-1"},
            "config_kwargs": {"signature_version": "s3v4", "s3": {"addressing_style": "path"}},
        },
        object_options={"cache_control": "max-age=86400"},
        gzip=["text/css"],
    )
    return before, after


@pytest.mark.parametrize("name", NAMES)
def test_files_keep_their_names(both: tuple[Any, FSSpecStorage], name: str) -> None:
    for saving, reading in (both, both[::-1]):
        stored = saving.save(name, ContentFile(b"all is well"))
        with reading.open(stored) as file:
            assert file.read() == b"all is well"
        assert reading.size(stored) == 11
        assert urlopen(reading.url(stored)).headers["Cache-Control"] == "max-age=86400"
    assert sorted(both[0].listdir(name.rpartition("/")[0])[1]) == sorted(
        both[1].listdir(name.rpartition("/")[0])[1]
    )


def test_both_compress(both: tuple[Any, FSSpecStorage]) -> None:
    before, after = both
    for storage in both:
        stored = storage.save("site.css", ContentFile(b"body {}\n" * 100))
        assert urlopen(before.url(stored)).headers["Content-Encoding"] == "gzip"
        # django-storages' file would leave a temporary file open
        assert after.get_content(stored) == b"body {}\n" * 100


@pytest.mark.parametrize("name", NAMES)
def test_a_custom_domain_is_a_base_url(name: str) -> None:
    before = S3Storage(bucket_name="b", location="media", custom_domain="cdn.example.com")
    after = FSSpecStorage(fs="s3", prefix="b/media", base_url="https://cdn.example.com/media/")
    assert after.url(name) == before.url(name)
