"""PUT, GET, HEAD and DELETE after botocore's example: each tells what botocore's own would."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.adapters.s3.client import S3Api
from django_fsspec.adapters.s3.small_requests import Example
from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.adapters.test_s3_adapter import AWS_VARIABLES
from tests.helpers.backends import folder, server
from tests.servers.loopback import Handler, LoopbackServer
from tests.soak import grounds
from tests.soak.faults.message import Message
from tests.soak.faults.scripted import Fate, Scripted

pytestmark = pytest.mark.once

ODD = "a b/é+~$&,;=@ü(1)'!%7#*[]|^`{}\"<>.bin"
SERVERS = [servers.SeaweedS3, servers.MotoS3, servers.LocalBucketS3, servers.RcloneS3]

#: one request of each method about a name; what there is has the content "all is well"
VERBS: dict[str, Callable[[FSSpecStorage, str], Any]] = {
    "PUT": lambda storage, name: storage.store(name, ContentFile(b"all is well")).size,
    "GET": lambda storage, name: storage.get_content(name),
    "HEAD": lambda storage, name: storage.size(name),
    "DELETE": lambda storage, name: storage.delete(name),
}
WELL = {"PUT": 11, "GET": b"all is well", "HEAD": 11, "DELETE": None}


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of those requests that botocore did not make."""
    methods: list[str] = []
    request = Example.request

    async def noting(self: Example, *arguments: Any) -> Any:
        methods.append(self.method)
        return await request(self, *arguments)

    monkeypatch.setattr(Example, "request", noting)
    return methods


def api_of(storage: FSSpecStorage) -> S3Api:
    api: S3Api = storage.flows.adapter.api  # type: ignore[attr-defined]
    return api


def forget(storage: FSSpecStorage) -> None:
    """Leave the next request of each method to botocore."""
    small = api_of(storage).small
    assert small is not None
    small._examples.clear()


def all_verbs(storage: FSSpecStorage, name: str = "") -> list[Any]:
    """Make a request of each method about a new name; return what they gave."""
    name = name or f"{uuid.uuid4().hex}.bin"
    return [do(storage, name) for do in VERBS.values()]


def learnt(storage: FSSpecStorage) -> FSSpecStorage:
    """Have botocore make a request of each method, and the fast path another."""
    for _ in range(2):
        assert all_verbs(storage) == [*WELL.values()]
    return storage


class Way(Scripted):
    """A way to a server that keeps what passes, and has a fate for some."""

    def __init__(self, port: int) -> None:
        super().__init__(port)

    def refuse(self, method: str, fate: Fate, times: int) -> None:
        """Do so to the next requests of a method; forget what passed."""
        left = [fate] * times
        self.fate = lambda message: left.pop() if left and message.method == method else None
        self.seen.clear()


@pytest.fixture
def way() -> Iterator[Way]:
    with Way(server(servers.SeaweedS3).port) as running:
        yield running


@pytest.fixture
def storage(way: Way) -> FSSpecStorage:
    """A storage on that way, whose requests are repeated from now on."""
    s3 = server(servers.SeaweedS3)
    storage = learnt(FSSpecStorage(**grounds.s3_options(s3, folder(), way.url), retries=2))
    storage.save("file.bin", ContentFile(b"all is well"))
    way.seen.clear()
    return storage


def header(message: Message, name: str) -> str | None:
    """Return a header of a request as it was sent."""
    for line in message.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]:
        own, _, value = line.partition(": ")
        if own.lower() == name:
            return value
    return None


# the same as botocore


