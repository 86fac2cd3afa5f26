"""URLs of ours: signed, bound, expiring, streamed."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.handlers.wsgi import WSGIRequest
from django.test import AsyncClient, Client, RequestFactory

from django_fsspec import views
from django_fsspec.storage import FSSpecStorage, signing
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import folder, server

CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def media() -> Iterator[FSSpecStorage]:
    with override_storage("media", "other"):
        storage = storages["media"]
        assert isinstance(storage, FSSpecStorage)
        storage.save("clips/größe 1.mp4", ContentFile(CONTENT))
        yield storage


NAME = "clips/größe 1.mp4"


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_serves_the_file(media: FSSpecStorage, client: Client) -> None:
    response = client.get(media.url(NAME))
    assert (response.status_code, body(response)) == (200, CONTENT)
    assert response["Content-Type"] == "video/mp4"
    assert response["Content-Length"] == str(len(CONTENT))
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "gr%C3%B6%C3%9Fe%201.mp4" in response["Content-Disposition"]
    assert response["Content-Disposition"].startswith("inline")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=1000-", 1000, None),
        ("bytes=-5", -5, None),
        ("bytes=5-99999999", 5, None),
    ],
)
def test_serves_ranges(
    media: FSSpecStorage, client: Client, asked: str, start: int, end: int | None
) -> None:
    response = client.get(media.url(NAME), headers={"Range": asked})
    expected = CONTENT[start:end]
    assert (response.status_code, body(response)) == (206, expected)
    assert response["Content-Length"] == str(len(expected))
    assert response["Content-Range"].endswith(f"/{len(CONTENT)}")


def test_range_past_the_end(media: FSSpecStorage, client: Client) -> None:
    response = client.get(media.url(NAME), headers={"Range": "bytes=99999999-"})
    assert response.status_code == 416
    assert response["Content-Range"] == f"bytes */{len(CONTENT)}"


def test_head(media: FSSpecStorage, client: Client) -> None:
    response = client.head(media.url(NAME))
    assert (response.status_code, response["Content-Length"]) == (200, str(len(CONTENT)))


def test_asgi_streams_asynchronously(media: FSSpecStorage) -> None:
    url = media.url(NAME)

    async def read() -> tuple[bool, bytes]:
        response: Any = await AsyncClient().get(url)
        return response.is_async, b"".join([c async for c in response.streaming_content])

    assert asyncio.run(read()) == (True, CONTENT)


def test_active_content_is_an_attachment(media: FSSpecStorage, client: Client) -> None:
    for name in ("x.html", "x.svg", "x.xml", "x"):
        media.save(name, ContentFile(b"<script>alert(1)</script>"))
        response = client.get(media.url(name))
        assert response["Content-Disposition"].startswith("attachment"), name
        assert "sandbox" in response["Content-Security-Policy"]
        body(response)


def test_refuses(media: FSSpecStorage, client: Client) -> None:
    url = media.url(NAME)
    assert client.get(url[:-3] + "xxx").status_code == 403
    assert client.get(url.replace("/file/", "/upload/")).status_code == 405
    assert client.put(url.replace("/file/", "/upload/"), b"x").status_code == 403
    assert client.post(url).status_code == 405
    media.delete(NAME)
    assert client.get(url).status_code == 404


def test_links_expire(
    media: FSSpecStorage, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = media.sign(NAME, expires_in=60)
    assert client.get(url).status_code == 200
    now = time.time()
    monkeypatch.setattr("django_fsspec.storage.signing.time.time", lambda: now + 61)
    assert client.get(url).status_code == 410


def test_upload(media: FSSpecStorage, client: Client) -> None:
    url = media.sign("in/new.txt", for_upload=True, content_type="text/plain")
    wrong = client.put(url, b"x", content_type="text/html")
    assert (wrong.status_code, media.exists("in/new.txt")) == (400, False)
    assert client.put(url, b"uploaded", content_type="text/plain").status_code == 201
    assert media.get_content("in/new.txt") == b"uploaded"
    assert client.put(url, b"again", content_type="text/plain").status_code == 412
    assert media.get_content("in/new.txt") == b"uploaded"


def test_upload_that_breaks_off_stores_nothing(media: FSSpecStorage, client: Client) -> None:
    url = media.sign("in/new.txt", for_upload=True)
    environ = RequestFactory().put(url).environ | {
        "CONTENT_LENGTH": "500",
        "wsgi.input": io.BytesIO(b"short"),
    }
    response = views.upload(WSGIRequest(environ), url.rpartition("/")[2])
    assert response.status_code == 400
    assert not media.exists("in/new.txt")
    assert client.put(url, b"", headers={"Content-Length": "x"}).status_code == 411


def test_files_packed_by_the_storage_are_served_whole(client: Client) -> None:
    s3 = server(servers.SeaweedS3)
    options = {"fs": "s3", "prefix": f"{s3.bucket}/{folder()}", "fs_options": s3.fs_options}
    text = b"body { color: red }\n" * 500
    with override_storage(media={**options, "gzip": True}):
        name = storages["media"].save("a.css", ContentFile(text))
        grant = signing.Grant(alias="media", name=name, expires=int(time.time()) + 60, headers={})
        response = client.get(signing.signed_url(grant), headers={"Range": "bytes=10-19"})
        assert (response.status_code, body(response)) == (200, text)
        assert not response.has_header("Content-Encoding")


@pytest.mark.parametrize("options", [{}, {"base_url": "https://cdn.example.com/"}])
def test_a_path_is_a_name(options: dict[str, str]) -> None:
    path: Any = PurePosixPath("some dir/a.txt")
    with override_storage(media={"fs": "memory", "prefix": folder(), **options}):
        storage: Any = storages["media"]
        assert storage.save(path, ContentFile(b"content")) == "some dir/a.txt"
        assert storage.url(path) == storage.url(str(path))
        assert storage.sign(path) == storage.sign(str(path))
        assert asyncio.run(storage.asign(path, expires_in=60)) == storage.sign(
            str(path), expires_in=60
        )
        assert storage.get_content(path) == b"content"
        assert (storage.exists(path), storage.size(path)) == (True, 7)
        assert storage.stat(path) == storage.stat(str(path))
        assert storage.listdir(path.parent) == ([], ["a.txt"])
        copied = storage.copy(path, path.with_name("b.txt"))
        storage.delete_many([path, PurePosixPath(copied)])
        assert not list(storage.walk(path.parent))


def test_sign_refuses_what_it_can_not_promise(media: FSSpecStorage) -> None:
    for wrong in (0, -5, 1.5):
        with pytest.raises(ValueError, match="expires_in"):
            media.sign(NAME, expires_in=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="did you mean 'content_type'"):
        media.sign(NAME, contnt_type="x")


def test_sign_needs_an_alias_or_base_url() -> None:
    with override_storage(media={"fs": "memory", "base_url": "https://cdn.example/m"}):
        assert storages["media"].url("a b/ü.txt") == "https://cdn.example/m/a%20b/%C3%BC.txt"
