"""Small PUTs after botocore's example: the same on the wire, the same on failure.

Those of all four methods alike: test_s3_repeated_requests.py.
"""

from __future__ import annotations

import asyncio
import base64
import random
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from django.core.files.base import ContentFile

from django_fsspec.adapters.s3 import signature, small_requests
from django_fsspec.adapters.s3.small_requests import SMALL, Example
from django_fsspec.core.stat import SAVE_TOKEN
from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server
from tests.helpers.utils import started
from tests.servers.loopback import Handler, LoopbackServer
from tests.soak import grounds

pytestmark = pytest.mark.once

ODD = "a b/é+~$&,;=@ü(1)'!%7.bin"


def _storage(kind: type[servers.S3Server], **options: Any) -> FSSpecStorage:
    return FSSpecStorage(**grounds.s3_options(server(kind), folder()), **options)


def examples(storage: FSSpecStorage) -> list[Example | None]:
    small = storage.flows.adapter.api.small  # type: ignore[attr-defined]
    return [example for kind, example in small._examples.items() if kind.startswith("put_object")]


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of those PUTs that botocore did not make."""
    keys: list[str] = []
    request = Example.request

    async def noting(self: Example, key: str, *others: Any) -> Any:
        if self.method == "PUT":
            keys.append(key.rpartition("/")[2])
        return await request(self, key, *others)

    monkeypatch.setattr(Example, "request", noting)
    return keys


@pytest.mark.parametrize(
    "kind", [servers.SeaweedS3, servers.MotoS3, servers.LocalBucketS3, servers.RcloneS3]
)
def test_the_second_is_like_the_first(kind: type[servers.S3Server], repeated: list[str]) -> None:
    storage = _storage(kind)
    for number in range(3):
        name = storage.save(ODD.replace("1", str(number)), ContentFile(b"%d" % number))
        assert storage.get_content(name) == b"%d" % number
    assert storage.get_content(storage.save("empty.bin", ContentFile(b""))) == b""
    assert len(repeated) == 3


def test_headers_are_kept(repeated: list[str]) -> None:
    storage = _storage(
        servers.SeaweedS3,
        object_options={
            "cache_control": "max-age=60,  public",
            "content_disposition": "attachment; filename*=UTF-8''%C3%A9.txt",
            "content_encoding": "gzip",
            "metadata": {"by": "me"},
        },
        chunk_size=SMALL * 2,
    )
    s3 = server(servers.SeaweedS3)
    client = s3.boto3_client()
    heads = []
    for number, size in enumerate((10, 10, SMALL + 1)):
        name = storage.save(f"{number}.txt", ContentFile(b"x" * size))
        head = client.head_object(Bucket=s3.bucket, Key=storage.flows.path(name).partition("/")[2])
        heads.append(
            {key: head[key] for key in head if key.startswith(("Cache", "Content", "Meta"))}
        )
        heads[-1].pop("ContentLength")
        # each save has its own
        assert heads[-1]["Metadata"].pop(SAVE_TOKEN)
    client.close()
    assert heads[0] == heads[1] == heads[2]
    assert repeated == []  # metadata is each object's own


def test_options_without_metadata(repeated: list[str]) -> None:
    storage = _storage(
        servers.MotoS3,
        object_options={
            "cache_control": "max-age=60,  public",
            "content_encoding": "gzip",
            "storage_class": "STANDARD_IA",
            "extra": {"ServerSideEncryption": "AES256", "Tagging": "team=web"},
        },
    )
    s3 = server(servers.MotoS3)
    client = s3.boto3_client()
    for name in "ab":
        storage.save(name, ContentFile(b"x"))
        key = {"Bucket": s3.bucket, "Key": storage.flows.path(name).partition("/")[2]}
        head = client.head_object(**key)
        assert head["CacheControl"] == "max-age=60,  public"
        assert head["ContentEncoding"] == "gzip"
        assert head["StorageClass"] == "STANDARD_IA"
        assert head["ServerSideEncryption"] == "AES256"
        assert client.get_object_tagging(**key)["TagSet"] == [{"Key": "team", "Value": "web"}]
    client.close()
    assert repeated == ["b"]


def test_kinds_of_content_are_told_apart(repeated: list[str]) -> None:
    storage = _storage(servers.SeaweedS3)
    for name in ("a.txt", "b.png", "c.txt", "d.png"):
        storage.save(name, ContentFile(b"x"))
    assert repeated == ["c.txt", "d.png"]
    assert storage.stat("c.txt").content_type == "text/plain"
    assert storage.stat("d.png").content_type == "image/png"


def test_examples_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_requests, "_MOST_EXAMPLES", 2)
    storage = _storage(servers.SeaweedS3)
    for name in ("a.txt", "b.png", "c.pdf", "d.txt"):
        storage.save(name, ContentFile(b"x"))
    assert len(examples(storage)) == 2


def test_one_client_of_many_storages_is_watched_once() -> None:
    options = grounds.s3_options(server(servers.SeaweedS3), folder())
    made = [FSSpecStorage(**options) for _ in range(3)]
    for number, storage in enumerate(made):
        storage.save(f"{number}.txt", ContentFile(b"x"))
    client = made[0].flows.adapter.fs.s3  # type: ignore[attr-defined]
    handlers = client.meta.events._emitter._handlers.prefix_search("before-sign.s3.PutObject")
    note = signature._note
    assert [handler for handler in handlers if handler is note] == [note]


def test_unsigned_requests_stay_with_botocore(repeated: list[str]) -> None:
    s3 = server(servers.MotoS3)
    fs_options = {"anon": True, "endpoint_url": s3.endpoint_url}
    storage = FSSpecStorage(fs="s3", prefix=f"{s3.bucket}/{folder()}", fs_options=fs_options)
    for name in "abc":
        storage.save(name, ContentFile(b"x"))
    assert repeated == []


# what botocore keeps to itself and may rename


class Renamed:
    """A client of botocore's that calls one of its attributes otherwise."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            raise AttributeError(name)
        return getattr(self._client, name)