@pytest.mark.parametrize("kind", SERVERS)
def test_answers_are_those_of_botocore(kind: type[servers.S3Server], repeated: list[str]) -> None:
    keeps = {} if kind is servers.LocalBucketS3 else {"cache_control": "max-age=60"}
    options: dict[str, Any] = {"object_options": keeps} if keeps else {}
    storage = FSSpecStorage(**grounds.s3_options(server(kind), folder()), **options)
    names = [ODD.replace("1", str(number)) for number in range(2)]
    for name in names:
        assert storage.save(name, ContentFile(b"all is well")) == name

    ranges = [(None, None), (4, 6), (4, 600), (11, None), (500, 600)]

    def told() -> list[Any]:
        return [
            *(storage.stat(name) for name in names),
            *(storage.stat(name).headers for name in names),
            *(storage.get_content(name, start, end) for name in names for start, end in ranges),
        ]

    forget(storage)
    first = told()
    assert first[-len(ranges) :] == [b"all is well", b"is", b"is well", b"", b""]
    repeated.clear()
    assert told() == first
    assert repeated == ["HEAD"] * 4 + ["GET"] * 2 * len(ranges)
    for name in names:
        storage.delete(name)
        storage.delete(name)
        assert not storage.exists(name)
        with pytest.raises(FileNotFoundError):
            storage.get_content(name)


def test_a_missing_key_is_an_example_too(way: Way, repeated: list[str]) -> None:
    storage = FSSpecStorage(**grounds.s3_options(server(servers.SeaweedS3), folder(), way.url))
    for _ in range(2):
        assert not storage.exists("none")
        with pytest.raises(FileNotFoundError):
            storage.get_content("none")
    assert repeated == ["HEAD", "GET"]
    assert way.methods == ["HEAD", "GET"] * 2


def test_a_condition_that_fails(storage: FSSpecStorage, repeated: list[str], way: Way) -> None:
    api, path = api_of(storage), storage.flows.path("file.bin")
    etag = storage.stat("file.bin").etag
    repeated.clear()
    way.seen.clear()

    async def read(condition: str) -> bytes:
        data: bytes = await (
            await api.open(path, IfMatch=condition, Range="bytes=4-5")
        ).body.read()
        return data

    def done(condition: str) -> bytes:
        loop: Any = storage.flows.adapter.loop
        return asyncio.run_coroutine_threadsafe(read(condition), loop).result(5)

    assert done(f'"{etag}"') == b"is"
    with pytest.raises(OSError, match="pre-conditions") as ours:
        done('"other"')
    assert repeated == ["GET", "GET"] == way.methods
    forget(storage)
    with pytest.raises(OSError, match="pre-conditions") as botocores:
        done('"other"')
    assert (type(ours.value), str(ours.value)) == (type(botocores.value), str(botocores.value))


# who signs


Rotate = Callable[[str], None]


@pytest.fixture
def rotate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rotate:
    """Has a program of the profile give credentials with this key, which are soon to expire."""
    credentials, config = tmp_path / "credentials.json", tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = cat {credentials}\n")
    for name in AWS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    def give(key: str) -> None:
        expires = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        given = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "SK", "SessionToken": key}
        credentials.write_text(json.dumps({**given, "Expiration": expires}))

    return give


def test_credentials_are_renewed(rotate: Rotate, repeated: list[str]) -> None:
    s3 = server(servers.MotoS3)
    keyless = {k: v for k, v in s3.fs_options.items() if k not in ("key", "secret")}
    rotate("FIRST")
    with Way(s3.port) as way:
        options = {**keyless, "endpoint_url": way.url}
        storage = FSSpecStorage(fs="s3", prefix=f"{s3.bucket}/{folder()}", fs_options=options)
        learnt(storage)
        rotate("SECOND")
        way.seen.clear()
        all_verbs(storage)
    assert repeated == [*VERBS] * 2
    assert {header(message, "x-amz-security-token") for message in way.seen} == {"SECOND"}
    signers = [(header(message, "authorization") or "").split()[1] for message in way.seen]
    assert {signer.partition("/")[0] for signer in signers} == {"Credential=SECOND"}


