"""Credentials stay with the origin that they are for, wherever a server redirects to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
import pytest
import requests
from aiohttp import web

from django_fsspec.adapters.requests_client import SecureSession
from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.web import WebServer
from tests.servers.certificates import self_signed, server_context

# aiohttp 3.14 wants another spelling, which 3.13 does not know
pytestmark = pytest.mark.filterwarnings("ignore:The 'auth' parameter:DeprecationWarning")

DATA = bytes(range(256)) * 4
SECRET = "s3cr3t-of-ours"
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    AUTH = aiohttp.BasicAuth(SECRET, SECRET)
#: a way to tell a server who we are -> fs_options
CREDENTIALS: dict[str, dict[str, Any]] = {
    "auth": {"client_kwargs": {"auth": AUTH}},
    "Authorization": {"client_kwargs": {"headers": {"Authorization": f"Bearer {SECRET}"}}},
    "header": {"client_kwargs": {"headers": {"X-Api-Key": SECRET}}},
    "cookies": {"client_kwargs": {"cookies": {"session": SECRET}}},
    "request auth": {"auth": AUTH},
    "request header": {"headers": {"X-Api-Key": SECRET}},
    "request cookies": {"cookies": {"session": SECRET}},
}
READS: dict[str, Callable[[FSSpecStorage], Any]] = {
    "whole": lambda storage: storage.get_content("f.bin") == DATA,
    "range": lambda storage: storage.get_content("f.bin", 10, 20) == DATA[10:20],
    "stream": lambda storage: b"".join(storage.stream("f.bin")) == DATA,
    "HEAD": lambda storage: storage.size("f.bin") == len(DATA),
    "exists": lambda storage: storage.exists("f.bin"),
    "listing": lambda storage: storage.listdir("") == ([], ["f.bin"]),
    "async whole": lambda storage: asyncio.run(storage.aget_content("f.bin")) == DATA,
    "async HEAD": lambda storage: asyncio.run(storage.asize("f.bin")) == len(DATA),
    # archives read by fsspec's own calls
    "fsspec": lambda storage: (
        storage.flows.adapter.fs.cat_file(  # type: ignore[attr-defined]
            storage.flows.path_to_read("f.bin")
        )
        == DATA
    ),
}


def tells_secret(request: web.Request) -> bool:
    """Return whether a request says who made it."""
    return any(SECRET in value or AUTH.encode() in value for value in request.headers.values())


async def _file(request: web.Request) -> web.StreamResponse:
    if request.path.endswith("/"):
        return web.Response(text='<a href="f.bin">f</a>', content_type="text/html")
    span = request.http_range
    if span.start is None:
        return web.Response(body=DATA)
    stop = min(span.stop or len(DATA), len(DATA))
    told = {"Content-Range": f"bytes {span.start}-{stop - 1}/{len(DATA)}"}
    return web.Response(status=206, body=DATA[span.start : stop], headers=told)


def redirecting(target: Callable[[web.Request], str]) -> Callable[..., Any]:
    """Return an answer that redirects to `target`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": target(request)})

    return answer


@pytest.fixture
def elsewhere() -> Iterator[WebServer]:
    with WebServer(_file) as server:
        yield server


@pytest.fixture
def here(elsewhere: WebServer) -> Iterator[WebServer]:
    with WebServer(redirecting(lambda request: elsewhere.url + request.path)) as server:
        yield server


def storage_of(server: WebServer, **fs_options: Any) -> FSSpecStorage:
    return FSSpecStorage(
        fs="http", prefix=f"{server.url}/d", timeout=5, retries=0, fs_options=fs_options
    )


@pytest.mark.parametrize("read", READS)
def test_another_origin_gets_the_request_and_no_credentials(
    here: WebServer, elsewhere: WebServer, read: str
) -> None:
    for options in CREDENTIALS.values():
        assert READS[read](storage_of(here, **options))
    assert all(map(tells_secret, here.requests))
    assert elsewhere.requests
    assert not any(map(tells_secret, elsewhere.requests))


def test_the_password_of_a_url_stays_here(here: WebServer, elsewhere: WebServer) -> None:
    url = here.url.replace("//", f"//{SECRET}:{SECRET}@")
    assert FSSpecStorage(fs=f"{url}/d").get_content("f.bin") == DATA
    assert all(map(tells_secret, here.requests))
    assert not any(map(tells_secret, elsewhere.requests))


def test_the_same_origin_gets_the_credentials() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/d/"):
            return web.Response(status=307, headers={"Location": request.path.replace("d", "e")})
        return await _file(request)

    with WebServer(answer) as server:
        for options in CREDENTIALS.values():
            assert storage_of(server, **options).get_content("f.bin", 2, 9) == DATA[2:9]
        assert len(server.requests) == 2 * len(CREDENTIALS)
        assert all(map(tells_secret, server.requests))


def test_an_origin_that_redirects_back_is_followed_without_credentials() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/d/"):
            return web.Response(status=302, headers={"Location": f"{there.url}/f.bin"})
        return await _file(request)

    with (
        WebServer(answer) as server,
        WebServer(redirecting(lambda request: f"{server.url}/private/f.bin")) as there,
    ):
        assert storage_of(server, **CREDENTIALS["header"]).get_content("f.bin") == DATA
        assert [tells_secret(request) for request in server.requests] == [True, False]


