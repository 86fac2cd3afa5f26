"""Files as responses: what rows tell, names, policies, other servers, the view of a row's file."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.http import Http404, HttpRequest
from django.test import AsyncRequestFactory, RequestFactory, override_settings

from django_fsspec import FileObject
from django_fsspec.dispositions import MAX_NAME, disposition, is_active, safe_name, safe_type
from django_fsspec.exceptions import StorageError
from django_fsspec.responses import afile_response, file_response
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from django_fsspec.views import StoredObjectDownloadView
from tests import servers
from tests.backends import BACKENDS, Backend, folder, scratch, server
from tests.curl import curl
from tests.library.models import Attachment, Paper, Shelf
from tests.soak import grounds
from tests.support import started

DATA = bytes(range(256)) * 1000
get = RequestFactory().get


def leave(response: Any) -> None:
    """Do what close() does, but for the signal that closes the database's connection."""
    for close in response._resource_closers:
        close()


def body(response: Any) -> bytes:
    try:
        return b"".join(response.streaming_content)
    finally:
        leave(response)


@pytest.fixture
def media() -> Iterator[FSSpecStorage]:
    with override_storage("default", "media") as _:
        storage = storages["media"]
        assert isinstance(storage, FSSpecStorage)
        yield storage


def stored(name: str = "a.bin", data: bytes = DATA, **more: Any) -> FileObject:
    return FileObject("media", name, content=data, **more).save()


# what a row tells


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
        assert [request.method for request in proxy.requests()] == ["GET"]


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


@pytest.mark.parametrize("backend", [b for b in BACKENDS if b.name in PLACES], ids=str)
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
        file = stored()
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
    with pytest.raises(ValueError, match="not saved yet"):
        file_response(get("/"), FileObject("media", "a", content=b"x"))


def test_a_lost_response_releases_the_file(media: FSSpecStorage) -> None:
    options = {"fs": "file", "prefix": str(scratch() / folder())}
    with override_storage(media=options):
        response: Any = file_response(get("/"), stored())
        raw = response._iterator.gi_frame.f_locals["flow"].gi_frame.f_locals["self"]._opened
        file = raw._reader._file
        assert not file.closed
        del response, raw
        assert file.closed


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


# names and policies


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain.txt", 'filename="plain.txt"'),
        ("größe.txt", "filename=\"groe.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"),
        ('a"b\\c.txt', 'filename="a_b_c.txt"'),
        ("100%.txt", "filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("../../etc/passwd", 'filename="_.._etc_passwd"'),
        ("a\r\nSet-Cookie: x=y.txt", 'filename="aSet-Cookie_ x=y.txt"'),
        ("invoice\u202egpj.exe", 'filename="invoicegpj.exe"'),
        ("a\u2066b\u2069\u200f.txt", 'filename="ab.txt"'),
        ("\ud800lone.txt", 'filename="lone.txt"'),
        (".htaccess", 'filename="htaccess"'),
        ("...", 'filename="download"'),
        ("", 'filename="download"'),
        ("日本.pdf", "filename=\"__.pdf\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.pdf"),
    ],
)
def test_dispositions(name: str, shown: str) -> None:
    shown = shown.replace("groe", "gro_e")
    assert disposition(name, attachment=True) == f"attachment; {shown}"
    assert disposition(name, attachment=False) == f"inline; {shown}"


def test_long_names_keep_their_ending() -> None:
    assert safe_name("x" * 300 + ".pdf") == "x" * (MAX_NAME - 4) + ".pdf"
    assert len(safe_name("ü" * 300)) == MAX_NAME
    assert len(safe_name("x." + "y" * 300)) == MAX_NAME


@pytest.mark.parametrize(
    ("kind", "active"),
    [
        ("image/png", False),
        ("IMAGE/PNG", False),
        ("image/svg+xml", True),
        ("image/svg", True),
        ("image/x+xml", True),
        ("video/mp4; codecs=avc1", False),
        ("audio/mpeg", False),
        ("text/plain; charset=utf-8", False),
        ("application/pdf", False),
        ("text/html", True),
        ("text/xml", True),
        ("application/xhtml+xml", True),
        ("text/javascript", True),
        ("application/octet-stream", True),
        ("text/csv", True),
    ],
)
def test_what_a_browser_could_execute(kind: str, active: bool, media: FSSpecStorage) -> None:
    assert is_active(kind) is active
    response = file_response(get("/"), stored(content_type=kind))
    leave(response)
    start = response["Content-Disposition"].partition(";")[0]
    assert start == ("attachment" if active else "inline")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response.get("Content-Security-Policy") == (
        "sandbox; default-src 'none'" if active else None
    )