def test_what_goes_along_with_each_request(repeated: list[str]) -> None:
    s3 = server(servers.MotoS3)
    with Way(s3.port) as way:
        options = grounds.s3_options(s3, folder(), way.url)
        options["fs_options"] |= {
            "token": "TOKEN",
            "s3_additional_kwargs": {
                "ExpectedBucketOwner": "123456789012",
                "RequestPayer": "requester",
            },
            "config_kwargs": {"user_agent_extra": "our-site/1"},
        }
        learnt(FSSpecStorage(**options))
    assert repeated == [*VERBS]
    for message in way.seen:
        signed = (header(message, "authorization") or "").partition("SignedHeaders=")[2]
        for name, value in {
            "x-amz-security-token": "TOKEN",
            "x-amz-request-payer": "requester",
            "x-amz-expected-bucket-owner": "123456789012",
        }.items():
            assert header(message, name) == value
            assert name in signed.partition(",")[0].split(";")
        assert (header(message, "user-agent") or "").endswith("our-site/1")


def test_keys_of_the_customer(repeated: list[str]) -> None:
    s3 = server(servers.SeaweedS3)
    keys = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    options = grounds.s3_options(s3, folder())
    without = FSSpecStorage(**options)
    with_keys = {**options["fs_options"], "s3_additional_kwargs": keys}
    storage = FSSpecStorage(**{**options, "fs_options": with_keys})
    learnt(storage)
    assert repeated == [*VERBS]
    name = storage.save("sealed.bin", ContentFile(b"all is well"))
    assert storage.get_content(name, 4, 6) == b"is"
    with pytest.raises(StorageError):
        without.get_content(name)


def test_versions(repeated: list[str]) -> None:
    s3 = server(servers.MotoS3)
    client = s3.boto3_client()
    bucket = f"versions-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    storage = FSSpecStorage(fs="s3", prefix=bucket, fs_options=s3.fs_options, allow_overwrite=True)
    learnt(storage)
    repeated.clear()
    versions = [
        storage.store("a.bin", ContentFile(b"%d" % number)).version_id for number in (1, 2)
    ]
    assert len({*versions, None}) == 3
    assert storage.stat("a.bin").version_id == versions[1]
    assert storage.get_content("a.bin") == b"2"
    storage.delete("a.bin")
    assert repeated == ["PUT", "PUT", "HEAD", "GET", "DELETE"]
    listed = client.list_object_versions(Bucket=bucket, Prefix="a.bin")
    assert {v["VersionId"] for v in listed["Versions"]} == set(versions)
    assert len(listed["DeleteMarkers"]) == 1
    client.close()


# refusals


@pytest.mark.parametrize("method", VERBS)
def test_a_busy_service_is_asked_again(storage: FSSpecStorage, way: Way, method: str) -> None:
    name = "new.bin" if method == "PUT" else "file.bin"
    way.refuse(method, (503, "SlowDown"), 2)
    assert VERBS[method](storage, name) == WELL[method]
    assert way.methods == [method] * 3
    way.refuse(method, (503, "SlowDown"), 9)
    with pytest.raises(StorageError):
        VERBS[method](storage, name.replace("new", "newer"))
    assert way.methods == [method] * 3


#: a HEAD is refused without a code
STRANGE: list[tuple[str, int, str]] = [
    *((method, 301, "PermanentRedirect") for method in VERBS),
    *((method, 307, "TemporaryRedirect") for method in VERBS),
    *((method, 400, "ExpiredToken") for method in VERBS),
    *((method, 401, "Unauthorized") for method in VERBS),
    *((method, 403, "SignatureDoesNotMatch") for method in VERBS if method != "HEAD"),
    *((method, 403, "RequestTimeTooSkewed") for method in VERBS if method != "HEAD"),
]


@pytest.mark.parametrize(("method", "status", "code"), STRANGE)
def test_what_may_be_due_to_the_way_is_left_to_botocore(
    storage: FSSpecStorage, way: Way, repeated: list[str], method: str, status: int, code: str
) -> None:
    repeated.clear()
    way.refuse(method, (status, code), 1)
    name = "new.bin" if method == "PUT" else "file.bin"
    assert VERBS[method](storage, name) == WELL[method]
    assert way.methods == [method] * 2
    assert repeated == [method]
    # learnt anew
    assert all_verbs(storage) == [*WELL.values()]
    assert repeated == [method, *VERBS]


