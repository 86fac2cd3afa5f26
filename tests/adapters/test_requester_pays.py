"""Presigned URLs of a bucket whose requesters pay say that they do."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.files.base import ContentFile

from django_fsspec.adapters.direct_uploads import Part
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import BACKENDS, folder, server


def s3(*, pays: bool) -> FSSpecStorage:
    weed = server(servers.SeaweedS3)
    options = {**weed.fs_options, "requester_pays": pays}
    return FSSpecStorage(fs="s3", prefix=f"{weed.bucket}/{folder()}", fs_options=options)


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


@pytest.mark.slow
@pytest.mark.parametrize("pays", [True, False])
def test_urls_of_s3(pays: bool) -> None:
    storage = s3(pays=pays)
    storage.save("f.txt", ContentFile(b"content"))
    urls = [
        storage.url("f.txt"),
        storage.sign("f.txt", expires_in=60, content_type="text/x"),
        storage.sign("new.txt", expires_in=60, for_upload=True),
        asyncio.run(storage.asign("f.txt", expires_in=61)),
    ]
    for url in urls:
        query = query_of(url)
        assert query.get("x-amz-request-payer") == (["requester"] if pays else None)
        assert query["X-Amz-SignedHeaders"] == ["host"]
    for url in (*urls[:2], urls[3]):
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.read() == b"content"
    put = urllib.request.Request(urls[2], data=b"new", method="PUT")
    put.add_header("Content-Type", "")
    with urllib.request.urlopen(put, timeout=5):
        assert storage.get_content("new.txt") == b"new"


def test_direct_uploads_to_s3() -> None:
    storage = s3(pays=True)
    direct: Any = storage.flows.adapter.direct
    options = {"content_type": "text/plain"}

    async def urls() -> list[str]:
        path = storage.flows.path("f.txt")
        signed = await direct.sign(path, 60, size=3, options=options)
        whole = Part(number=1, size=3, offset=0, total=3)
        part = await direct.sign_part(path, "upload", whole, 60)
        return [signed.url, part.url]

    loop: Any = storage.flows.adapter.loop
    for url in asyncio.run_coroutine_threadsafe(urls(), loop).result(5):
        assert query_of(url)["x-amz-request-payer"] == ["requester"]
        assert "x-amz-request-payer" not in query_of(url)["X-Amz-SignedHeaders"][0]


@pytest.mark.parametrize("for_upload", [False, True])
def test_urls_of_gcs(for_upload: bool) -> None:
    options = next(b for b in BACKENDS if b.name.startswith("gcs")).options(folder())
    options["fs_options"] = {**options["fs_options"], "requester_pays": "who-pays"}
    url = FSSpecStorage(**options).sign("f.txt", expires_in=60, for_upload=for_upload)
    assert query_of(url)["userProject"] == ["who-pays"]