def test_a_directory_elsewhere_is_no_file(elsewhere: WebServer) -> None:
    with WebServer(redirecting(lambda request: f"{elsewhere.url}{request.path}/")) as server:
        assert not storage_of(server).exists("folder")


@pytest.mark.parametrize("hops", [1, 2])
def test_https_is_never_left_for_http(tmp_path: Path, elsewhere: WebServer, hops: int) -> None:
    pem = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=pem)
    with contextlib.ExitStack() as stack:
        server = elsewhere
        for _ in range(hops):
            answer = redirecting(lambda request, url=server.url: f"{url}/f.bin")  # type: ignore[misc]
            server = stack.enter_context(WebServer(answer, server_context(pem)))
        with pytest.raises(StorageError, match=r"redirects there.*'fs' or 'prefix'"):
            storage_of(server, ssl=trust).get_content("f.bin")
        assert not elsewhere.requests


def test_a_redirect_for_ever_ends(here: WebServer) -> None:
    with (
        WebServer(redirecting(lambda request: f"{there.url}/f.bin")) as server,
        WebServer(redirecting(lambda request: f"{server.url}/f.bin")) as there,
    ):
        with pytest.raises(StorageError, match="redirects too often"):
            storage_of(server).get_content("f.bin")
        assert len(there.requests) + len(server.requests) < 25


@pytest.mark.parametrize("status", [403, 500])
def test_a_signed_address_is_not_told(status: int) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    query = f"X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}&part=1&sig={SECRET}"
    with (
        WebServer(refuse) as there,
        WebServer(redirecting(lambda request: f"{there.url}/f.bin?{query}")) as server,
        pytest.raises(OSError, match="part=1") as caught,
    ):
        storage_of(server).get_content("f.bin")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_redirect_to_nowhere_is_no_file() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, text="moved")

    with WebServer(answer) as server:
        for read in ("whole", "stream", "HEAD", "exists"):
            with pytest.raises(StorageError, match="302"):
                READS[read](storage_of(server))


def test_a_filesystem_made_by_the_site(elsewhere: WebServer, here: WebServer) -> None:
    fs = fsspec.filesystem("http", **CREDENTIALS["header"], skip_instance_cache=True)
    storage = FSSpecStorage(fs=fs, prefix=f"{here.url}/d")
    assert storage.get_content("f.bin") == DATA
    assert not any(map(tells_secret, elsewhere.requests))


# other filesystems over HTTP


def test_webdav_goes_to_no_other_origin(here: WebServer, elsewhere: WebServer) -> None:
    options = {"base_url": here.url, "auth": (SECRET, SECRET), "headers": {"X-Api-Key": SECRET}}
    storage = FSSpecStorage(fs="webdav", fs_options=options, retries=0)
    assert not storage.exists("f.bin")
    with pytest.raises(FileNotFoundError):
        storage.get_content("f.bin")
    fs = storage.flows.adapter.pool.instance
    with pytest.raises(StorageError, match="redirects to another address"):
        fs.client.ls("/")
    with pytest.raises(StorageError, match="redirects to another address"):
        fs.client.http.get(f"{here.url}/f.bin", follow_redirects=True)
    assert not elsewhere.requests


def test_azure_goes_to_no_other_origin(here: WebServer, elsewhere: WebServer) -> None:
    parts = {
        "DefaultEndpointsProtocol": "http",
        "AccountName": "account",
        "AccountKey": base64.b64encode(SECRET.encode()).decode(),
        "BlobEndpoint": f"{here.url}/account",
    }
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    storage = FSSpecStorage(
        fs="abfs", prefix="container", fs_options={"connection_string": text}, retries=0
    )
    for read in (storage.get_content, storage.size):
        with pytest.raises(StorageError):
            read("f.bin")
    assert here.requests
    assert not elsewhere.requests


def test_github_goes_elsewhere_without_credentials() -> None:
    async def file(request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {"type": "file", "size": 5, "sha": "1", "content": base64.b64encode(b"hello").decode()}
        )

    with (
        WebServer(file) as elsewhere,
        WebServer(redirecting(lambda request: elsewhere.url + request.path)) as here,
        servers.GitHubServer() as github,
    ):
        cls = github.filesystem_class()
        cls.content_url = here.url + "/{org}/{repo}/{path}?ref={sha}"
        fs = cls(**github.fs_options, username=SECRET, token=SECRET)
        assert FSSpecStorage(fs=fs, retries=0).get_content("f.txt") == b"hello"
        assert all(map(tells_secret, here.requests))
        assert not any(map(tells_secret, elsewhere.requests))


def test_requests_never_leaves_https_for_http(tmp_path: Path, elsewhere: WebServer) -> None:
    pem = self_signed(tmp_path)
    answer = redirecting(lambda request: f"{elsewhere.url}/f.bin")
    with (
        WebServer(answer, server_context(pem)) as server,
        SecureSession() as session,
        pytest.raises(requests.RequestException, match="from https to http"),
    ):
        session.get(server.url, verify=str(pem))
    assert not elsewhere.requests
