"""One GET streamed by httpx, taken up again where it broke."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx

from django_fsspec.adapters.base import Reader
from django_fsspec.adapters.errors import not_found
from django_fsspec.core.stat import Stat, utc

if TYPE_CHECKING:
    from .adapter import WebDAVAdapter

#: answers for what is no file: missing, gone, or a directory (405, and the way to its slash)
NOT_FILE = (301, 302, 307, 308, 404, 405, 410)


class StreamReader(Reader):
    """The body of a GET; resumed of the same version only (If-Match)."""

    def __init__(self, adapter: WebDAVAdapter, path: str, start: int, end: int | None) -> None:
        self._adapter, self._path = adapter, path
        self._position, self._end = start, end
        self._buffer = memoryview(b"")
        self._left = adapter.limits.retries
        self._chunks: Iterator[bytes] = iter(())
        self._skip = 0
        self._response = response = self._get({})
        self.stat = self._stat(response)
        if response.status_code == 416 or (end is not None and end <= start):
            response.close()
            return
        if response.status_code != 206:
            self._skip = start
        self._chunks = response.iter_raw()

    def _get(self, conditions: dict[str, str]) -> httpx.Response:
        headers = {"Accept-Encoding": "identity", **conditions}
        if self._position or self._end is not None:
            last = "" if self._end is None else max(self._position, self._end - 1)
            headers["Range"] = f"bytes={self._position}-{last}"
        response = self._adapter.ask("GET", self._path, headers, stream=True)
        if response.status_code in NOT_FILE:
            response.close()
            raise not_found(self._path)
        if response.status_code != 416 and response.is_error:
            response.close()
            response.raise_for_status()
        return response

    def _stat(self, response: httpx.Response) -> Stat:
        told = response.headers
        whole = told.get("content-range", "").rpartition("/")[2]
        if not whole and response.status_code == 200:
            whole = told.get("content-length", "")
        etag = told.get("etag")
        return Stat(
            name=self._path,
            size=int(whole) if whole.isdigit() else None,
            last_modified=utc(told.get("last-modified")),
            content_type=None if response.status_code == 416 else told.get("content-type"),
            etag=etag.strip('"') if etag else None,
        )

    def read(self, size: int) -> bytes:
        while not self._buffer:
            chunk = self._next()
            if not chunk:
                return b""
            if self._skip:
                # a server without ranges sends all of it
                self._skip, chunk = max(0, self._skip - len(chunk)), chunk[self._skip :]
            self._buffer = memoryview(chunk)
        left = size if self._end is None else min(size, self._end - self._position)
        taken = bytes(self._buffer[:left])
        self._buffer = self._buffer[left:]
        self._position += len(taken)
        if self._position == self._end:
            if self._response.status_code == 206:
                # the end of the message lets the connection be used again
                next(self._chunks, b"")
            self.close()
        return taken

    def _next(self) -> bytes:
        while True:
            try:
                return next(self._chunks, b"")
            except httpx.TransportError:
                etag = self.stat.etag
                if self._left <= 0 or not etag or etag.startswith("W/") or self._skip:
                    raise
                self._left -= 1
                self._response = self._get({"If-Match": f'"{etag}"'})
                if self._response.status_code != 206:
                    self.close()
                    raise
                self._chunks = self._response.iter_raw()

    def close(self) -> None:
        self._chunks, self._buffer = iter(()), memoryview(b"")
        self._response.close()
