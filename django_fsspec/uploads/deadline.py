"""Time for the body of a request: a client that is too slow is cut off."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any, Self

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from .options import upload_options
from .refusals import ended_early, too_slow

#: bytes of one read: so few that even a client at `body_min_rate` sends them in time
READ_SIZE = 64 * 1024


class Deadline:
    """Until when more of a body must have come: see ``UploadOptions``. Add to `received`."""

    def __init__(self) -> None:
        options = upload_options()
        self._seconds, self._rate = options.body_timeout, options.body_min_rate
        self._began = time.monotonic()
        #: bytes
        self.received = 0

    def left(self) -> float:
        """Return the seconds that are left; below 0 where it is too late."""
        end = self._began + self._seconds + self.received / self._rate
        return end - time.monotonic()


class TimedBody:
    """The body of a request, read until a `Deadline`; a context manager around all reading.

    Under WSGI a read waits for the client. gunicorn gives the socket of the connection, which is
    closed for reading when it is too late; of other servers the deadline is looked at between two
    reads. Under ASGI Django has read the body before: see ``django_fsspec.uploads.asgi``.
    """

    def __init__(self, request: HttpRequest, *, chunked: bool) -> None:
        # Django's own stream ends at the Content-Length, which is 0 where there is none
        is_wsgi = not isinstance(request, ASGIRequest)
        self._source: Any = request.META["wsgi.input"] if chunked and is_wsgi else request
        self._socket = request.META.get("gunicorn.socket") if is_wsgi else None
        self._deadline = Deadline()
        self._ended = threading.Event()
        self._late = False

    def __enter__(self) -> Self:
        if isinstance(self._socket, socket.socket):
            threading.Thread(target=self._watch, args=(self._socket,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()

    def _watch(self, connection: socket.socket) -> None:
        while not self._ended.wait(max(0.05, self._deadline.left())):
            if self._deadline.left() <= 0:
                self._late = True
                with contextlib.suppress(OSError):
                    # not the method of a TLS socket, which forgets that it is encrypted
                    socket.socket.shutdown(connection, socket.SHUT_RD)
                return

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, at most `READ_SIZE`; b"" at the end.

        Raises ``UploadRefused`` after what came from the client: 408 where it is too slow, 400
        where it is gone. The storage has no part in that.
        """
        if self._late:
            raise too_slow()
        try:
            piece: bytes = self._source.read(min(size, READ_SIZE))
        except OSError as error:
            raise (too_slow() if self._late else ended_early()) from error
        self._deadline.received += len(piece)
        if self._late and not piece:
            raise too_slow()
        if piece and self._deadline.left() <= 0:
            self._late = True
        return piece
