"""A save whose rename is not answered fails with that, and leaves nothing on the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from aiohttp import web
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests.helpers.web import WebServer
from tests.servers.hostile_sftp import HostileSFTP

pytestmark = pytest.mark.once


@pytest.fixture(params=["asyncssh", "paramiko"])
def sftp(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[HostileSFTP, Any]]:
    """A server, and OPTIONS of a storage there."""
    fsspec.register_implementation(
        "paramiko", "fsspec.implementations.sftp.SFTPFileSystem", clobber=True
    )
    with HostileSFTP(tmp_path) as server:
        options: dict[str, Any] = {"prefix": "/", "timeout": 2, "retries": 0}
        if request.param == "paramiko":
            options |= {"fs": "paramiko", "fs_options": server.paramiko_options}
        else:
            options |= {"fs": "ssh", "fs_options": server.fs_options}
        yield server, options


@pytest.mark.slow
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwrite"])
def test_sftp_without_an_answer(sftp: tuple[HostileSFTP, Any], overwrite: bool) -> None:
    server, options = sftp
    storage = FSSpecStorage(**options, allow_overwrite=overwrite)
    server.renames = "hang"
    with pytest.raises(TimeoutError, match="did not answer in 2 s"):
        storage.save("a.txt", ContentFile(b"a"))
    assert list(server.root.iterdir()) == []
    with pytest.raises(TimeoutError, match="did not answer in 2 s"):
        asyncio.run(storage.asave("a.txt", ContentFile(b"a")))
    assert list(server.root.iterdir()) == []


@pytest.mark.slow
def test_what_can_not_be_deleted_is_logged(
    sftp: tuple[HostileSFTP, Any], caplog: pytest.LogCaptureFixture
) -> None:
    server, options = sftp
    storage = FSSpecStorage(**options)
    server.renames = server.removes = "hang"
    with pytest.raises(TimeoutError, match="did not answer in 2 s"):
        storage.save("a.txt", ContentFile(b"a"))
    (left,) = (path.name for path in server.root.iterdir() if path.stat().st_size)
    (record,) = (one for one in caplog.records if one.name == "django_fsspec")
    assert "A save may have left" in record.getMessage()
    assert repr(f"/{left}") in record.getMessage()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwrite"])
def test_sftp_with_a_connection_that_is_cut(
    sftp: tuple[HostileSFTP, Any], overwrite: bool
) -> None:
    server, options = sftp
    storage = FSSpecStorage(**options, allow_overwrite=overwrite)
    server.renames = "cut"
    with pytest.raises(StorageError):
        storage.save("a.txt", ContentFile(b"a"))
    assert list(server.root.iterdir()) == []
    server.renames = ""
    assert storage.save("a.txt", ContentFile(b"a")) == "a.txt"


@pytest.mark.slow
def test_webdav_without_an_answer() -> None:
    stored: dict[str, bytes] = {}
    hanging: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "MOVE":
            hanging.append((asyncio.get_running_loop(), asyncio.Event()))
            await hanging[-1][1].wait()
        if request.method == "PUT":
            stored[request.path] = await request.read()
        elif request.method == "DELETE":
            del stored[request.path]
        elif request.method == "PROPFIND":
            size = len(stored.get(request.path, b""))
            text = (
                '<D:multistatus xmlns:D="DAV:"><D:response><D:propstat><D:prop>'
                f"<D:getcontentlength>{size}</D:getcontentlength>"
                "</D:prop></D:propstat></D:response></D:multistatus>"
            )
            return web.Response(text=text, status=207, content_type="application/xml")
        return web.Response(status=201)

    with WebServer(answer) as server:
        fs_options = {"base_url": server.url}
        storage = FSSpecStorage(fs="webdav", fs_options=fs_options, timeout=1, retries=0)
        with pytest.raises(TimeoutError, match="did not answer in 1 s"):
            storage.save("a.txt", ContentFile(b"a"))
        assert stored == {}
        for loop, event in hanging:
            loop.call_soon_threadsafe(event.set)