def own_client() -> FSSpecStorage:
    """Return a storage whose client no other test has: clients are shared by equal options."""
    return _storage(servers.MotoS3, timeout=random.uniform(20, 30))


def rename(storage: FSSpecStorage, name: str) -> None:
    """Give a storage a client that lacks `name`; botocore itself goes on with its own."""
    fs = storage.flows.adapter.fs  # type: ignore[attr-defined]
    renamed = Renamed(fs.connect(), name)

    async def set_session() -> Any:
        return renamed

    fs.set_session = set_session


def test_a_client_without_its_endpoint_makes_all_puts_itself(repeated: list[str]) -> None:
    storage = own_client()
    rename(storage, "_endpoint")
    for name in ("first.txt", "second.txt", "third.txt"):
        assert storage.get_content(storage.save(name, ContentFile(b"x"))) == b"x"
    assert repeated == []


@pytest.mark.parametrize(
    "path",
    [
        "botocore.parsers.create_parser",
        "s3fs.errors.translate_boto_error",
        "aiobotocore.endpoint.convert_to_response_dict",
        "aiobotocore.httpchecksum.handle_checksum_body",
    ],
)
def test_botocore_makes_all_puts_where_a_name_is_missing(
    path: str, repeated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = own_client()
    storage.flows.adapter.fs.connect()  # type: ignore[attr-defined]
    # whoever imported it before goes on with it
    module = path.rpartition(".")[0]
    monkeypatch.setitem(sys.modules, module, ModuleType(module))
    for name in ("first.txt", "second.txt", "third.txt"):
        assert storage.get_content(storage.save(name, ContentFile(b"x"))) == b"x"
    assert repeated == []


def heard(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], Any]
) -> FSSpecStorage:
    """Return a storage to which the event of signing tells what `change` makes of it."""
    note = signature._note
    monkeypatch.setattr(signature, "_note", lambda **event: note(**change(event)))
    return own_client()


