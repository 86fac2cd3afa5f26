"""Listings of a WebDAV server that change while it writes them."""

from __future__ import annotations

import pytest
from aiohttp import web

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests.helpers.web import WebServer

pytestmark = pytest.mark.once

LISTING = (
    '<D:multistatus xmlns:D="DAV:"><D:response><D:href>/a.txt</D:href><D:propstat><D:prop>'
    "<D:getcontentlength>1</D:getcontentlength>"
    "</D:prop></D:propstat></D:response></D:multistatus>"
)


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_one_that_ends_with_an_error_is_asked_for_again(broken: int) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.method)
        text = LISTING + ("Internal Server Error" if len(asked) <= broken else "")
        return web.Response(text=text, status=207, content_type="application/xml")

    with WebServer(answer) as server:
        storage = FSSpecStorage(fs="webdav", fs_options={"base_url": server.url}, retries=2)
        if broken > 2:
            with pytest.raises(StorageError, match="junk after document element"):
                storage.listdir("")
        else:
            assert storage.listdir("") == ([], ["a.txt"])
    assert asked == ["PROPFIND"] * min(broken + 1, 3)
