"""Presigned URLs after botocore's first: the same bytes for the same inputs."""

from __future__ import annotations

import asyncio
import random
import time
import urllib.request
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import botocore.auth
import pytest
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from botocore import UNSIGNED
from botocore.compat import get_current_datetime

from django_fsspec.adapters.s3 import url_templates
from django_fsspec.adapters.s3.client import session_with_shared_data
from django_fsspec.adapters.s3.url_templates import PresignedURLs, presigned_urls_of
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.adapters.test_s3_repeated_requests import Rotate, api_of, rotate
from tests.helpers.backends import folder, server

pytestmark = pytest.mark.once

__all__ = ["rotate"]

WEEK = 7 * 86400.0
KEYS = [
    "plain.txt",
    "deep/er/file name.txt",
    "a b/é+~$&,;=@ü(1)'!%7#*[]|^`{}\"<>.bin",
    "日本語/ファイル.png",
    "-._~/..dots/~x",
]
#: what a URL is asked for: arguments of one kind, and others of the same
GET: list[tuple[str, list[dict[str, Any]]]] = [
    ("get_object", [{}]),
    ("get_object", [{"ResponseContentType": "text/plain"}, {"ResponseContentType": "image/x é"}]),
    (
        "get_object",
        [
            {"ResponseContentDisposition": 'attachment; filename="a b.txt"'},
            {"ResponseContentDisposition": "attachment; filename*=UTF-8''%C3%A9+&=?.txt"},
            {"ResponseContentDisposition": ""},
        ],
    ),
    (
        "get_object",
        [
            {"ResponseContentType": "a/b", "ResponseContentDisposition": "inline"},
            {"ResponseContentType": "text/c; charset=x", "ResponseContentDisposition": "d  d"},
        ],
    ),
    (
        "get_object",
        [{"ResponseContentDisposition": "inline", "ResponseContentType": t} for t in "ab"],
    ),
    (
        "get_object",
        [
            {
                "ResponseCacheControl": f"max-age={age}",
                "ResponseContentEncoding": "gzip",
                "RequestPayer": "requester",
            }
            for age in (1, 2)
        ],
    ),
    ("get_object", [{"VersionId": "v+1"}]),
]
PUT: list[tuple[str, list[dict[str, Any]]]] = [
    ("put_object", [{}]),
    ("put_object", [{"ContentType": "text/plain"}]),
    ("put_object", [{"ContentType": "application/x-www-form-urlencoded; charset=utf-8"}]),
    (
        "put_object",
        [
            {
                "ContentLength": size,
                "ContentType": "image/png",
                "CacheControl": "max-age=60,  public",
                "IfNoneMatch": "*",
                "ChecksumSHA256": f"{size}+/=",
                "ACL": "private",
                "RequestPayer": "requester",
            }
            for size in (10, 20, 0)
        ],
    ),
    (
        "upload_part",
        [{"UploadId": f"u/{n}+=", "PartNumber": n, "ContentLength": n} for n in (1, 10_000)],
    ),
]

PLACES: dict[str, dict[str, Any]] = {
    "AWS": {},
    "us-east-1": {"region": "us-east-1"},
    "China": {"region": "cn-north-1"},
    "temporary credentials": {"token": "TO/KEN+=" * 40},
    "path style": {"s3": {"addressing_style": "path"}},
    "virtual style": {"s3": {"addressing_style": "virtual"}},
    "http, a port": {"url": "http://Storage.example.com:9000"},
    "https, a path": {"url": "https://example.com/s3/"},
    "IPv6": {"url": "http://[::1]:9000"},
    "dual stack": {"s3": {"use_dualstack_endpoint": True}},
    "accelerated": {"s3": {"use_accelerate_endpoint": True}},
    "a dotted bucket": {"bucket": "my.bucket.example"},
    "an access point": {"bucket": "arn:aws:s3:us-west-2:123456789012:accesspoint/mine"},
    "no checksums": {"request_checksum_calculation": "when_required"},
}


