"""HTTP through requests: the meaning of its errors, and a resuming reader."""

from __future__ import annotations

from collections.abc import Callable

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
