"""HTTP through requests: the meaning of its errors, and a resuming reader."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urljoin

import requests
import urllib3

from .errors import classify
from .resuming_readers import BlockingResumingReader, OpenedRange

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


class SecureSession(requests.Session):
    """A session that no redirect takes from https to http.

    Credentials stay with their origin: requests itself takes them away.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target and resp.url.startswith("https:"):
            there = urljoin(resp.url, target)
            if there.lower().startswith("http:"):
                raise requests.exceptions.InvalidURL(
                    "The server redirects from https to http, which is not followed."
                )
        return target


class ResponseReader(BlockingResumingReader):
    """Streams a response; `ask` makes the request for the bytes from a position on."""

    broken = _BROKEN

    def __init__(
        self,
        ask: Callable[[int], OpenedRange],
        path: str,
        start: int,
        end: int | None,
        retries: int,
    ) -> None:
        super().__init__(path, start, end, retries)
        self._ask = ask

    def _open(self) -> OpenedRange:
        return self._ask(self._position)

    def _read(self, size: int) -> bytes:
        chunk: bytes = self._stream.raw.read(size)
        return chunk
