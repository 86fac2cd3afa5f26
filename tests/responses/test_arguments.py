"""file_response and afile_response: their arguments, and kinds of files; sync and async alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.files.base import ContentFile
from django.core.files.storage import InvalidStorageError, storages
from django.db.models.fields.files import FieldFile
from django.http import Http404
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from rest_framework.request import Request

from django_fsspec import FileObject
from django_fsspec.exceptions import StorageError
from django_fsspec.responses import afile_response, file_response
from django_fsspec.signals import file_served
from django_fsspec.storage import FSSpecStorage
from django_fsspec.storage.flows import StorageFlows
from django_fsspec.testing import override_storage
from tests.library.models import Attachment
from tests.responses.files import get, leave

Respond = Callable[..., Any]


def respond_sync(file: Any, method: str = "GET", headers: Any = None, **options: Any) -> Any:
    request = RequestFactory().generic(method, "/", headers=headers)
    return file_response(request, file, **options)


def respond_async(file: Any, method: str = "GET", headers: Any = None, **options: Any) -> Any:
    request = AsyncRequestFactory().generic(method, "/", headers=headers)
    return async_to_sync(afile_response)(request, file, **options)


@pytest.fixture(params=[respond_sync, respond_async], ids=["sync", "async"])
def respond(request: pytest.FixtureRequest) -> Respond:
    function: Respond = request.param
    return function


@pytest.fixture(autouse=True, params=["memory", "file"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """`a.txt` in two storages."""
    default = {"fs": request.param, "prefix": str(tmp_path / "default")}
    with override_storage("media", default=default):
        storages["default"].save("a.txt", ContentFile(b"default"))
        storages["media"].save("a.txt", ContentFile(b"media"))
        yield


def body(response: Any) -> bytes:
    async def read() -> bytes:
        return b"".join([piece async for piece in response.streaming_content])

    if response.is_async:
        return async_to_sync(read)()
    content = b"".join(response.streaming_content)
    leave(response)
    return content


def test_a_name_is_one_in_the_default_storage(respond: Respond) -> None:
    response = respond("a.txt")
    assert (response.status_code, response["Content-Type"]) == (200, "text/plain")
    assert response["Content-Disposition"] == 'inline; filename="a.txt"'
    assert (response["Content-Length"], response["Accept-Ranges"]) == ("7", "bytes")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert body(response) == b"default"
    assert body(respond("a.txt", backend="media")) == b"media"
    with pytest.raises(InvalidStorageError):
        respond("a.txt", backend="other")


def test_arguments_replace_what_is_known(respond: Respond) -> None:
    for file in ("a.txt", FileObject("default", "a.txt", size=7, content_type="a/b")):
        response = respond(file, as_attachment=True, filename="b.png", content_type="image/png")
        assert response["Content-Disposition"] == 'attachment; filename="b.png"'
        assert response["Content-Type"] == "image/png"
        assert body(response) == b"default"


def test_methods(respond: Respond) -> None:
    for file in ("a.txt", FileObject("default", "a.txt", size=7)):
        head = respond(file, "HEAD")
        assert (head.status_code, head["Content-Length"], head.content) == (200, "7", b"")
        assert head["Content-Type"] == "text/plain"
    refused = respond("a.txt", "DELETE")
    assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD")


def test_a_range_of_content_that_a_browser_could_execute(respond: Respond) -> None:
    storages["default"].save("a.html", ContentFile(b"<script>"))
    response = respond("a.html", headers={"Range": "bytes=1-6"})
    assert (response.status_code, body(response)) == (206, b"script")
    assert response["Content-Disposition"] == 'attachment; filename="a.html"'
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response["X-Content-Type-Options"] == "nosniff"


def test_a_request_of_django_rest_framework() -> None:
    response = file_response(Request(get("/", headers={"Range": "bytes=0-2"})), "a.txt")
    assert (response.status_code, body(response)) == (206, b"def")
    request: Any = Request(AsyncRequestFactory().get("/"))
    response = async_to_sync(afile_response)(request, "a.txt")
    assert getattr(response, "is_async", False)
    assert body(response) == b"default"


def test_a_file_of_several_pieces(respond: Respond) -> None:
    data = b"0123456789" * 100_000
    storages["default"].save("large.bin", ContentFile(data))
    assert body(respond("large.bin")) == data
    assert body(respond("large.bin", headers={"Range": "bytes=1-"})) == data[1:]


def test_no_more_bytes_are_read_than_asked_for(
    respond: Respond, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, opened = StorageFlows.stream, []

    def stream(flows: StorageFlows, name: str, start: int, end: int | None, **more: Any) -> Any:
        opened.append((start, end))
        return original(flows, name, start, end, **more)

    monkeypatch.setattr(StorageFlows, "stream", stream)
    file = FileObject("default", "a.txt", size=7)
    for asked in ("bytes=2-4", "bytes=2-", "bytes=0-0,6-6"):
        body(respond(file, headers={"Range": asked}))
    assert opened == [(2, 5), (2, None), (0, 1), (6, 7)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=100-"}, 416),
        ({"If-Match": '"other"'}, 412),
        ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412),
        ({"If-None-Match": "*"}, 304),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
    ],
)
def test_answers_without_a_file(respond: Respond, headers: dict[str, str], status: int) -> None:
    row = FileObject("default", "a.txt", size=7, last_modified=1_700_000_000)
    for file in ("a.txt", row):
        response = respond(file, headers=headers)
        assert (response.status_code, response.content) == (status, b"")
        assert response.get("Content-Length") == (None if status == 304 else "0")
        assert not response.has_header("Content-Type")
        assert not response.has_header("Content-Disposition")


def test_redirects(respond: Respond) -> None:
    with override_storage(media={"fs": "memory", "base_url": "https://cdn.example/m/"}):
        for file in ("a b.txt", FileObject("media", "a b.txt", size=1)):
            response = respond(file, backend="media", redirect=True)
            assert response["Location"] == "https://cdn.example/m/a%20b.txt"
    assert body(respond("a.txt", redirect=True)) == b"default"


def test_redirects_to_a_signed_url_with_type_and_name(respond: Respond) -> None:
    keys = {"key": "k", "secret": "s"}
    options = {"fs": "s3", "prefix": "bucket/files", "fs_options": keys}
    with override_storage(media=options):
        response = respond(FileObject("media", "a b.html", size=1), redirect=True)
    query = parse_qs(urlsplit(response["Location"]).query)
    assert query["response-content-type"] == ["text/html"]
    assert query["response-content-disposition"] == ['attachment; filename="a b.html"']


def test_nginx(respond: Respond) -> None:
    response = respond("a.txt", accel="/inner", as_attachment=True, filename="b.txt")
    assert response["X-Accel-Redirect"] == "/inner/a.txt"
    assert response["Content-Type"] == "text/plain"
    assert response["Content-Disposition"] == 'attachment; filename="b.txt"'
    with override_settings(FSSPEC_ACCEL_REDIRECT={"default": "/d/", "media": "/m"}):
        assert respond("a.txt")["X-Accel-Redirect"] == "/d/a.txt"
        assert respond("a.txt", backend="media")["X-Accel-Redirect"] == "/m/a.txt"
        assert body(respond("a.txt", accel="")) == b"default"
    with override_settings(FSSPEC_ACCEL_REDIRECT={"media": "/m"}):
        assert body(respond("a.txt")) == b"default"


def test_nginx_gets_nothing_that_it_would_have_to_unpack(respond: Respond) -> None:
    keys = {"key": "k", "secret": "s"}
    options = {"fs": "s3", "prefix": "bucket/files", "fs_options": keys, "gzip": True}
    with override_storage(default=options):
        for name, ranges in (("a.txt", "none"), ("a.png", "bytes")):
            # nobody is asked: the row tells all
            head = respond(FileObject("default", name, size=7), "HEAD", accel="/inner")
            assert not head.has_header("X-Accel-Redirect")
            assert head["Accept-Ranges"] == ranges


def test_a_file_of_a_django_field(respond: Respond) -> None:
    with override_settings(FSSPEC_ACCEL_REDIRECT={"default": "/d/"}):
        response = respond(Attachment(file="a.txt").file)
        assert response["X-Accel-Redirect"] == "/d/a.txt"
    with pytest.raises(Http404, match=r"^There is no file\.$"):
        respond(Attachment().file)


def test_a_file_of_a_django_field_under_a_prefix_of_now(respond: Respond) -> None:
    with override_storage(default={"fs": "memory", "prefix": lambda: "tenant"}):
        storages["default"].save("b.txt", ContentFile(b"tenant's"))
        assert body(respond(Attachment(file="b.txt").file)) == b"tenant's"


def test_a_file_in_a_folder_is_called_as_without_it(respond: Respond) -> None:
    storages["default"].save("x/b.txt", ContentFile(b"b"))
    for file in ("x/b.txt", Attachment(file="x/b.txt").file):
        assert isinstance(file, FieldFile | str)
        assert respond(file)["Content-Disposition"] == 'inline; filename="b.txt"'


def test_what_is_not_there(respond: Respond) -> None:
    for file in ("other.txt", FileObject("default", "other.txt", size=1)):
        with pytest.raises(Http404, match=r"^The file does not exist\.$"):
            respond(file)


def test_a_row_that_is_invalid(respond: Respond, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Http404, match=r"^The file can't be used\.$"):
        respond(FileObject("nowhere", "a.txt", size=7))
    assert caplog.messages[-1].startswith("A file of a row can't be downloaded: ")
    # no matter of the row
    with override_storage(default={"fs": "s4"}), pytest.raises(ImproperlyConfigured, match="s4"):
        respond(FileObject("default", "a.txt", size=7))
    broken = {"broken": {"BACKEND": "no.Such"}}
    with override_settings(STORAGES=broken), pytest.raises(InvalidStorageError):
        respond(FileObject("broken", "a.txt", size=7))


def test_a_row_whose_storage_can_read_nothing(
    respond: Respond, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        override_settings(STATIC_ROOT=None),
        pytest.raises(Http404, match=r"^The file does not exist\.$"),
    ):
        respond(FileObject("staticfiles", "a.txt", size=7))
    assert caplog.messages[-1].startswith("staticfiles can't read a file of a row: ")


def test_a_file_that_no_scanner_has_passed(respond: Respond) -> None:
    file = FileObject("default", "a.txt", size=7, metadata={"scan_state": "pending"})
    assert file.scan_state
    with pytest.raises(PermissionDenied, match=r"^A scanner has not passed the file\.$"):
        respond(file)


@pytest.mark.parametrize(
    ("etag", "checksum", "sent"),
    [
        ("abc", "sha256:" + "1" * 64, '"abc"'),
        # advanced-alchemy's, which the storage does not know
        ('"made up"', "sha256:" + "1" * 64, f'"{"1" * 32}"'),
        (None, "sha256:" + "1" * 64, f'"{"1" * 32}"'),
        (None, None, '"6553f100-7"'),
    ],
)
def test_the_etag_of_a_row(
    respond: Respond, etag: str | None, checksum: str | None, sent: str
) -> None:
    file = FileObject(
        "default", "a.txt", size=7, etag=etag, checksum=checksum, last_modified=1_700_000_000
    )
    for method in ("HEAD", "GET"):
        response = respond(file, method)
        assert response["ETag"] == sent
        assert response["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert body(response) == b"default"


def test_a_row_without_a_size_asks_the_storage(respond: Respond) -> None:
    response = respond(FileObject("default", "a.txt"), headers={"Range": "bytes=3-"})
    assert (response.status_code, response["Content-Range"]) == (206, "bytes 3-6/7")
    assert body(response) == b"ault"


@pytest.mark.parametrize(
    ("headers", "options", "ranges"),
    [({}, {}, ()), ({"Range": "bytes=1-2,4-"}, {}, ((1, 3), (4, 7))), ({}, {"accel": "/x"}, ())],
)
@pytest.mark.usefixtures("no_database")
def test_file_served(respond: Respond, headers: Any, options: Any, ranges: Any) -> None:
    told: list[dict[str, Any]] = []

    def hear(**arguments: Any) -> None:
        told.append(arguments)

    row = FileObject("default", "a.txt", size=7)
    file_served.connect(hear, sender=FSSpecStorage)
    try:
        for file in ("a.txt", row):
            respond(file, "HEAD", headers, **options).close()
            response = respond(file, headers=headers, **options)
            assert told == []
            response.close()
            (arguments,) = told
            told.clear()
            assert 0 <= arguments.pop("seconds") < 60
            assert arguments.pop("request").method == "GET"
            assert arguments == {
                "signal": file_served,
                "sender": FSSpecStorage,
                "alias": "default",
                "name": "a.txt",
                "size": None if file == "a.txt" and options else 7,
                "row": None,
                "ranges": ranges,
            }
        with override_storage(default={"fs": "memory", "base_url": "https://cdn.example/"}):
            respond("a.txt", redirect=True).close()
        assert [arguments["name"] for arguments in told] == ["a.txt"]
    finally:
        file_served.disconnect(hear, sender=FSSpecStorage)


def test_a_file_that_changes_between_two_ranges(respond: Respond, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"1" * 1000)
    with override_storage(default={"fs": "file", "prefix": str(tmp_path)}):
        response = respond("a.bin", headers={"Range": "bytes=0-9,500-509"})
        path.unlink()
        path.write_bytes(b"2" * 999)
        with pytest.raises(StorageError, match=r"^'a\.bin' changed while it was being sent\.$"):
            body(response)


@pytest.mark.parametrize("asked", [None, "bytes=100-", "bytes=0-999"])
def test_a_file_that_gets_shorter(
    respond: Respond, tmp_path: Path, caplog: pytest.LogCaptureFixture, asked: str | None
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"1" * 1000)
    with override_storage(default={"fs": "file", "prefix": str(tmp_path)}):
        response = respond("a.bin", headers={"Range": asked} if asked else {})
        with path.open("rb+") as file:
            file.truncate(999)
        with pytest.raises(StorageError, match=r"^'a\.bin' ended 1 bytes too early\.$"):
            body(response)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "'a.bin' ended 1 bytes too early."
    told = vars(record)
    assert (told["operation"], told["file_name"]) == ("response", "a.bin")
