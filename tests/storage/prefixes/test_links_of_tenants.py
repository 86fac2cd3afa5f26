"""Responses and URLs are of one tenant."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import AsyncRequestFactory, Client, RequestFactory, override_settings

from django_fsspec import FileObject
from django_fsspec.responses import afile_response, file_response
from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.testing import override_storage
from tests.helpers.tenants import ONE, TELL, TWO, listed, options_of, serving


def test_all_tenants_have_one_bound_of_remembered_urls() -> None:
    with override_storage(default=options_of("s3")):
        storage = get_storage("default")
        kept = []
        for number in range(6):
            with serving(f"tenant-{number}"):
                for file in range(500):
                    storage.url(f"{file}.txt")
                kept.append(storage.urls._cache)
        assert sum(map(len, {id(each): each for each in kept}.values())) <= 2048


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["memory", "local", "s3"])
def test_a_response_is_read_after_its_request(kind: str) -> None:
    with override_storage(default=options_of(kind)):
        storage = get_storage("default")
        for tenant in (ONE, TWO):
            with serving(tenant):
                storage.save("a.txt", ContentFile(tenant.encode() * 100_000))
        request = RequestFactory().get("/")
        with serving(ONE):
            response: Any = file_response(request, FileObject("default", "a.txt"))
            response_of_async: Any = async_to_sync(afile_response)(
                AsyncRequestFactory().get("/"), FileObject("default", "a.txt")
            )
        with serving(TWO):
            assert b"".join(response) == ONE.encode() * 100_000

            async def read() -> bytes:
                return b"".join([piece async for piece in response_of_async])

            assert asyncio.run(read()) == ONE.encode() * 100_000
        response.close()
        response_of_async.close()


def test_our_own_links_are_of_one_tenant(memory: FSSpecStorage) -> None:
    urls = {}
    for tenant in (ONE, TWO):
        with serving(tenant):
            memory.save("a.txt", ContentFile(tenant.encode()))
            urls[tenant] = memory.url("a.txt")
            upload = memory.sign("up.txt", for_upload=True)
    assert urls[ONE] != urls[TWO]
    client = Client()
    with serving(ONE):
        response: Any = client.get(urls[ONE])
        assert b"".join(response.streaming_content) == ONE.encode()
        assert client.get(urls[TWO]).status_code == 403
        assert client.put(upload, b"x", content_type="text/plain").status_code == 403
    with serving(TWO):
        assert client.get(urls[ONE]).status_code == 403
        assert client.put(upload, b"x", content_type="text/plain").status_code in (200, 201, 204)
    assert (listed(ONE), listed(TWO)) == (["a.txt"], ["a.txt", "up.txt"])
    with pytest.raises(ImproperlyConfigured, match="prefix"):
        client.get(urls[ONE])


def test_links_of_before_are_of_no_tenant() -> None:
    options = options_of("memory")
    plain = {**options, "prefix": ONE}
    with override_storage(default=plain):
        url = storages["default"].url("a.txt")
    with override_storage(default=options), serving(ONE):
        assert Client().get(url).status_code == 403


def test_links_of_a_service_are_of_one_tenant() -> None:
    with override_storage(default=options_of("s3")):
        storage = get_storage("default")
        urls = {}
        for tenant in (ONE, TWO, ONE):
            with serving(tenant):
                storage.save(f"{tenant}.txt", ContentFile(tenant.encode()))
                storage.save("a.txt", ContentFile(tenant.encode()))
                urls[tenant] = storage.url("a.txt")
        # remembered URLs are those of the tenant
        for tenant in (ONE, TWO):
            with serving(tenant):
                assert storage.url("a.txt") == urls[tenant]
            with urllib.request.urlopen(urls[tenant]) as answer:
                assert answer.read() == tenant.encode()


def test_public_urls_have_the_folder_of_the_tenant() -> None:
    with override_storage(default=options_of("memory", base_url="https://cdn.example/media")):
        with serving(ONE):
            assert storages["default"].url("a b.txt") == "https://cdn.example/media/acme/a%20b.txt"
        with serving(TWO):
            assert storages["default"].url("a b.txt") == "https://cdn.example/media/bolt/a%20b.txt"


def test_files_of_tenants_below_media_root(tmp_path: Path) -> None:
    with (
        override_settings(MEDIA_ROOT=tmp_path, MEDIA_URL="/media/"),
        override_storage(default={"fs": "file", "prefix": TELL}),
    ):
        storage = get_storage("default")
        with serving(ONE):
            storage.save("a.txt", ContentFile(b"x"))
            assert storage.path("a.txt") == str(tmp_path / ONE / "a.txt")
            # the web server serves MEDIA_ROOT to everybody
            assert "/media/" not in storage.url("a.txt")
    assert (tmp_path / ONE / "a.txt").read_bytes() == b"x"
