"""One GET streamed by httpx, resumed where it broke."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx

from django_fsspec.adapters.errors import changed_while_read, not_found
from django_fsspec.adapters.resuming_readers import BlockingResumingReader, OpenedRange, byte_range
from django_fsspec.core.stat import Stat, total_size, unquoted, utc

#: statuses of what is no file: missing, gone, or a directory (405, and the way to its slash)
NOT_FILE = (301, 302, 307, 308, 404, 405, 410)


class WebDAVBody:
    """The body of a response, which httpx gives in pieces of any size."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._chunks = response.iter_raw()
        self._buffer = memoryview(b"")

    def read(self, size: int) -> bytes:
        if not self._buffer:
            self._buffer = memoryview(next(self._chunks, b""))
        chunk, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
        return chunk

    def close(self) -> None:
        self.response.close()


class WebDAVReader(BlockingResumingReader):
    """The body of a GET; `get` makes that request with headers."""

    broken = (httpx.TransportError,)

    def __init__(
        self,
        get: Callable[[dict[str, str]], httpx.Response],
        path: str,
        start: int,
        end: int | None,
        retries: int,
    ) -> None:
        super().__init__(path, start, end, retries)
        self._get = get

    def _open(self) -> OpenedRange:
        start, end = self._position, self._end
        # one byte where none is asked for: a server would take the empty range for none
        asked = byte_range(start, end if end is None else max(end, start + 1))
        # a file that has changed is refused (RFC 9110, 13.1.1)
        condition = {"If-Match": f'"{self._version}"'} if self._version else {}
        response = self._get({"Accept-Encoding": "identity", **asked, **condition})
        if response.status_code == 412:
            response.close()
            raise changed_while_read(self._path)
        if response.status_code in NOT_FILE:
            response.close()
            raise not_found(self._path)
        if response.status_code != 416 and response.is_error:
            response.close()
            response.raise_for_status()
        stat = self._stat(response)
        if condition and response.status_code == 206:
            # the server compared it
            stat = replace(stat, etag=stat.etag or self._version)
        if response.status_code == 416 or (end is not None and end <= start):
            response.close()
            return OpenedRange(stat)
        return OpenedRange(
            stat,
            WebDAVBody(response),
            # of a weak one the bytes may differ
            version=None if (stat.etag or "W/").startswith("W/") else stat.etag,
            skip=0 if response.status_code == 206 else start,
        )

    def _stat(self, response: httpx.Response) -> Stat:
        headers = response.headers
        length = headers.get("content-length") if response.status_code == 200 else None
        return Stat(
            name=self._path,
            size=total_size(headers.get("content-range"), length),
            last_modified=utc(headers.get("last-modified")),
            content_type=None if response.status_code == 416 else headers.get("content-type"),
            etag=unquoted(headers.get("etag")),
        )

    def _read(self, size: int) -> bytes:
        body: WebDAVBody = self._stream
        chunk = body.read(size)
        if self._position + len(chunk) == self._end and body.response.status_code == 206:
            # the end of the message lets the connection be used again
            body.read(1)
        return chunk
