"""What the adapters over the ``requests`` package share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests
import urllib3

from django_fsspec.core.stat import Stat

from .base import Reader
from .errors import classify

#: errors of a connection that broke while a body was read
_BROKEN = (urllib3.exceptions.HTTPError, OSError)


def meaning(error: Exception) -> type[OSError] | None:
    """Return the built-in exception that an error of ``requests`` means, if any."""
    if isinstance(error, requests.Timeout):
        return TimeoutError
    # after retries, the timeout lies inside; a refused connection counts as one there
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(reason, urllib3.exceptions.TimeoutError) and not isinstance(
        reason, urllib3.exceptions.NewConnectionError
    ):
        return TimeoutError
    return classify(error)


class ResponseReader(Reader):
    """Streams a response; one that breaks is asked for again from where it stopped.

    `ask` makes the request for the bytes from a position on.
    """

    def __init__(
        self,
        ask: Callable[[int], requests.Response],
        response: requests.Response,
        stat: Stat,
        *,
        start: int,
        end: int | None,
        tries: int,
    ) -> None:
        self.stat = stat
        self._ask, self._tries = ask, tries
        self._position, self._end = start, end
        self._response: requests.Response | None = response
        self._etag = response.headers.get("ETag")
        self._skip = start if response.status_code == 200 else 0

    def read(self, size: int) -> bytes:
        while self._skip:
            # the server ignored Range
            self._skip -= len(self._some(min(self._skip, 1 << 20)) or b" " * self._skip)
        if self._end is not None:
            size = min(size, self._end - self._position)
        chunk = self._some(size) if size > 0 else b""
        self._position += len(chunk)
        return chunk

    def _some(self, size: int) -> bytes:
        while (response := self._response) is not None:
            try:
                chunk: bytes = response.raw.read(size)
            except _BROKEN:
                if self._tries <= 0 or self._skip:
                    raise
                self._tries -= 1
                self.close()
                again = self._ask(self._position)
                if again.headers.get("ETag") != self._etag or (
                    self._position and again.status_code != 206
                ):
                    again.close()
                    raise
                self._response = again
                continue
            if not chunk:
                self.close()
            return chunk
        return b""

    def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()


class BytesReader(Reader):
    """A stream over bytes that came with the answer to another question."""

    def __init__(self, data: bytes, stat: Stat) -> None:
        self.stat = stat
        self._data = memoryview(data)

    def read(self, size: int) -> bytes:
        chunk = bytes(self._data[:size])
        self._data = self._data[size:]
        return chunk

    def close(self) -> None:
        return None


def byte_range(start: int, end: int | None) -> dict[str, Any]:
    """Return the header that asks for bytes `start` to `end` (exclusive), if one is needed."""
    if not start and end is None:
        return {}
    return {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
