"""Before fake-gcs-server: resumable uploads that can be asked how far they are.

The fake takes the question for the end of the upload. See "Resumable uploads" in the
documentation of Cloud Storage.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp import web

from tests import servers
from tests.helpers.backends import backends_named, folder, server
from tests.helpers.web import WebServer

_DROPPED = frozenset(("content-length", "content-encoding", "transfer-encoding", "location"))


class GCSSessions:
    """Use as a context manager; `url` is the endpoint."""

    def __init__(self) -> None:
        self._fake = server(servers.FakeGCS).url
        #: upload id -> bytes that arrived; -1 for one that was cancelled
        self._arrived: dict[str, int] = {}
        #: upload id -> size of an object that is complete
        self._complete: dict[str, int] = {}
        #: ranges of the parts that came
        self.ranges: list[str] = []

    def __enter__(self) -> GCSSessions:
        self._server = WebServer(self._answer).__enter__()
        self.url = self._server.url
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.__exit__(*exc_info)

    @property
    def unfinished(self) -> int:
        """How many uploads were begun, and neither completed nor cancelled."""
        return sum(
            arrived >= 0 for name, arrived in self._arrived.items() if name not in self._complete
        )

    def asked(self) -> list[str]:
        """Return the methods of the requests since the last call."""
        methods = [request.method for request in self._server.requests]
        self._server.requests.clear()
        return methods

    def options(self) -> dict[str, Any]:
        """Return OPTIONS of a storage."""
        (backend,) = backends_named("gcs (fake-gcs-server)")
        options = backend.options(folder())
        return {**options, "fs_options": {**options["fs_options"], "endpoint_url": self.url}}

    async def _answer(self, request: web.Request) -> web.Response:
        session, span = (
            request.query.get("upload_id", ""),
            request.headers.get("Content-Range", ""),
        )
        if request.method == "PUT" and self._arrived.get(session) == -1:
            return web.Response(status=499)
        if request.method == "PUT" and span.startswith("bytes */"):
            return self._told(session)
        if request.method == "PUT" and session:
            self.ranges.append(span)
        target = self._fake + str(request.rel_url)
        # the fake knows its own host alone
        headers = {name: text for name, text in request.headers.items() if name != "Host"}
        body = None if request.method in ("GET", "HEAD") else request.content.iter_any()
        async with (
            aiohttp.ClientSession(auto_decompress=False) as client,
            client.request(
                request.method, target, headers=headers, data=body, allow_redirects=False
            ) as answer,
        ):
            self._note(request, answer)
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _DROPPED}
            if place := answer.headers.get("Location"):
                kept["Location"] = place.replace(self._fake, self.url)
            data = await answer.read()
            return web.Response(status=answer.status, headers=kept, body=data)

    def _told(self, session: str) -> web.Response:
        if session in self._complete:
            return web.json_response({"size": str(self._complete[session])})
        arrived = self._arrived[session]
        headers = {"Range": f"bytes=0-{arrived - 1}"} if arrived else {}
        return web.Response(status=308, headers=headers)

    def _note(self, request: web.Request, answer: aiohttp.ClientResponse) -> None:
        session = request.query.get("upload_id", "")
        if "Location" in answer.headers:
            self._arrived[answer.headers["Location"].rpartition("upload_id=")[2]] = 0
        elif request.method == "DELETE" and session:
            self._arrived[session] = -1
        elif request.method == "PUT" and session and answer.status == 308:
            self._arrived[session] = int(answer.headers["Range"].rpartition("-")[2]) + 1
        elif request.method == "PUT" and session and answer.status == 200:
            self._complete[session] = self._arrived[session]
