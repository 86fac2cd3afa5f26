"""Servers that list names which do not lie in the folder: nothing leads out of it."""

from __future__ import annotations

import asyncio
import stat as stat_module
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import fsspec
import pytest
from aiohttp import web

from django_fsspec.core.names import MAX_DEPTH, label_in
from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests.helpers.web import WebServer
from tests.servers.hostile_sftp import HostileSFTP

pytestmark = pytest.mark.once

#: names that are none in a folder
EVIL = ("..", ".", "../evil", "../../etc/passwd", "/", "/etc/passwd", "sub/evil", "x\0y", "")


async def _walked(storage: FSSpecStorage) -> list[str]:
    return [stat.name async for stat in storage.awalk()]


def check(storage: FSSpecStorage) -> None:
    """Check that of all that is listed, a.bin and b.bin in the folder `sub` are found."""
    assert [stat.name for stat in storage.walk()] == ["a.bin", "sub/b.bin"]
    assert asyncio.run(_walked(storage)) == ["a.bin", "sub/b.bin"]
    assert [stat.name for stat in storage.walk("sub")] == ["sub/b.bin"]
    assert storage.listdir("") == (["sub"], ["a.bin"])
    assert asyncio.run(storage.alistdir("sub")) == ([], ["b.bin"])


# SFTP

TYPES = {"file": stat_module.S_IFREG | 0o644, "folder": stat_module.S_IFDIR | 0o755}
CLIENTS = ["asyncssh", "paramiko"]


@pytest.fixture(params=CLIENTS)
def sftp(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[HostileSFTP, Any]]:
    """A server with a folder, and OPTIONS of a storage there."""
    folder = tmp_path / "media"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a")
    (folder / "sub" / "b.bin").write_bytes(b"b")
    fsspec.register_implementation(
        "paramiko", "fsspec.implementations.sftp.SFTPFileSystem", clobber=True
    )
    with HostileSFTP(tmp_path) as server:
        options: dict[str, Any] = {"prefix": "/media", "timeout": 2, "retries": 0}
        if request.param == "paramiko":
            options |= {"fs": "paramiko", "fs_options": server.paramiko_options}
        else:
            options |= {"fs": "ssh", "fs_options": server.fs_options}
        yield server, options


@pytest.mark.parametrize("file_type", TYPES)
def test_sftp(sftp: tuple[HostileSFTP, Any], file_type: str) -> None:
    server, options = sftp
    server.listed = {name.encode(): TYPES[file_type] for name in EVIL}
    check(FSSpecStorage(**options))


@pytest.mark.slow
def test_sftp_folders_without_end(sftp: tuple[HostileSFTP, Any]) -> None:
    server, options = sftp
    server.listed = {b"loop": TYPES["folder"], b"c.bin": TYPES["file"]}
    names = [stat.name for stat in FSSpecStorage(**options).walk()]
    assert max(name.count("/") for name in names) == MAX_DEPTH


# WebDAV

PROPERTIES = "<D:propstat><D:prop><D:resourcetype>{}</D:resourcetype></D:prop></D:propstat>"


def multistatus(hrefs: dict[str, bool]) -> str:
    responses = [
        f"<D:response><D:href>{escape(href)}</D:href>"
        f"{PROPERTIES.format('<D:collection/>' if is_dir else '')}</D:response>"
        for href, is_dir in hrefs.items()
    ]
    return f'<D:multistatus xmlns:D="DAV:">{"".join(responses)}</D:multistatus>'


