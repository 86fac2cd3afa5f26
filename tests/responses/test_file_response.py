"""file_response: what a row tells, and what lies there."""

from __future__ import annotations

import asyncio
import gc
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.http import Http404
from django.test import AsyncRequestFactory, RequestFactory, override_settings

from django_fsspec import FileObject
from django_fsspec.adapters import archive
from django_fsspec.exceptions import StorageError
from django_fsspec.responses import afile_response, file_response
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import Backend, backends_named, folder, scratch, server
from tests.library.models import Attachment
from tests.responses.files import DATA, body, get, leave, stored
from tests.soak import grounds


@pytest.mark.slow
def test_a_row_costs_one_get(rclone: servers.RcloneS3, proxy: servers.CountingProxy) -> None:
    options = grounds.s3_options(rclone, folder(), proxy.url)
    with override_storage(media=options):
        file = stored()
        assert file.etag
        proxy.reset()
        tag = {"If-None-Match": f'"{file.etag}"'}
        assert body(file_response(get("/"), file)) == DATA
        assert body(file_response(get("/", headers={"Range": "bytes=5-9"}), file)) == DATA[5:10]
        assert [request.method for request in proxy.requests()] == ["GET", "GET"]
        proxy.reset()
        for headers, status in (
            (tag, 304),
            ({"If-Match": '"x"'}, 412),
            ({"Range": "bytes=256000-"}, 416),
        ):
            assert file_response(get("/", headers=headers), file).status_code == status
        head = file_response(RequestFactory().head("/"), file)
        assert (head.status_code, head["Content-Length"]) == (200, str(len(DATA)))
        assert proxy.requests() == []
        # a name: nothing is known, and one GET tells
        assert body(file_response(get("/"), file.name, backend="media")) == DATA
        file_response(RequestFactory().head("/"), file.name, backend="media")
        assert [request.method for request in proxy.requests()] == ["GET", "HEAD"]


@pytest.mark.slow
def test_each_part_of_a_multipart_body_is_one_get(
    rclone: servers.RcloneS3, proxy: servers.CountingProxy
) -> None:
    with override_storage(media=grounds.s3_options(rclone, folder(), proxy.url)):
        file = stored()
        proxy.reset()
        response = file_response(get("/", headers={"Range": "bytes=0-1,10-11,-1"}), file)
        sent = body(response)
        assert len(sent) == int(response["Content-Length"])
        assert [sent.count(DATA[a:b]) > 0 for a, b in ((0, 2), (10, 12))] == [True, True]
        assert len(proxy.requests()) == 3


@pytest.mark.parametrize("places", [(*range(31, 20, -1), *range(21)), (1, 0)], ids=["many", "two"])
def test_ranges_of_a_packed_file_are_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: tuple[int, ...]
) -> None:
    passes: list[int] = []
    original = archive._read

    def counted(file: Any, start: int, size: int | None) -> Iterator[bytes]:
        passes.append(start)
        yield from original(file, start, size)

    monkeypatch.setattr(archive, "_read", counted)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.bin", DATA * 20)
    starts = [place * 150_000 + 7 for place in places]
    asked = ", ".join(f"{start}-{start + 99}" for start in starts)
    with override_storage(media={"fs": "zip", "fs_options": {"fo": str(tmp_path / "a.zip")}}):
        request = get("/", headers={"Range": f"bytes={asked}"})
        response = file_response(request, "a.bin", backend="media")
        sent = body(response)
    assert len(sent) == int(response["Content-Length"])
    for start in starts:
        head = f"Content-Range: bytes {start}-{start + 99}/{len(DATA) * 20}\r\n\r\n".encode()
        assert sent.partition(head)[2][:100] == (DATA * 20)[start : start + 100]
    assert passes == [7]


#: one of each adapter
PLACES = (
    "local",
    "memory",
    "s3 (SeaweedFS)",
    "gcs (fake-gcs-server)",
    "azure (azurite)",
    "sftp (OpenSSH)",
    "sftp by paramiko (OpenSSH)",
    "ftp (pyftpdlib)",
    "webdav (rclone)",
    "dir over s3",
    "dropbox",
    "filecache over s3",
)


@pytest.mark.parametrize("backend", backends_named(*PLACES), ids=str)
def test_ranges_on_every_backend(backend: Backend) -> None:
    with override_storage(media=backend.options(folder())):
        file = stored()
        for known in (file, file.name):
            for asked, expected in (
                (None, DATA),
                ("bytes=1000-1999", DATA[1000:2000]),
                ("bytes=255000-", DATA[255000:]),
            ):
                request = get("/", headers={"Range": asked} if asked else {})
                response = file_response(request, known, backend="media")
                assert response["Content-Length"] == str(len(expected)), asked
                if file.etag:
                    assert response["ETag"].strip('"') == file.etag.strip('"')
                assert body(response) == expected, asked

        async def read() -> bytes:
            request = AsyncRequestFactory().get("/", headers={"Range": "bytes=1000-1999"})
            response: Any = await afile_response(request, file)
            assert response.is_async
            return b"".join([piece async for piece in response.streaming_content])

        assert asyncio.run(read()) == DATA[1000:2000]