@pytest.mark.parametrize("missing", ["request", "request_signer"])
def test_botocore_makes_all_puts_where_signing_tells_less(
    missing: str, repeated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = heard(monkeypatch, lambda event: {k: v for k, v in event.items() if k != missing})
    for name in ("first.txt", "second.txt", "third.txt"):
        assert storage.get_content(storage.save(name, ContentFile(b"x"))) == b"x"
    assert repeated == []
    assert examples(storage) == [None]


def test_botocore_makes_all_puts_where_its_signer_gives_no_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def renamed(event: dict[str, Any]) -> dict[str, Any]:
        return {**event, "request_signer": Renamed(event["request_signer"], "get_auth_instance")}

    storage = heard(monkeypatch, renamed)
    for name in ("first.txt", "second.txt", "third.txt"):
        assert storage.get_content(storage.save(name, ContentFile(b"x"))) == b"x"
    assert examples(storage) == [None]


# what is sent


def prepared(**options: Any) -> tuple[Any, Any]:
    """Return the request that botocore would PUT with to a service far away, and its signer."""
    seen: dict[str, Any] = {}

    class Body:
        async def read(self) -> bytes:
            return b""

    def answer(request: Any, **event: Any) -> Any:
        return AioAWSResponse(request.url, 200, {"etag": '"x"'}, Body())

    async def put() -> None:
        secrets = {
            "aws_access_key_id": "AK",
            "aws_secret_access_key": "SK",
            "aws_session_token": options.pop("token", None),
            "region_name": "eu-west-1",
            "endpoint_url": options.pop("url", None),
        }
        config = AioConfig(signature_version=options.pop("version", "s3v4"), **options)
        async with AioSession().create_client("s3", config=config, **secrets) as client:
            client.meta.events.register("before-sign.s3.PutObject", lambda **e: seen.update(e))
            client.meta.events.register("before-send.s3.PutObject", answer)
            await client.put_object(
                Bucket="bucket",
                Key=ODD,
                Body=b"data",
                ContentType="text/plain",
                ContentEncoding="gzip",
                ContentDisposition='attachment;  filename="a  b"',
                IfNoneMatch="*",
            )

    asyncio.run(put())
    return seen["request"], seen["request_signer"]


def understood(key: str, request: Any, signer: Any) -> Example | None:
    return asyncio.run(Example.of(key, request, signer))


PLACES: dict[str, dict[str, Any]] = {
    "AWS": {},
    "AWS, temporary credentials": {"token": "TOKEN"},
    "no checksums": {"request_checksum_calculation": "when_required"},
    "path style": {"s3": {"addressing_style": "path"}},
    "http, a port": {"url": "http://Storage.example.com:9000"},
    "https, a path": {"url": "https://example.com/s3", "s3": {"payload_signing_enabled": False}},
    "IPv6": {"url": "http://[::1]:9000"},
    "accelerated": {"s3": {"use_accelerate_endpoint": True}},
}


@pytest.mark.parametrize("place", PLACES)
def test_signatures_are_those_of_botocore(place: str) -> None:
    request, signer = prepared(**dict(PLACES[place]))
    example = understood(ODD, request, signer)
    assert example is not None
    key, data = ODD.replace("1", "2"), b"other data"
    sent = asyncio.run(example.request(key, data, {}))
    headers = dict(sent.headers)
    assert sent.url == request.url.replace("%281%29", "%282%29")
    assert sent.body == data
    assert headers["content-encoding"] == "gzip"
    assert headers["if-none-match"] == "*"
    checked = PLACES[place].get("request_checksum_calculation") != "when_required"
    crc = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    assert headers.get("x-amz-checksum-crc32") == (crc if checked else None)
    assert headers.get("x-amz-security-token") == PLACES[place].get("token")
    assert not any("chunked" in value or "trailer" in name for name, value in headers.items())

    authorization = headers.pop("authorization")
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    again = AWSRequest(
        "PUT", sent.url, {n: v for n, v in headers.items() if n in signed}, data=data
    )
    again.context["timestamp"] = headers["x-amz-date"]
    auth = S3SigV4Auth(Credentials("AK", "SK", PLACES[place].get("token")), "s3", "eu-west-1")
    text = auth.string_to_sign(again, auth.canonical_request(again))
    assert authorization.endswith(f"Signature={auth.signature(text, again)}")


def test_what_is_not_understood_is_no_example() -> None:
    assert understood(ODD, *prepared(version="s3")) is None
    request, signer = prepared()
    assert understood(ODD, request, signer) is not None
    assert understood("other", request, signer) is None
    for header, value in {
        "Content-MD5": "x",
        "X-Amzn-Trace-Id": "x",
        "x-amz-checksum-sha256": "x",
        "x-amz-sdk-checksum-algorithm": "SHA1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AK/1/eu/s3express/aws4_request",
    }.items():
        before = request.headers[header]
        del request.headers[header]
        request.headers[header] = value
        assert understood(ODD, request, signer) is None, header
        del request.headers[header]
        if before is not None:
            request.headers[header] = before


# failures


class Moody(Handler):
    """Answers as told, and takes anything that is PUT when nothing is left to tell."""

    answers: list[tuple[int, str]] = []  # noqa: RUF012 - one server a test
    seen: list[str] = []  # noqa: RUF012

    def do_PUT(self) -> None:  # noqa: N802 - the name that http.server looks for
        self.body()
        self.seen.append(self.path)
        status, code = self.answers.pop(0) if self.answers else (200, "")
        text = f"<Error><Code>{code}</Code><Message>told so</Message></Error>" if code else ""
        self._send(text.encode(), status, "application/xml", {"ETag": '"etag"'})

    def do_HEAD(self) -> None:  # noqa: N802
        self._send(b"", 404, "application/xml", {})


@pytest.fixture
def moody() -> Iterator[FSSpecStorage]:
    """A storage that knows how to PUT, on a server that does as told."""
    with LoopbackServer(0, Moody) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{running.server_address[1]}"
        options = grounds.s3_options(server(servers.SeaweedS3), "moody", url)
        storage = FSSpecStorage(**options, timeout=1)
        Moody.answers.clear()
        storage.save("first", ContentFile(b"x"))
        Moody.seen.clear()
        yield storage
        running.shutdown()


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalError"), (503, "SlowDown"), (503, ""), (400, "RequestTimeout")],
)
def test_a_passing_fault_is_tried_again(moody: FSSpecStorage, status: int, code: str) -> None:
    Moody.answers += [(status, code)] * 2
    assert moody.store("a", ContentFile(b"x")).etag == "etag"
    assert len(Moody.seen) == 3
    assert len(set(Moody.seen)) == 1


