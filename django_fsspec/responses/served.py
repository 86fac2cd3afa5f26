"""Responses that send ``file_served`` when they are closed."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase


class ServedResponse(HttpResponseBase):
    """A response with a file. Servers call ``close()`` when all is sent, or the client is gone."""

    #: called once, when the response is closed
    notify: Callable[[], None] | None = None

    def close(self) -> None:
        """Send the signal, then close the file; Django calls this in a thread for sync code."""
        notify, self.notify = self.notify, None
        try:
            if notify is not None:
                notify()
        finally:
            super().close()


class FileHttpResponse(ServedResponse, HttpResponse):
    """An empty body, or one that nginx sends."""


class FileRedirect(ServedResponse, HttpResponseRedirect):
    """A redirect to a URL of the file."""


class FileStreamResponse(ServedResponse, StreamingHttpResponse):
    """The bytes of the file."""