@pytest.mark.parametrize("absolute", [False, True], ids=["paths", "URLs"])
@pytest.mark.parametrize("is_dir", [False, True], ids=["files", "folders"])
def test_webdav(is_dir: bool, absolute: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        here = request.path.rstrip("/")
        inside = {"a.bin": False, "sub/": True} if here == "/dav/media" else {"b.bin": False}
        hrefs = {f"{here}/": True}
        hrefs |= {f"{here}/{quote(name, safe='')}": is_dir for name in EVIL if name}
        hrefs |= {f"{here}/../evil": is_dir, f"{here}/sub/evil": is_dir, "/dav/evil": is_dir}
        hrefs |= {f"{here}/{name}": kind for name, kind in inside.items()}
        base = f"http://{request.host}" if absolute else ""
        text = multistatus({base + href: kind for href, kind in hrefs.items()})
        return web.Response(text=text, status=207, content_type="application/xml")

    with WebServer(answer) as server:
        fs_options = {"base_url": f"{server.url}/dav"}
        check(FSSpecStorage(fs="webdav", prefix="media", fs_options=fs_options))


# pages of links


@pytest.mark.parametrize("slash", ["", "/"], ids=["files", "folders"])
def test_http(slash: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        inside = ["a.bin", "sub/"] if request.path == "/media/" else ["b.bin"]
        links = [quote(name, safe=safe) + slash for name in EVIL for safe in ("", "/")]
        links += [f"{request.path}../evil", "//other.example/evil", "?C=N", "#top", *inside]
        text = "".join(f'<a href="{link}">x</a>' for link in links)
        text += '<a href="sub/b.bin">deeper</a>'
        return web.Response(text=text, content_type="text/html")

    with WebServer(answer) as server:
        check(FSSpecStorage(fs=f"{server.url}/media"))


# S3

EVIL_KEYS = ("evil", "media-2/evil", "other/evil", "media", "/media/evil", "../media/evil")


def bucket_page(
    keys: tuple[str, ...], prefixes: tuple[str, ...] = (), token: str | None = None
) -> str:
    contents = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    folders = "".join(
        f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>" for prefix in prefixes
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return f"<ListBucketResult>{contents}{folders}{more}</ListBucketResult>"


def on_s3(server: WebServer) -> FSSpecStorage:
    client = {"region_name": "us-east-1"}
    options = {"key": "k", "secret": "s", "endpoint_url": server.url, "client_kwargs": client}
    return FSSpecStorage(fs="s3", prefix="bucket/media", fs_options=options, retries=0)


def test_s3() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        prefix = request.query["prefix"]
        if "delimiter" in request.query:
            page = bucket_page(
                (
                    *EVIL_KEYS,
                    f"{prefix}deep/er",
                    f"{prefix}{'a' if prefix == 'media/' else 'b'}.bin",
                ),
                (
                    f"{prefix}../",
                    f"{prefix}./",
                    "other/",
                    *(["media/sub/"] if prefix == "media/" else []),
                ),
            )
        else:
            page = bucket_page((*EVIL_KEYS, "media/a.bin", "media/sub/b.bin"))
        return web.Response(text=page, content_type="application/xml")

    with WebServer(answer) as server:
        check(on_s3(server))


@pytest.mark.slow
@pytest.mark.parametrize(
    "ask", [lambda storage: list(storage.walk()), lambda storage: storage.listdir("")]
)
def test_a_page_that_is_repeated(ask: Callable[[FSSpecStorage], Any]) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        page = bucket_page(("media/a.bin",), token="again")
        return web.Response(text=page, content_type="application/xml")

    with WebServer(answer) as server:
        storage = on_s3(server)
        with pytest.raises(StorageError, match="lists one page of '/' again and again"):
            ask(storage)
        assert len(server.requests) == 2


# the rule


@pytest.mark.parametrize("folder", ["media", "/media", "media/", "https://host/media"])
def test_label_in(folder: str) -> None:
    inside = folder.rstrip("/")
    assert label_in(folder, f"{inside}/a b.bin") == "a b.bin"
    for name in ("..", ".", "", "a/b", "../a", "a/", "/a", "a\0b"):
        assert label_in(folder, f"{inside}/{name}") is None
    for path in (folder, "other/a", f"{inside}-2/a", "", "/"):
        assert label_in(folder, path) is None


def test_label_in_the_root() -> None:
    assert label_in("", "a") == label_in("/", "/a") == "a"
    assert label_in("", "a/b") is None