@pytest.mark.parametrize("method", VERBS)
def test_a_denial_is_final_where_the_way_is_good(
    storage: FSSpecStorage, way: Way, repeated: list[str], method: str
) -> None:
    said = []
    # before it was good, and after botocore was denied as well
    for number, tries in enumerate((1, 2, 1)):
        way.refuse(method, (403, "AccessDenied"), 9)
        with pytest.raises(PermissionError) as error:
            VERBS[method](storage, f"new{number}.bin" if method == "PUT" else "file.bin")
        assert way.methods == [method] * tries
        said.append(str(error.value).replace(f"new{number}", "new"))
        if number == 0:
            forget(storage)
            way.refuse(method, None, 0)
            VERBS[method](storage, "other.bin" if method in ("PUT", "DELETE") else "file.bin")
    assert len(set(said)) == 1


def test_a_way_that_is_never_good_is_not_tried_again(
    storage: FSSpecStorage, way: Way, repeated: list[str]
) -> None:
    forget(storage)
    repeated.clear()
    way.refuse("HEAD", None, 0)
    for number in range(4):
        if number == 1:
            way.refuse("HEAD", (403, "AccessDenied"), 1)
        assert storage.exists("file.bin")
    assert repeated == ["HEAD"]
    assert way.methods == ["HEAD"] * 4


class Elsewhere(Handler):
    """A bucket in one region, which tells requests signed for another where it is."""

    region = "eu-west-1"
    seen: list[str] = []  # noqa: RUF012 - one server a test

    def _do(self) -> None:
        self.body()
        self.seen.append(self.command)
        if f"/{self.region}/s3/" not in self.headers["Authorization"]:
            text = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"
            self._send(text, 301, "application/xml", {"x-amz-bucket-region": self.region})
        elif self.command == "GET":
            self.send_bytes(b"all is well", ETag='"etag"')
        else:
            kind = "application/octet-stream"
            data = b"all is well" if self.command == "HEAD" else b""
            self._send(data, 204 if self.command == "DELETE" else 200, kind, {"ETag": '"etag"'})

    do_PUT = do_GET = do_HEAD = do_DELETE = _do  # noqa: N815 - the names that http.server wants


@pytest.fixture
def serve() -> Iterator[Callable[[type[Handler]], dict[str, Any]]]:
    """Runs a server, and gives OPTIONS for it."""
    running: list[LoopbackServer] = []

    def start(handler: type[Handler]) -> dict[str, Any]:
        running.append(LoopbackServer(0, handler))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{running[-1].server_address[1]}"
        return grounds.s3_options(server(servers.SeaweedS3), "elsewhere", url)

    yield start
    for each in running:
        each.shutdown()
        each.server_close()


def test_a_bucket_in_another_region(
    serve: Callable[..., dict[str, Any]], repeated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = learnt(FSSpecStorage(**serve(Elsewhere)))
    assert repeated == [*VERBS]
    Elsewhere.seen.clear()
    assert all_verbs(storage) == [*WELL.values()]
    assert Elsewhere.seen == [*VERBS]
    # it moves
    monkeypatch.setattr(Elsewhere, "region", "eu-north-1")
    assert all_verbs(storage) == [*WELL.values()]
    Elsewhere.seen.clear()
    repeated.clear()
    assert all_verbs(storage) == [*WELL.values()]
    assert Elsewhere.seen == [*VERBS] == repeated


class Corrupt(Elsewhere):
    """Sends other bytes than those of which it has the checksum."""

    region = "us-east-1"

    def do_GET(self) -> None:  # noqa: N802
        self.seen.append(self.command)
        crc = base64.b64encode(zlib.crc32(b"all is well").to_bytes(4, "big")).decode()
        self.send_bytes(b"all is hell", ETag='"etag"', **{"x-amz-checksum-crc32": crc})


def test_bytes_that_do_not_fit_their_checksum(
    serve: Callable[..., dict[str, Any]], repeated: list[str]
) -> None:
    storage = FSSpecStorage(**serve(Corrupt), retries=0)
    told = []
    for _ in range(2):
        with pytest.raises(StorageError, match="checksum") as error:
            storage.get_content("a.bin")
        told.append(str(error.value))
    assert told[0] == told[1]
    assert repeated == ["GET"]