def client_of(place: Mapping[str, Any], version: Any = "s3v4") -> Any:
    own = ("token", "region", "url", "bucket")
    config = {name: value for name, value in place.items() if name not in own}
    return session_with_shared_data().create_client(
        "s3",
        config=AioConfig(signature_version=version, **config),
        aws_access_key_id="AK/1",
        aws_secret_access_key="SK+2",
        aws_session_token=place.get("token"),
        region_name=place.get("region", "eu-west-1"),
        endpoint_url=place.get("url"),
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore and we sign in one second."""
    now = get_current_datetime()
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    monkeypatch.setattr(url_templates, "timestamp", lambda: stamp)


def pairs_of(
    place: Mapping[str, Any], asked: list[tuple[str, list[dict[str, Any]]]], version: Any = "s3v4"
) -> list[tuple[str | None, str]]:
    """Return for all keys and arguments our URL, None where there is none, and botocore's."""
    pairs = []

    async def compare() -> None:
        async with client_of(place, version) as client:
            urls, bucket = presigned_urls_of(client), place.get("bucket", "bucket")
            for method, kind in asked:
                await urls.make(client, method, bucket, "other", 9, kind[0], lasting=WEEK)
                for arguments in kind:
                    for key in KEYS:
                        for seconds in (60, 604800):
                            made = urls.at_once(method, bucket, key, seconds, arguments)
                            whole = {"Bucket": bucket, "Key": key, **arguments}
                            url = await client.generate_presigned_url(method, whole, seconds)
                            assert made is None or made[1] == pytest.approx(seconds, abs=1)
                            pairs.append((made[0] if made else None, url))

    asyncio.run(compare())
    return pairs


@pytest.mark.parametrize("place", PLACES)
def test_urls_are_those_of_botocore(place: str, clock: None) -> None:
    asked = GET if place == "accelerated" else GET + PUT
    pairs = pairs_of(PLACES[place], asked)
    assert [ours for ours, _ in pairs] == [botocores for _, botocores in pairs]


@pytest.mark.parametrize("version", ["s3", UNSIGNED])
def test_botocore_makes_all_urls_of_other_versions(version: Any, clock: None) -> None:
    pairs = pairs_of(PLACES["AWS"], GET, version)
    assert {ours for ours, _ in pairs} == {None}


def test_arguments_that_become_no_part_of_a_url(clock: None) -> None:
    # botocore says nothing of a checksum that it leaves out, so nothing is made after such a URL
    place = {"url": "http://localhost:1"}

    async def made() -> Any:
        async with client_of(place) as client:
            # a handler of somebody else's
            client.meta.events.register(
                "before-sign.s3.PutObject",
                lambda request, **event: request.headers.__delitem__("Content-Length"),
            )
            urls, arguments = presigned_urls_of(client), {"ContentLength": 3}
            await urls.make(client, "put_object", "b", "k", 9, arguments, lasting=WEEK)
            return urls.at_once("put_object", "b", "k", 9, arguments)

    assert asyncio.run(made()) is None


def test_kinds_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_templates, "_MOST_KINDS", 2)
    buckets = ["one", "two", "three"]

    async def known() -> list[bool]:
        async with client_of({}) as client:
            urls = presigned_urls_of(client)
            for bucket in buckets:
                await urls.make(client, "get_object", bucket, "key", 9, {}, lasting=WEEK)
            return [bool(urls.at_once("get_object", bucket, "key", 9, {})) for bucket in buckets]

    assert asyncio.run(known()) == [False, True, True]