def test_a_fault_that_stays_is_told_after_as_many_tries_as_told(moody: FSSpecStorage) -> None:
    Moody.answers += [(503, "SlowDown")] * 9
    with pytest.raises(StorageError, match="told so"):
        moody.save("a", ContentFile(b"x"))
    assert len(Moody.seen) == 3


@pytest.mark.parametrize(
    ("status", "code", "meaning", "tries"),
    [
        (403, "AccessDenied", PermissionError, 1),
        (403, "SignatureDoesNotMatch", PermissionError, 2),
        (404, "NoSuchBucket", StorageError, 1),
        (400, "EntityTooLarge", StorageError, 2),
        (301, "PermanentRedirect", StorageError, 2),
    ],
)
def test_a_refusal_is_told_as_botocore_does(
    moody: FSSpecStorage, status: int, code: str, meaning: type[OSError], tries: int
) -> None:
    moody.save("second", ContentFile(b"x"))
    Moody.seen.clear()
    Moody.answers += [(status, code)] * 2
    with pytest.raises(meaning) as ours:
        moody.save("a", ContentFile(b"x"))
    # where the example may be wrong, botocore finds out
    assert len(Moody.seen) == tries
    assert examples(moody) != [None]
    moody.flows.adapter.api.small._examples.clear()  # type: ignore[attr-defined]
    Moody.answers[:] = [(status, code)] * 2
    with pytest.raises(meaning) as botocores:
        moody.save("a", ContentFile(b"x"))
    assert str(ours.value) == str(botocores.value)
    Moody.answers.clear()
    assert moody.save("a", ContentFile(b"x")) == "a"


def test_a_conflict_of_conditional_writes_is_tried_again(moody: FSSpecStorage) -> None:
    Moody.answers += [(409, "ConditionalRequestConflict")]
    assert moody.save("a", ContentFile(b"x")) == "a"
    Moody.answers += [(412, "PreconditionFailed")]
    assert moody.save("b", ContentFile(b"x")) != "b"
    assert len(Moody.seen) == 4
    assert len(examples(moody)) == 1


def test_connections_that_break() -> None:
    s3 = server(servers.SeaweedS3)
    with started(servers.CountingProxy, s3.port) as proxy:
        storage = FSSpecStorage(**grounds.s3_options(s3, folder(), proxy.url), timeout=0.5)
        for number in range(3):
            storage.save(f"{number}", ContentFile(b"x"))
        proxy.cut_after(10)
        assert storage.store("cut", ContentFile(b"x")).size == 1
        assert proxy.cuts() == 1
        proxy.set_down(True)
        with pytest.raises(StorageError, match="check the address"):
            storage.save("down", ContentFile(b"x"))
        proxy.set_down(False)
        assert storage.save("up", ContentFile(b"x")) == "up"


@pytest.mark.slow
def test_silence_ends_in_time() -> None:
    class Mute(Moody):
        def do_PUT(self) -> None:  # noqa: N802
            if not self.seen:
                super().do_PUT()
            else:
                ended.wait(5)
                self.close_connection = True

    ended = threading.Event()

    Moody.seen.clear()
    Moody.answers.clear()
    with LoopbackServer(0, Mute) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{running.server_address[1]}"
        options = grounds.s3_options(server(servers.SeaweedS3), "mute", url)
        storage = FSSpecStorage(**options, timeout=0.3, retries=1)
        storage.save("first", ContentFile(b"x"))
        with pytest.raises(TimeoutError, match="did not answer"):
            storage.save("second", ContentFile(b"x"))
        ended.set()
        running.shutdown()