def test_the_etag_is_the_backends_or_of_the_content(media: FSSpecStorage) -> None:
    file = stored()
    assert file.etag is None
    response = file_response(get("/"), file)
    assert response["ETag"] == '"{}"'.format((file.checksum or "").removeprefix("sha256:")[:32])
    leave(response)
    file.checksum, file.last_modified = None, datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    response = file_response(get("/"), file)
    assert response["ETag"] == f'"6955b900-{len(DATA):x}"'
    assert response["Last-Modified"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    leave(response)


@pytest.mark.parametrize("place", ["memory", "s3"])
def test_what_lies_there_is_sent_when_the_row_is_wrong(place: str, media: FSSpecStorage) -> None:
    options = {"fs": "memory", "prefix": folder()}
    if place == "s3":
        options = grounds.s3_options(server(servers.SeaweedS3), folder())
    with override_storage(media={**options, "allow_overwrite": True}):
        file = stored(content_type="a/b")
        row_etag = file_response(RequestFactory().head("/"), file)["ETag"]
        storages["media"].save(file.name, ContentFile(b"shorter"))
        for asked, status, expected in (
            (None, 200, b"shorter"),
            ("bytes=2-4", 206, b"ort"),
            ("bytes=3-", 206, b"rter"),
        ):
            request = get("/", headers={"Range": asked} if asked else {})
            response = file_response(request, file)
            assert response.status_code == status
            assert response["Content-Length"] == str(len(expected))
            # caches must not take it for the version of the row
            assert response.get("ETag") != row_etag
            assert response["Content-Type"] == "a/b"
            assert body(response) == expected
        late = file_response(get("/", headers={"Range": "bytes=1000-"}), file)
        assert (late.status_code, late["Content-Range"]) == (416, "bytes */7")


def test_a_file_that_gets_shorter_breaks_the_response_off() -> None:
    options = {"fs": "file", "prefix": str(scratch() / folder())}
    with override_storage(media=options):
        file = stored()
        response = file_response(get("/"), file)
        with open(file.path, "rb+") as disk:
            disk.truncate(1000)
        with pytest.raises(StorageError, match="ended 255000 bytes too early"):
            body(response)


def test_a_missing_file_is_a_404(media: FSSpecStorage) -> None:
    file = stored()
    file.delete()
    with pytest.raises(Http404):
        file_response(get("/"), file)
    with pytest.raises(Http404):
        file_response(get("/"), "other.bin", backend="media")


def test_content_that_was_not_stored_is_an_error(media: FSSpecStorage) -> None:
    with pytest.raises(ValueError, match="unsaved content"):
        file_response(get("/"), FileObject("media", "a", content=b"x"))


def open_files(path: str) -> int:
    objects = [found for found in gc.get_objects() if type(found) is io.FileIO]
    return sum(not file.closed and file.name == path for file in objects)


def test_a_lost_response_releases_the_file(media: FSSpecStorage) -> None:
    options = {"fs": "file", "prefix": str(scratch() / folder())}
    with override_storage(media=options):
        file = stored()
        response = file_response(get("/", headers={"Range": "bytes=1-"}), file)
        assert open_files(file.path) == 1
        del response
        assert open_files(file.path) == 0


def test_files_of_other_storages_are_sent(tmp_path: Any) -> None:
    plain = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(tmp_path)},
    }
    with override_storage("default"), override_settings(STORAGES={"plain": plain}):
        file = FileObject("plain", "a.txt", content=DATA).save()
        assert body(file_response(get("/"), file)) == DATA
        ranged = get("/", headers={"Range": "bytes=10-19"})
        assert body(file_response(ranged, file)) == DATA[10:20]
        assert body(file_response(ranged, "a.txt", backend="plain")) == DATA[10:20]

        async def read() -> bytes:
            request = AsyncRequestFactory().get("/", headers={"Range": "bytes=10-19"})
            response: Any = await afile_response(request, file)
            return b"".join([piece async for piece in response.streaming_content])

        assert asyncio.run(read()) == DATA[10:20]


@pytest.mark.django_db
def test_a_field_file_is_sent() -> None:
    with override_storage("default"):
        row = Attachment(title="t")
        row.file.save("a.txt", ContentFile(b"text"), save=False)
        response = file_response(get("/"), row.file)
        assert response["Content-Type"] == "text/plain"
        assert body(response) == b"text"
        with pytest.raises(Http404):
            file_response(get("/"), Attachment().file)