@pytest.mark.parametrize(
    "kind", ["text/html\r\nX: y", "nonsense", "a/b/c", "image/png\x00", "", "image/ pn g"]
)
def test_a_malformed_type_is_unknown(kind: str) -> None:
    assert safe_type(kind) == "application/octet-stream"


def test_arguments(media: FSSpecStorage) -> None:
    file = stored("a.png", content_type="image/png")
    response = file_response(
        get("/"), file, as_attachment=True, filename="b.png", content_type="image/gif"
    )
    leave(response)
    assert response["Content-Disposition"] == 'attachment; filename="b.png"'
    assert response["Content-Type"] == "image/gif"
    refused = file_response(RequestFactory().post("/"), file)
    assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD")


def test_the_name_is_the_original_one(media: FSSpecStorage) -> None:
    file = FileObject("media", "été.png", to_filename="x/1234.png", content=b"x").save()
    response = file_response(get("/"), file)
    leave(response)
    assert "filename*=UTF-8''%C3%A9t%C3%A9.png" in response["Content-Disposition"]


def test_what_the_storage_packs_is_sent_whole() -> None:
    options = grounds.s3_options(server(servers.SeaweedS3), folder())
    text = b"body { color: red }\n" * 500
    with override_storage(media={**options, "gzip": True}):
        file = stored("a.css", text)
        packed = stored("a.bin", text)
        assert (file.size or 0) < len(text)
        ranged = get("/", headers={"Range": "bytes=10-19"})
        for known in (file, file.name):
            response = file_response(ranged, known, backend="media")
            assert (response.status_code, response["Accept-Ranges"]) == (200, "none")
            assert not response.has_header("Content-Encoding")
            assert body(response) == text
        assert body(file_response(ranged, packed)) == text[10:20]


# others send it


def test_redirects_to_the_signature_of_the_backend() -> None:
    with override_storage(media=grounds.s3_options(server(servers.SeaweedS3), folder())):
        file = FileObject("media", "été.html", to_filename="1.html", content=b"<p>").save()
        response = file_response(get("/"), file, redirect=True)
        assert response.status_code == 302
        answer = curl(response["Location"])
        assert (answer.status, answer.body) == (200, b"<p>")
        assert answer["content-type"] == "text/html"
        assert answer["content-disposition"].startswith("attachment; filename=")
        assert "%C3%A9t%C3%A9.html" in answer["content-disposition"]


def test_redirects_to_base_url_or_not_at_all(media: FSSpecStorage) -> None:
    assert body(file_response(get("/"), stored(), redirect=True)) == DATA
    with override_storage(media={"fs": "memory", "base_url": "https://cdn.example/m/"}):
        response = file_response(get("/"), FileObject("media", "a b.bin", size=1), redirect=True)
        assert response["Location"] == "https://cdn.example/m/a%20b.bin"


NAMES = ["a.bin", "größe 1 #%?.html", "folder/c d.txt"]


@pytest.fixture(scope="module")
def front() -> Iterator[tuple[servers.NginxFront, FSSpecStorage]]:
    """An nginx before a site that leaves the sending to it."""
    root = scratch() / folder()
    root.mkdir()
    for directory in (scratch(), root):
        directory.chmod(0o755)
    options: dict[str, Any] = {
        "fs": "file",
        "prefix": str(root),
        "file_permissions_mode": 0o644,
        "directory_permissions_mode": 0o755,
    }
    storage = FSSpecStorage(**options)
    for name in NAMES:
        storage.save(name, ContentFile(DATA))
    configured = {
        "default": {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}
    }
    accel = {"default": "/protected/"}
    with (
        started(servers.Site, configured, accel=accel) as site,
        started(servers.NginxFront, root, site.port) as nginx,
    ):
        yield nginx, storage


@pytest.mark.parametrize("name", NAMES)
def test_nginx_sends_what_it_is_told_to(
    front: tuple[servers.NginxFront, FSSpecStorage], name: str
) -> None:
    nginx, storage = front
    row = urllib.parse.urlencode({"row": json.dumps({"size": len(DATA)})})
    url = f"{nginx.url}/row/{urllib.parse.quote(name)}?{row}"
    answer = curl(url)
    assert (answer.status, answer.body) == (200, DATA)
    assert answer["server"].startswith("nginx")
    assert answer["etag"] == f'"{int(storage.stat(name).last_modified.timestamp()):x}-3e800"'  # type: ignore[union-attr]
    assert answer["x-content-type-options"] == "nosniff"
    assert answer["x-accel-redirect"] == ""
    active = not name.endswith(".txt")
    assert answer["content-disposition"].startswith("attachment" if active else "inline")
    assert answer["content-security-policy"] == ("sandbox; default-src 'none'" if active else "")
    part = curl(url, headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, DATA[10:20])
    assert curl(f"{nginx.url}/protected/a.bin").status == 404