def test_a_bucket_that_turns_out_to_be_elsewhere(clock: None) -> None:
    class Body:
        async def read(self) -> bytes:
            return b""

    answers = [(301, {"x-amz-bucket-region": "eu-north-1"}), (200, {})]

    def answer(request: Any, **event: Any) -> Any:
        status, headers = answers.pop(0)
        return AioAWSResponse(request.url, status, headers, Body())

    async def compare() -> None:
        async with client_of({"region": "us-west-2"}) as client:
            client.meta.events.register("before-send.s3.HeadObject", answer)
            urls, whole = presigned_urls_of(client), {"Bucket": "bucket", "Key": "key"}

            async def both() -> set[str | None]:
                made = urls.at_once("get_object", "bucket", "key", 60, {})
                botocores = await client.generate_presigned_url("get_object", whole, 60)
                return {made and made[0], botocores}

            await urls.make(client, "get_object", "bucket", "other", 60, {}, lasting=WEEK)
            before = await both()
            await client.head_object(**whole)
            assert answers == []
            assert urls.at_once("get_object", "bucket", "key", 60, {}) is None
            await urls.make(client, "get_object", "bucket", "other", 60, {}, lasting=WEEK)
            after = await both()
            assert len(before) == len(after) == 1
            assert before != after

    asyncio.run(compare())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of those URLs that botocore made."""
    methods: list[str] = []
    make = PresignedURLs.make

    async def noting(self: PresignedURLs, client: Any, method: str, *rest: Any, **how: Any) -> str:
        methods.append(method)
        return await make(self, client, method, *rest, **how)

    monkeypatch.setattr(PresignedURLs, "make", noting)
    return methods


def own_storage(kind: type[servers.S3Server], **options: Any) -> FSSpecStorage:
    """Return a storage whose client no other test has: clients are shared by equal options."""
    s3, timeout = server(kind), random.uniform(20, 30)
    prefix = f"{s3.bucket}/{folder()}"
    fs_options = {**s3.fs_options, **options}
    return FSSpecStorage(fs="s3", prefix=prefix, fs_options=fs_options, timeout=timeout)


def fetched(url: str) -> tuple[bytes, str]:
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.read(), response.headers["Content-Disposition"]


@pytest.mark.parametrize("kind", [servers.SeaweedS3, servers.MotoS3, servers.LocalBucketS3])
def test_servers_take_them(kind: type[servers.S3Server], made: list[str]) -> None:
    storage = own_storage(kind)
    for number, key in enumerate(KEYS[:4]):
        put = {"Content-Type": "text/x-own"}
        url = storage.sign(key, 60, for_upload=True, content_type="text/x-own")
        request = urllib.request.Request(url, b"%d" % number, put, method="PUT")
        urllib.request.urlopen(request, timeout=5).close()
        disposition = f'attachment; filename="{number}.txt"'
        url = storage.sign(key, 60, content_disposition=disposition)
        assert fetched(url) == (b"%d" % number, disposition)
    assert made == ["put_object", "get_object"]


def test_async_callers_have_them_too(made: list[str]) -> None:
    storage = own_storage(servers.SeaweedS3)
    urls = [asyncio.run(storage.asign(f"{number}.txt")) for number in range(3)]
    assert len(set(urls)) == 3
    assert made == ["get_object"]


def test_storages_of_one_client_share_them(made: list[str]) -> None:
    storage = own_storage(servers.SeaweedS3)
    other = FSSpecStorage(**storage._arguments.values)
    for number, each in enumerate((storage, other, other)):
        each.url(f"{number}.txt")
        each.exists(f"{number}.txt")
    assert made == ["get_object"]
    client = api_of(storage).fs.s3
    handlers = client.meta.events._emitter._handlers.prefix_search("needs-retry.s3.GetObject")
    forget = presigned_urls_of(client).forget_moved
    assert [handler for handler in handlers if handler == forget] == [forget]


def test_metadata_is_each_objects_own(made: list[str]) -> None:
    storage = own_storage(servers.SeaweedS3)
    for number in range(2):
        storage.sign("a", for_upload=True, metadata={"number": str(number)})
    assert made == ["put_object"] * 2


def test_text_that_has_no_bytes(made: list[str]) -> None:
    storage = own_storage(servers.SeaweedS3)
    storage.sign("a.txt", content_disposition="inline")
    told = []
    for _ in range(2):
        with pytest.raises(Exception, match="surrogates") as error:
            storage.sign("a.txt", content_disposition="\ud800")
        told.append((type(error.value), str(error.value)))
        api_of(storage).urls._templates.clear()  # type: ignore[union-attr]
    assert told[0] == told[1]


def test_renewed_credentials(
    rotate: Rotate, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate("FIRST")
    options = {"client_kwargs": {"region_name": "eu-renewed-1"}}
    storage = FSSpecStorage(fs="s3", prefix=f"bucket/{folder()}", fs_options=options)

    def signer(name: str, after: float) -> str:
        now = time.monotonic() + after
        with monkeypatch.context() as patch:
            patch.setattr(url_templates, "time", SimpleNamespace(monotonic=lambda: now))
            url = storage.sign(name, 7 * 86400)
        token = url.partition("X-Amz-Security-Token=")[2].partition("&")[0]
        assert f"X-Amz-Credential={token}%2F" in url
        return token

    assert [signer("a", 0), signer("b", 0)] == ["FIRST"] * 2
    assert made == ["get_object"]
    rotate("SECOND")
    # they have five minutes left: no tenth of that is over
    assert signer("c", 10) == "FIRST"
    assert signer("d", 31) == "SECOND"
    # a URL lives no longer than they do, whoever makes it
    for name in "ef":
        life = storage.flows.run(storage.flows.sign(name, 86400, for_upload=False, sent={}))
        assert life is not None
        assert 140 < life[1] < 300


def test_a_client_that_is_not_open_yet_signs_nothing() -> None:
    storage = own_storage(servers.SeaweedS3)
    adapter, path = storage.flows.adapter, storage.flows.path("x")
    assert adapter.sign_at_once(path, 60, for_upload=False, headers={}) is None
    assert not adapter.pool.instance._s3
