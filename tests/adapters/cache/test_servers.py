"""Servers and accounts whose files have equal paths and share one cache folder."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
import httpx
import pytest
from adlfs import AzureBlobFileSystem
from django.core.files.base import ContentFile
from django.test import override_settings
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.implementations.zip import ZipFileSystem
from s3fs import S3FileSystem

from django_fsspec.adapters.cache.servers import server_of
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.backends import folder, server, zip_bytes
from tests.helpers.caches import DATA, READS, cached, each_kind
from tests.helpers.utils import started


@contextlib.contextmanager
def _two_s3() -> Iterator[list[dict[str, Any]]]:
    """Two servers with buckets of one name."""
    first, second = server(servers.SeaweedS3), server(servers.MotoS3)
    assert first.bucket == second.bucket
    prefix = f"{first.bucket}/{folder()}"
    yield [{"fs": "s3", "fs_options": s3.fs_options, "prefix": prefix} for s3 in (first, second)]


@contextlib.contextmanager
def _two_ftp() -> Iterator[list[dict[str, Any]]]:
    with started(servers.PyFTP) as other:
        yield [
            {"fs": "ftp", "fs_options": ftp.fs_options, "prefix": "p"}
            for ftp in (server(servers.PyFTP), other)
        ]


TWO = {"s3": _two_s3, "ftp": _two_ftp}


@pytest.mark.slow
@pytest.mark.parametrize("two", TWO.values(), ids=TWO)
@each_kind
def test_each_server_has_its_own_files(kind: str, two: Any, tmp_path: Path) -> None:
    with two() as both:
        checks: list[dict[str, Any]] = [{}, {"check_files": False}]
        for check in checks:
            storages = [cached(kind, str(tmp_path), **options, **check) for options in both]
            contents = [DATA, DATA[::-1]]
            for storage, content in zip(storages, contents, strict=True):
                storage.save("f.bin", ContentFile(content))
            for read in READS.values():
                assert [read(storage, "f.bin") for storage in storages] == contents


@each_kind
def test_each_archive_has_its_own_files(kind: str, tmp_path: Path) -> None:
    contents = [b"one" * 1000, b"two" * 1000]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.zip").write_bytes(zip_bytes({"f.bin": content}))
        storage = FSSpecStorage(
            fs=f"{kind}::zip",
            fs_options={
                kind: {"cache_storage": str(tmp_path / "cache")},
                "zip": {"fo": str(tmp_path / f"{number}.zip")},
            },
        )
        assert storage.get_content("f.bin") == content


@each_kind
def test_a_storage_of_a_filesystem_given_ready(kind: str, tmp_path: Path) -> None:
    files = MemoryFileSystem()
    root = folder()
    files.pipe_file(f"/{root}/f.bin", DATA)
    given = fsspec.filesystem(
        kind,
        fs=DirFileSystem(path=f"/{root}", fs=files),
        cache_storage=str(tmp_path),
        skip_instance_cache=True,
    )
    storage = FSSpecStorage(fs=given)
    assert storage.get_content("f.bin") == DATA
    storage.save("g.bin", ContentFile(b"x"))
    assert files.cat_file(f"/{root}/g.bin") == b"x"


def made(protocol: str, *args: Any, **options: Any) -> Any:
    return fsspec.filesystem(protocol, *args, skip_instance_cache=True, **options)


S3 = {"key": "k", "secret": "s", "endpoint_url": "http://a.example"}
AZURE = "DefaultEndpointsProtocol=http;AccountName={};AccountKey={};BlobEndpoint=http://h/a"


def azure(account: str, key: str) -> Any:
    return AzureBlobFileSystem(
        connection_string=AZURE.format(account, key), skip_instance_cache=True
    )


def dav(user: str, password: str) -> Any:
    return made("webdav", base_url="http://a.example", auth=(user, password))


def http_with(**headers: str) -> Any:
    return made("http", client_kwargs={"headers": headers})


def http_pairs(kind: str, name: str, value: str) -> Any:
    return made("http", client_kwargs={kind: [(name, value)]})


def http_by(middleware: Any) -> Any:
    return made("http", client_kwargs={"middlewares": (middleware,)})


def dav_by(auth: httpx.Auth) -> Any:
    return made("webdav", base_url="http://a.example", auth=auth)


def http(user: str, password: str) -> Any:
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    return http_with(Authorization=f"Basic {basic}")


OTHERS = {
    "endpoint": lambda: made("s3", **{**S3, "endpoint_url": "http://b.example"}),
    "access key": lambda: made("s3", **{**S3, "key": "other"}),
    "region": lambda: made("s3", **S3, client_kwargs={"region_name": "cn-north-1"}),
    "class": MemoryFileSystem,
    "account": lambda: azure("b", "a2V5"),
    "WebDAV": lambda: dav("b", "p"),
    "HTTP": lambda: http("b", "p"),
    "header": lambda: http_with(**{"X-Tenant": "b"}),
    "token": lambda: http_with(Authorization="Bearer one"),
    "other token": lambda: http_with(Authorization="Bearer two"),
    "key in a header": lambda: http_with(**{"X-Api-Key": "one"}),
    "other key in a header": lambda: http_with(**{"X-Api-Key": "two"}),
    "cookie": lambda: made("http", client_kwargs={"cookies": {"token": "one"}}),
    "other cookie": lambda: made("http", client_kwargs={"cookies": {"token": "two"}}),
    "pairs of headers": lambda: http_pairs("headers", "Authorization", "one"),
    "other pairs of headers": lambda: http_pairs("headers", "Authorization", "two"),
    "pairs of cookies": lambda: http_pairs("cookies", "session", "one"),
    "other pairs of cookies": lambda: http_pairs("cookies", "session", "two"),
    "Basic object": lambda: dav_by(httpx.BasicAuth("d", "p")),
    "other Basic object": lambda: dav_by(httpx.BasicAuth("c", "p")),
    "Digest object": lambda: dav_by(httpx.DigestAuth("b", "p")),
    "other Digest object": lambda: dav_by(httpx.DigestAuth("c", "p")),
    "middleware": lambda: http_by(aiohttp.DigestAuthMiddleware("b", "p")),
    "other middleware": lambda: http_by(aiohttp.DigestAuthMiddleware("c", "p")),
    "archive": lambda: ZipFileSystem(fo=made("memory").open("/b.zip", "rb")),
}
SAME = {
    "s3": lambda: made("s3", **{**S3, "secret": "t"}, config_kwargs={"read_timeout": 3}),
    "azure": lambda: azure("a", "b3RoZXI="),
    "http": lambda: http("a", "q"),
    "webdav": lambda: dav("a", "q"),
    "token": lambda: http_with(Authorization="Bearer one"),
    "pairs": lambda: http_pairs("headers", "Authorization", "Bearer one"),
    "Basic object": lambda: dav_by(httpx.BasicAuth("d", "q")),
    "url": lambda: made("s3", **{**S3, "endpoint_url": "http://u:q@a.example"}),
}


def test_what_tells_servers_apart() -> None:
    made("memory").pipe_file("/b.zip", zip_bytes({"f": b""}))
    told = {server_of(make()) for make in OTHERS.values()}
    told |= {server_of(made("s3", **S3)), server_of(azure("a", "a2V5"))}
    told |= {server_of(dav("a", "p")), server_of(http("a", "p"))}
    assert len(told) == len(OTHERS) + 4


def test_secrets_and_time_limits_do_not() -> None:
    assert server_of(SAME["s3"]()) == server_of(made("s3", **S3))
    assert server_of(SAME["azure"]()) == server_of(azure("a", "a2V5"))
    assert server_of(SAME["http"]()) == server_of(http("a", "p"))
    assert server_of(SAME["webdav"]()) == server_of(dav("a", "p"))
    assert server_of(SAME["token"]()) == server_of(http_with(Authorization="Bearer one"))
    assert server_of(SAME["pairs"]()) == server_of(SAME["token"]())
    assert server_of(SAME["Basic object"]()) == server_of(OTHERS["Basic object"]())
    with_user = made("s3", **{**S3, "endpoint_url": "http://u:p@a.example"})
    assert server_of(SAME["url"]()) == server_of(with_user)


@override_settings(SECRET_KEY="another")
def test_a_token_can_not_be_guessed_by_who_sees_names_of_files() -> None:
    with_key = server_of(http_with(Authorization="Bearer one"))
    with override_settings(SECRET_KEY="a third"):
        assert server_of(http_with(Authorization="Bearer one")) != with_key


def test_arguments_by_position_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    by_position = S3FileSystem(False, "http://a.example", "k", "s", skip_instance_cache=True)
    other = S3FileSystem(False, "http://b.example", "k", "s", skip_instance_cache=True)
    assert server_of(by_position) != server_of(other)
    told = server_of(by_position)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://c.example")
    assert server_of(by_position) != told