def test_accel_as_an_argument(media: FSSpecStorage) -> None:
    file = stored("a b.png")
    response = file_response(get("/"), file, accel="/inner")
    assert (response["X-Accel-Redirect"], response["Content-Type"]) == (
        "/inner/a%20b.png",
        "image/png",
    )
    with override_settings(FSSPEC_ACCEL_REDIRECT={"media": "/x/"}):
        assert file_response(get("/"), file)["X-Accel-Redirect"] == "/x/a%20b.png"
        assert body(file_response(get("/"), file, accel="")) == DATA


# the view


class Guarded(StoredObjectDownloadView):
    model = Paper

    def has_permission(self, request: HttpRequest, file: FileObject) -> bool:
        if "hidden" in request.GET:
            raise Http404
        return "key" in request.GET


class ForMembers(LoginRequiredMixin, StoredObjectDownloadView):
    model = Paper


@pytest.fixture
def paper(media: FSSpecStorage, db: None) -> Paper:
    return Paper.objects.create(title="t", file=ContentFile(DATA, name="été.txt"))


@pytest.mark.django_db
def test_view_sends_the_file_of_a_row(
    paper: Paper, django_assert_num_queries: Callable[..., Any]
) -> None:
    view = StoredObjectDownloadView.as_view(model=Paper)
    with django_assert_num_queries(1):
        response = view(get("/", headers={"Range": "bytes=0-9"}), pk=paper.pk)
        assert (response.status_code, body(response)) == (206, DATA[:10])
    assert "%C3%A9t%C3%A9.txt" in response["Content-Disposition"]
    head = view(RequestFactory().head("/"), pk=paper.pk)
    assert (head.status_code, head["Content-Length"]) == (200, str(len(DATA)))
    assert view(RequestFactory().post("/"), pk=paper.pk).status_code == 405
    by_title = StoredObjectDownloadView.as_view(model=Paper, slug_field="title", field="file")
    assert body(by_title(get("/"), slug="t")) == DATA


@pytest.mark.django_db
def test_view_without_a_row_or_a_file_is_a_404(paper: Paper) -> None:
    view = StoredObjectDownloadView.as_view(model=Paper)
    empty = Paper.objects.create()
    for pk in (empty.pk, paper.pk + 1000):
        with pytest.raises(Http404):
            view(get("/"), pk=pk)


@pytest.mark.django_db
def test_view_asks_for_permission(paper: Paper) -> None:
    view = Guarded.as_view()
    with pytest.raises(PermissionDenied):
        view(get("/"), pk=paper.pk)
    with pytest.raises(Http404):
        view(get("/?hidden"), pk=paper.pk)
    assert body(view(get("/?key"), pk=paper.pk)) == DATA


@pytest.mark.django_db
def test_view_works_with_djangos_mixins(paper: Paper) -> None:
    request = get("/")
    request.user = AnonymousUser()
    assert ForMembers.as_view()(request, pk=paper.pk).status_code == 302
    request.user = User(username="u")
    assert body(ForMembers.as_view()(request, pk=paper.pk)) == DATA


@pytest.mark.django_db
def test_view_of_several_files(media: FSSpecStorage) -> None:
    shelf = Shelf.objects.create(
        files=[ContentFile(bytes([n]), name=f"{n}.bin") for n in range(3)]
    )
    view = StoredObjectDownloadView.as_view(model=Shelf)
    assert body(view(get("/"), pk=shelf.pk, index=2)) == b"\x02"
    for index in (3, -1):
        with pytest.raises(Http404):
            view(get("/"), pk=shelf.pk, index=index)
    with pytest.raises(ImproperlyConfigured, match="holds several files"):
        view(get("/"), pk=shelf.pk)


@pytest.mark.django_db
def test_view_names_the_fields_there_are(paper: Paper) -> None:
    view = StoredObjectDownloadView.as_view(model=Paper, field="fill")
    with pytest.raises(ImproperlyConfigured, match=r"'fill': library\.Paper has .* 'file'; name"):
        view(get("/"), pk=paper.pk)


@pytest.mark.django_db
def test_view_streams_asynchronously_under_asgi(paper: Paper) -> None:
    view = StoredObjectDownloadView.as_view(model=Paper)
    response: Any = view(AsyncRequestFactory().get("/"), pk=paper.pk)
    assert response.is_async

    async def read() -> bytes:
        return b"".join([piece async for piece in response.streaming_content])

    assert asyncio.run(read()) == DATA
